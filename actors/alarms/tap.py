"""What the alarms hear of the rest of the server, without ever holding it up: bounded boxes, emptied at each look."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Final

from actors.messages import StoreReading
from actors.presence import DerivedPresence

MOST_READINGS: Final = 100_000
"""Readings that wait for the next look; beyond it the oldest are counted and forgotten."""
EVENTS: Final = (
    "raised",
    "worsened",
    "cleared",
    "acknowledged",
    "silenced",
    "silence_ended",
    "notice_sent",
    "notice_failed",
    "notice_given_up",
    "reading_missed",
    "rule_made",
    "rule_changed",
    "rule_deleted",
)
"""What is counted."""


class Interest:
    """Which readings rules are about: replaced as a whole, read by the writer's thread."""

    def __init__(self, metrics: Iterable[str] = (), *, anomalies: bool = False) -> None:
        self.metrics = tuple(f'"{metric}"' for metric in sorted(set(metrics)))
        self.anomalies = anomalies

    def __bool__(self) -> bool:
        return bool(self.metrics) or self.anomalies

    def wants(self, reading: StoreReading) -> bool:
        """Tell by a glance at its text whether a rule may be about a reading."""
        if self.anomalies and reading.health_index is not None:
            return True
        return any(metric in reading.measures for metric in self.metrics)


class AlarmTap:
    """Filled by the writer and the dispatcher, emptied by the alarms' actor; it outlives the actor's incarnations."""

    def __init__(self) -> None:
        self.interest = Interest()
        self.counts: Counter[str] = Counter()
        """By the words of `EVENTS`."""
        self.open: Counter[str] = Counter()
        """Open alarms by severity."""
        self.open_at: Counter[str] = Counter()
        """Those about a site or a device there by site, empty for a device without one; replaced as a whole."""
        self._readings: deque[StoreReading] = deque()
        self._presence: dict[str, DerivedPresence] = {}

    def put(self, readings: Sequence[StoreReading]) -> None:
        """Take new readings after their commit; called by the writer alone."""
        interest = self.interest
        if not interest:
            return
        self._readings.extend(reading for reading in readings if interest.wants(reading))
        while len(self._readings) > MOST_READINGS:
            self._readings.popleft()
            self.counts["reading_missed"] += 1

    def changed(self, serial: str, presence: DerivedPresence) -> None:
        """Take a device that has changed; called on the dispatcher. Of one device the latest counts."""
        self._presence[serial] = presence

    def take_readings(self) -> list[StoreReading]:
        """Return what has come since the last look, oldest first."""
        taken: list[StoreReading] = []
        while self._readings and len(taken) < MOST_READINGS:
            taken.append(self._readings.popleft())
        return taken

    def take_presence(self) -> dict[str, DerivedPresence]:
        """Return who has changed since the last look."""
        taken: dict[str, DerivedPresence] = {}
        while self._presence:
            serial, presence = self._presence.popitem()
            taken[serial] = presence
        return taken
