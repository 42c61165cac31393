"""Topic filters of a persistent session, remembered in a file: MQTT cannot list them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path

logger = logging.getLogger(__name__)


class FilterMemory:
    """The filters that the broker may hold for our session."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def recall(self) -> set[str]:
        """Return what was remembered; an unreadable file is logged and counts as empty."""
        try:
            filters = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return set()
        except (OSError, ValueError) as error:
            logger.warning("cannot read the subscriptions in %s: %s", self._path, error)
            return set()
        return {item for item in filters if isinstance(item, str)} if isinstance(filters, list) else set()

    def remember(self, filters: Iterable[str]) -> None:
        """Replace what is remembered; a failure is logged, since a stale subscription only costs dead letters."""
        new = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps(sorted(filters)))
            new.replace(self._path)
        except OSError as error:
            logger.warning("cannot write the subscriptions to %s: %s", self._path, error)
