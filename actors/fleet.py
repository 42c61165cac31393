"""The fleet as everybody sees it: one record per device, and the counts, without asking a single actor.

A record belongs to its device actor, which alone writes it (on the dispatcher's thread) and which finds it again after
a crash. Everyone else reads: attribute reads under the GIL are whole, and the snapshot in it is immutable.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from actors.messages import DeviceSnapshot
from actors.presence import DerivedPresence, OfflineAfter, derive, is_flapping
from actors.runtime import Clock
from actors.sight import BrokerSight, Sight

if TYPE_CHECKING:
    from actors.analysis import Baseline

NEVER = -1.0
MOST_NAME_SETS = 4_096
"""Sets of sensor names that are shared; a fleet has a few, a sender that invents names would have any number."""


class Record:
    """What is shared of one device."""

    __slots__ = (
        "baseline",
        "data_only",
        "heard_at",
        "heard_epoch",
        "heard_us",
        "is_new",
        "sensors",
        "snapshot",
        "stored_info_us",
        "stored_seen_us",
        "supervision",
        "transitions_at",
    )

    def __init__(self, snapshot: DeviceSnapshot, *, is_new: bool = False) -> None:
        self.snapshot = snapshot
        self.is_new = is_new
        """True for a device that nobody knew when this process started: the database has no past of it."""
        self.heard_at = NEVER
        """When it last gave evidence of life, monotonic seconds; `NEVER` in this process so far."""
        self.heard_us = snapshot.last_seen_us
        self.heard_epoch = 0
        """The epoch of sight in which it was last heard; 0 is before all."""
        self.data_only = False
        """True while it has been heard only on the data link, which then decides about it."""
        self.stored_seen_us = snapshot.last_seen_us
        self.stored_info_us = 0
        self.supervision = b""
        """The supervision tree that an edge has reported last, JSON, or empty; kept in memory only."""
        self.transitions_at: tuple[float, ...] = ()
        self.sensors: frozenset[str] | None = None
        """Names of the numbers it has sent; None until it sends the first in this process."""
        self.baseline: Baseline | None = None
        """What is usual for its measures, where they are analysed; made from committed readings alone."""


class DeviceView(NamedTuple):
    """One device as it may honestly be shown now."""

    snapshot: DeviceSnapshot
    presence: DerivedPresence
    reason: str
    since_us: int
    last_seen_us: int
    offline_after: float
    flapping: bool
    supervision: bytes = b""
    """The device's own supervision tree as it reported it last: JSON, or empty."""


class _Counts:
    """Devices stored as online that one sight decides about."""

    __slots__ = ("epoch", "heard", "online")

    def __init__(self) -> None:
        self.online = 0
        self.heard = 0
        self.epoch = 0


