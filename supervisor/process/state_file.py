"""The state that a process leaves in a file: there after a crash too, and no port, no token to look at it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import msgspec

from actors.runtime import Clock
from supervisor.process.private_file import write_private

logger = logging.getLogger(__name__)


class StateFile:
    """Written when there is news, and now and then when there is none: an SD card has only so many writes in it."""

    def __init__(self, path: Path, clock: Clock, *, at_least_every: float) -> None:
        """Assign.

        Args:
            path: the file; its directory must exist.
            clock: tells how long ago the last write was.
            at_least_every: seconds after which a state without news is written all the same.

        """
        self._path, self._clock, self._at_least_every = path, clock, at_least_every
        self._news: Any = None
        self._written_at = float("-inf")
        self._failed = False

    def write(self, state: dict[str, Any], news: Any) -> None:
        """Replace the file at once: a reader sees the old state or the new. A disk that refuses is told of once.

        Args:
            state: all of it.
            news: the part of it that does not change by itself.

        """
        now = self._clock.monotonic()
        if news == self._news and now - self._written_at < self._at_least_every:
            return
        try:
            write_private(self._path, msgspec.json.encode(state))
            self._news, self._written_at, self._failed = news, now, False
        except OSError as error:
            if not self._failed:
                logger.warning("the state cannot be written: %s", error.strerror)
            self._failed = True
