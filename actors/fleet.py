"""The fleet as everybody sees it: one record per device, and the counts, without asking a single actor.

A record belongs to its device actor, which alone writes it (on the dispatcher's thread) and which finds it again after
a crash. Everyone else reads: attribute reads under the GIL are whole, and the snapshot in it is immutable.
"""

from __future__ import annotations

import threading
from bisect import insort
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from actors.fleet_counts import SiteCounts, Tally
from actors.messages import DeviceSnapshot
from actors.presence import FLAP_LIMIT, DerivedPresence, OfflineAfter, derive, is_flapping
from actors.runtime import Clock
from actors.sight import BrokerSight, Sight

if TYPE_CHECKING:
    from actors.analysis import Baseline

NEVER = -1.0
TURN_WITHIN = 5.0
"""Seconds."""
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
        "words",
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
        self.words = ""
        """What a search looks through, as `words_of` makes it; empty until the first search, and after a change."""


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


def words_of(known: DeviceSnapshot) -> str:
    """Return what a search by a part of a word looks through, a line each, in small letters."""
    return (
        f"{known.serial}\n{known.label}\n{known.hostname}\n{known.ip_address}\n{known.mac_address}\n"
        f"{known.site}\n{known.device_id}"
    ).lower()


class Fleet:
    """All records, in the order of their serials, with counts by presence that cost nothing to read."""

    def __init__(self, clock: Clock, sights: Mapping[str, BrokerSight], offline_after: OfflineAfter) -> None:
        self.clock = clock
        self.sights = sights
        self.policy = offline_after
        self._records: dict[str, Record] = {}
        self._serials: list[str] = []
        self._all = Tally()
        self._sites: dict[str, Tally] = {}
        self._default = next(iter(sights.values()))
        self._name_sets: dict[frozenset[str], frozenset[str]] = {}
        self._turn = threading.Lock()

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, serial: object) -> bool:
        return serial in self._records

    def __iter__(self) -> Iterator[Record]:
        return iter(list(self._records.values()))

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let one at a time walk through all records: the rest of the interpreter is for what devices send.

        Raises TimeoutError when so many are in front that it would take longer than `TURN_WITHIN`.
        """
        if not self._turn.acquire(timeout=TURN_WITHIN):
            raise TimeoutError(f"too many ask for the fleet at once: no turn within {TURN_WITHIN:g} s")
        try:
            yield
        finally:
            self._turn.release()

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
        self._take(snapshot, 1)
        self._take_online(record, 1)
        return record

    def remove(self, serial: str) -> None:
        """Forget a device."""
        record = self._records.pop(serial, None)
        if record is not None:
            self._take_online(record, -1)
            self._take(record.snapshot, -1)
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
        old = record.snapshot
        has_moved = snapshot.site != old.site or snapshot.quarantined != old.quarantined
        if (
            has_moved
            or snapshot.presence != old.presence
            or snapshot.broker != old.broker
            or (data_only is not None and data_only != record.data_only)
        ):
            self._take_online(record, -1)
            before = self.sight(record)
            if has_moved:
                self._take(old, -1)
                self._take(snapshot, 1)
            record.snapshot = snapshot
            if data_only is not None:
                record.data_only = data_only
            if self.sight(record) is not before:
                record.heard_epoch = 0  # the epochs of two sights have nothing to do with each other
            self._take_online(record, 1)
        record.snapshot = snapshot
        if record.words and words_of(snapshot) != record.words:
            record.words = ""

    def heard(self, record: Record, epoch: int) -> None:
        """Note that a device stored as online has been heard in this epoch of its sight."""
        if record.snapshot.presence == "online":
            sight = self.sight(record)
            for tally in self._tallies(record.snapshot):
                tally.hear(sight, record.heard_epoch, epoch)
        record.heard_epoch = epoch

    def unheard(self, record: Record) -> None:
        """Count a device as not heard in this epoch: nobody judges it now (it is quarantined)."""
        self._take_online(record, -1)
        record.heard_epoch = 0
        self._take_online(record, 1)

    def shared(self, names: frozenset[str]) -> frozenset[str]:
        """Return the one set that all devices with these sensor names share."""
        if len(self._name_sets) >= MOST_NAME_SETS:
            self._name_sets.clear()
        return self._name_sets.setdefault(names, names)

    def _take(self, snapshot: DeviceSnapshot, by: int) -> None:
        for tally in self._tallies(snapshot):
            tally.take(snapshot, by)
        if not self._sites[snapshot.site].total:
            del self._sites[snapshot.site]

    def _take_online(self, record: Record, by: int) -> None:
        if record.snapshot.presence == "online":
            sight = self.sight(record)
            for tally in self._tallies(record.snapshot):
                tally.take_online(sight, record.heard_epoch, by)

    def _tallies(self, snapshot: DeviceSnapshot) -> tuple[Tally, Tally]:
        site = self._sites.get(snapshot.site)
        if site is None:
            site = self._sites[snapshot.site] = Tally()
        return self._all, site

    def counts(self) -> dict[str, int]:
        """Return `{"total", "online", "offline", "unknown"}`."""
        stored, online = self._all.presences()
        total = len(self._records)
        return {"total": total, "online": online, "offline": total - stored, "unknown": stored - online}

    def sites(self) -> list[SiteCounts]:
        """Return the counts of every site that has a device, in no order."""
        flapping = Counter(record.snapshot.site for record in self.flapping(self))
        found = []
        for site, tally in list(self._sites.items()):
            total, (stored, online) = tally.total, tally.presences()
            shares = total, online, total - stored, stored - online
            found.append(SiteCounts(site, *shares, flapping[site], tally.quarantined))
        return found

    def flapping(self, records: Iterable[Record]) -> list[Record]:
        """Return those of these records whose device flaps now."""
        now = self.clock.monotonic()
        restless = [record for record in records if len(record.transitions_at) >= FLAP_LIMIT]
        return [record for record in restless if is_flapping(record.transitions_at, now)]

    def presences(self, records: Iterable[Record]) -> list[DerivedPresence]:
        """Return what `view` says of each of many devices, in a tenth of the time."""
        epochs = {name: (_seeing(pair.control), _seeing(pair.data)) for name, pair in self.sights.items()}
        default = (_seeing(self._default.control), _seeing(self._default.data))
        return [
            "offline"
            if record.snapshot.presence == "offline"
            else "online"
            if record.heard_epoch == epochs.get(record.snapshot.broker, default)[record.data_only]
            else "unknown"
            for record in records
        ]

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


def _seeing(sight: Sight) -> int:
    """Return the epoch in which a device must have been heard to be online; while it is blind one that none has."""
    return sight.epoch if sight.epoch and not sight.blind else -1