class Fleet:
    """All records, in the order of their serials, with counts by presence that cost nothing to read."""

    def __init__(self, clock: Clock, sights: Mapping[str, BrokerSight], offline_after: OfflineAfter) -> None:
        self.clock = clock
        self.sights = sights
        self.policy = offline_after
        self._records: dict[str, Record] = {}
        self._serials: list[str] = []
        self._counts: dict[Sight, _Counts] = {}
        self._default = next(iter(sights.values()))
        self._name_sets: dict[frozenset[str], frozenset[str]] = {}

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, serial: object) -> bool:
        return serial in self._records

    def __iter__(self) -> Iterator[Record]:
        return iter(list(self._records.values()))

    def record(self, serial: str) -> Record | None:
        """Return the record of a device, or None."""
        return self._records.get(serial)

    def serials(self) -> list[str]:
        """Return all serials, in order."""
        return list(self._serials)

    def load(self, snapshots: list[DeviceSnapshot]) -> None:
        """Add many records at once (start-up): one sort instead of many insertions."""
        for snapshot in snapshots:
            self._admit(snapshot)
        self._serials = sorted(self._records)

    def add(self, snapshot: DeviceSnapshot) -> Record:
        """Add one record."""
        insort(self._serials, snapshot.serial)
        return self._admit(snapshot, is_new=True)

    def _admit(self, snapshot: DeviceSnapshot, *, is_new: bool = False) -> Record:
        record = self._records[snapshot.serial] = Record(snapshot, is_new=is_new)
        if snapshot.presence == "online":
            self._of(record).online += 1
        return record

    def remove(self, serial: str) -> None:
        """Forget a device."""
        record = self._records.pop(serial, None)
        if record is not None:
            self._leave(record)
            self._serials.remove(serial)

    def sight(self, record: Record) -> Sight:
        """Return the sight that decides about a device: one that beats is judged by its beats."""
        pair = self.sights.get(record.snapshot.broker, self._default)
        return pair.data if record.data_only else pair.control

    def broker_sight(self, record: Record) -> BrokerSight:
        """Return the sights of the broker it was last heard through."""
        return self.sights.get(record.snapshot.broker, self._default)

    def offline_after(self, snapshot: DeviceSnapshot) -> float:
        """Return the seconds of silence that make this device offline."""
        return self.policy.of(snapshot)

    def update(self, record: Record, snapshot: DeviceSnapshot, *, data_only: bool | None = None) -> None:
        """Publish a new snapshot, keeping the counts right."""
        moves = (
            snapshot.presence != record.snapshot.presence
            or snapshot.broker != record.snapshot.broker
            or (data_only is not None and data_only != record.data_only)
        )
        if not moves:
            record.snapshot = snapshot
            return
        self._leave(record)
        before = self.sight(record)
        record.snapshot = snapshot
        if data_only is not None:
            record.data_only = data_only
        if self.sight(record) is not before:
            record.heard_epoch = 0  # the epochs of two sights have nothing to do with each other
        if snapshot.presence == "online":
            counts = self._of(record)
            counts.online += 1
            if record.heard_epoch == counts.epoch:
                counts.heard += 1

    def heard(self, record: Record, epoch: int) -> None:
        """Note that a device stored as online has been heard in this epoch of its sight."""
        counts = self._of(record)
        if counts.epoch == epoch and record.heard_epoch != epoch and record.snapshot.presence == "online":
            counts.heard += 1
        record.heard_epoch = epoch

    def unheard(self, record: Record) -> None:
        """Count a device as not heard in this epoch: nobody judges it now (it is quarantined)."""
        self._leave(record)
        record.heard_epoch = 0
        if record.snapshot.presence == "online":
            self._of(record).online += 1

    def shared(self, names: frozenset[str]) -> frozenset[str]:
        """Return the one set that all devices with these sensor names share."""
        if len(self._name_sets) >= MOST_NAME_SETS:
            self._name_sets.clear()
        return self._name_sets.setdefault(names, names)

    def _leave(self, record: Record) -> None:
        if record.snapshot.presence == "online":
            counts = self._of(record)
            counts.online -= 1
            if record.heard_epoch == counts.epoch:
                counts.heard -= 1

    def _of(self, record: Record) -> _Counts:
        sight = self.sight(record)
        counts = self._counts.get(sight)
        if counts is None:
            counts = self._counts[sight] = _Counts()
        if counts.epoch != sight.epoch:
            counts.epoch, counts.heard = sight.epoch, 0
        return counts

    def counts(self) -> dict[str, int]:
        """Return `{"total", "online", "offline", "unknown"}`."""
        online = stored = 0
        for sight, counts in list(self._counts.items()):
            stored += counts.online
            if not sight.blind and counts.epoch == sight.epoch:
                online += counts.heard
        total = len(self._records)
        return {"total": total, "online": online, "offline": total - stored, "unknown": stored - online}

    def view(self, record: Record) -> DeviceView:
        """Return what may honestly be said of a device now."""
        snapshot = record.snapshot
        sight = self.sight(record)
        heard = record.heard_epoch == sight.epoch and record.heard_epoch > 0
        presence = derive(snapshot.presence, blind=sight.blind, heard_in_this_epoch=heard)
        reason: str = snapshot.reason
        if presence == "unknown" and not snapshot.quarantined:
            reason = "startup" if record.heard_at == NEVER else "link_lost"
        return DeviceView(
            snapshot,
            presence,
            reason,
            snapshot.since_us,
            record.heard_us,
            self.offline_after(snapshot),
            is_flapping(record.transitions_at, self.clock.monotonic()),
            record.supervision,
        )

    def get(self, serial: str) -> DeviceView | None:
        """Return one device, or None."""
        record = self._records.get(serial)
        return None if record is None else self.view(record)

    def page(
        self, *, after: str = "", limit: int = 100, where: Callable[[DeviceView], bool] | None = None
    ) -> tuple[list[DeviceView], str | None]:
        """Return up to `limit` devices behind the serial `after`, and the serial to go on from (None at the end)."""
        found: list[DeviceView] = []
        start = bisect_right(self._serials, after) if after else 0
        for serial in self._serials[start:]:  # a copy: the dispatcher may insert meanwhile
            record = self._records.get(serial)
            if record is None:
                continue
            view = self.view(record)
            if where is None or where(view):
                if len(found) == limit:
                    return found, found[-1].snapshot.serial
                found.append(view)
        return found, None
