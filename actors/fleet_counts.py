"""Counts of devices by presence that are always right and cost nothing to read, of one site or of the whole fleet."""

from __future__ import annotations

from typing import NamedTuple

from actors.messages import DeviceSnapshot
from actors.sight import Sight


class SiteCounts(NamedTuple):
    """One site at a glance."""

    site: str
    """Empty for the devices without one."""
    total: int
    online: int
    offline: int
    unknown: int
    flapping: int
    quarantined: int


class _Seen:
    """Devices stored as online that one sight decides about."""

    __slots__ = ("epoch", "heard", "online")

    def __init__(self) -> None:
        self.online = 0
        self.heard = 0
        self.epoch = 0


class Tally:
    """What is counted; written by the dispatcher, read by anyone.

    A link that goes blind changes no number here: who has been heard counts only as long as the sight's epoch lasts.
    """

    __slots__ = ("_seen", "quarantined", "total")

    def __init__(self) -> None:
        self.total = 0
        self.quarantined = 0
        self._seen: dict[Sight, _Seen] = {}

    def take(self, snapshot: DeviceSnapshot, by: int) -> None:
        """Count a device in (1) or out (-1)."""
        self.total += by
        self.quarantined += by * snapshot.quarantined

    def take_online(self, sight: Sight, heard_epoch: int, by: int) -> None:
        """Count a device that is stored as online in or out."""
        seen = self._of(sight)
        seen.online += by
        if heard_epoch == seen.epoch:
            seen.heard += by

    def hear(self, sight: Sight, heard_epoch: int, epoch: int) -> None:
        """Count a device stored as online, last heard in `heard_epoch`, as heard in `epoch`."""
        seen = self._of(sight)
        if seen.epoch == epoch != heard_epoch:
            seen.heard += 1

    def presences(self) -> tuple[int, int]:
        """Return how many are stored as online, and how many of these are online as far as anybody can tell now."""
        stored = online = 0
        for sight, seen in list(self._seen.items()):
            stored += seen.online
            if not sight.blind and seen.epoch == sight.epoch:
                online += seen.heard
        return stored, online

    def _of(self, sight: Sight) -> _Seen:
        seen = self._seen.get(sight)
        if seen is None:
            seen = self._seen[sight] = _Seen()
        if seen.epoch != sight.epoch:
            seen.epoch, seen.heard = sight.epoch, 0
        return seen
