"""What the bridge hears of the rest of the server, without ever holding it up: boxes that it empties at each look."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Self

from actors.messages import StoreReading
from actors.presence import DerivedPresence

MOST_READINGS: Final = 50_000
"""Readings that wait for the next look; beyond it the oldest are counted and forgotten."""
EVENTS: Final = (
    "described",
    "availability",
    "state",
    "publish_failed",
    "born",
    "cleared",
    "reading_missed",
    "reading_late",
    "measure_refused",
)
"""What is counted."""


class HomeTap:
    """Filled by writer, dispatcher and link, emptied by the bridge's actor; it outlives the actor's incarnations."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self.counts: Counter[str] = Counter()
        """By the words of `EVENTS`."""
        self._readings: deque[StoreReading] = deque()
        self._changed: dict[str, None] = {}
        self._deleted: deque[str] = deque()
        self._is_born = False
        self.is_private: Callable[[str], bool] = lambda _serial: False
        """Tells of which devices nothing is shown that they have sealed."""

    @classmethod
    def listening(cls, presence: list[Callable[[str, DerivedPresence], None]], *, enabled: bool) -> Self:
        """Return one that is called for each device that has changed, if there is a bridge."""
        tap = cls(enabled=enabled)
        if enabled:
            presence.append(tap.changed)
        return tap

    def put(self, readings: Sequence[StoreReading], deleted: Sequence[str]) -> None:
        """Take what a commit has stored and deleted; called by the writer alone."""
        if not self.enabled:
            return
        self._deleted.extend(deleted)
        self._readings.extend(reading for reading in readings if not self.is_private(reading.serial))
        while len(self._readings) > MOST_READINGS:
            self._readings.popleft()
            self.counts["reading_missed"] += 1

    def changed(self, serial: str, _presence: DerivedPresence) -> None:
        """Take a device that has changed; called on the dispatcher."""
        self._changed[serial] = None

    def heard(self, payload: bytes) -> None:
        """Take what Home Assistant says of itself; called by the link."""
        if payload == b"online":
            self.counts["born"] += 1
            self._is_born = True

    def take_readings(self) -> Iterator[StoreReading]:
        """Yield what has come since the last look, oldest first."""
        for _ in range(len(self._readings)):
            yield self._readings.popleft()

    def take_changed(self) -> Iterator[str]:
        """Yield who has changed since the last look."""
        for _ in range(len(self._changed)):
            yield self._changed.popitem()[0]

    def take_deleted(self) -> Iterator[str]:
        """Yield who was deleted since the last look."""
        for _ in range(len(self._deleted)):
            yield self._deleted.popleft()

    def take_birth(self) -> bool:
        """Tell whether Home Assistant has started since the last look."""
        born, self._is_born = self._is_born, False
        return born
