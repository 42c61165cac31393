"""Looks up what a device has measured, for those that may not wait: a thread between them and the readers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from actors.reader import Readers
from actors.runtime import Directory, ThreadedActor
from actors.storage.errors import StoreUnavailable
from actors.storage.queries import RecentReadings

logger = logging.getLogger(__name__)

WINDOW = 60
"""Readings of which a baseline is made."""


class Recall(msgspec.Struct, frozen=True):
    """Asks for the last readings of a device; `effects` is told `Recalled`."""

    serial: str


class Recalled(msgspec.Struct, frozen=True):
    """The last readings of a device, oldest first; None while the database is away."""

    serial: str
    rows: list[tuple[int, Mapping[str, float]]] | None


class Historian(ThreadedActor):
    """Answers `Recall`."""

    def __init__(self, readers: Readers, services: Directory) -> None:
        super().__init__()
        self._readers = readers
        self._services = services

    def on_receive(self, message: Any) -> None:
        """Look up one device."""
        assert isinstance(message, Recall), message
        rows: list[tuple[int, Mapping[str, float]]] | None = None
        try:
            rows = self._readers.ask(RecentReadings(serial=message.serial, limit=WINDOW))
        except StoreUnavailable as error:
            logger.debug("no history of %s now: %s", message.serial, error)
        except Exception:  # who asks waits for an answer, whatever it is
            logger.exception("the history of %s cannot be read", message.serial)
        self._services.tell("effects", Recalled(message.serial, rows))
