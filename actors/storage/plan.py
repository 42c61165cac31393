"""Sorts a batch of writes into what each table gets, so that every table is written once."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from actors.messages import (
    DeleteDevice,
    DeviceSnapshot,
    StoreAudit,
    StoreDeadLetter,
    StoreDevice,
    StoreEvent,
    StoreLastSeen,
    StorePresence,
    StoreReading,
    StoreScan,
    StoreSensors,
    StoreTwinReport,
    Write,
)
from actors.storage.models import Device
from actors.storage.sql import get_columns

DEVICE_COLUMNS: Final = get_columns(Device, "id")
_get_device = operator.attrgetter(*DEVICE_COLUMNS)


@dataclass(slots=True)
class Plan:
    """What one segment of a batch writes, in the order of the fields."""

    devices: dict[str, DeviceSnapshot] = field(default_factory=dict)
    """The last snapshot of each serial, in the order of first appearance."""
    presence: dict[str, StorePresence] = field(default_factory=dict)
    """The last transition of each serial, unless a later snapshot already holds it."""
    last_seen: dict[str, int] = field(default_factory=dict)
    sensors: list[tuple[str, str, int]] = field(default_factory=list)
    """(serial, name, first_seen_us)"""
    readings: list[StoreReading] = field(default_factory=list)
    scans: list[StoreScan] = field(default_factory=list)
    twin_reports: list[StoreTwinReport] = field(default_factory=list)
    dead_letters: list[StoreDeadLetter] = field(default_factory=list)
    events: list[StoreEvent] = field(default_factory=list)
    audit: list[StoreAudit] = field(default_factory=list)
    deletes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, writes: Iterable[Write]) -> Plan:
        """Sort the writes."""
        plan = cls()
        add_reading = plan.readings.append
        for write in writes:
            if type(write) is StoreReading:  # nearly all of them
                add_reading(write)
            else:
                _SORT[type(write)](plan, write)
        return plan

    def serials(self) -> set[str]:
        """Return the serials whose ids are needed."""
        known = {reading.serial for reading in self.readings}
        known.update(self.devices, self.presence, self.last_seen, self.deletes)
        known.update(serial for serial, _, _ in self.sensors)
        known.update(scan.serial for scan in self.scans)
        known.update(report.serial for report in self.twin_reports)
        return known

    def note_first_seen(self, fresh: Iterable[DeviceSnapshot]) -> None:
        """Let a new device's record tell when it was seen, before the first slice of `last_seen` is written."""
        for snapshot in fresh:
            if snapshot.last_seen_us:
                self.last_seen.setdefault(snapshot.serial, snapshot.last_seen_us)

    def _add_device(self, write: StoreDevice) -> None:
        self.devices[write.snapshot.serial] = write.snapshot
        self.presence.pop(write.snapshot.serial, None)

    def _add_presence(self, write: StorePresence) -> None:
        self.presence[write.serial] = write
        data = msgspec.json.encode({"presence": write.presence, "reason": write.reason}).decode()
        self.events.append(StoreEvent("presence", write.serial, write.since_us, data))

    def _add_last_seen(self, write: StoreLastSeen) -> None:
        self.last_seen.update(write.items)

    def _add_sensors(self, write: StoreSensors) -> None:
        self.sensors += [(write.serial, name, write.first_seen_us) for name in write.names]


_SORT: Final[dict[type[Any], Callable[[Plan, Any], None]]] = {
    StoreDevice: Plan._add_device,  # noqa: SLF001  # the table of this class's own handlers
    StorePresence: Plan._add_presence,  # noqa: SLF001
    StoreLastSeen: Plan._add_last_seen,  # noqa: SLF001
    StoreSensors: Plan._add_sensors,  # noqa: SLF001
    StoreScan: lambda plan, write: plan.scans.append(write),
    StoreTwinReport: lambda plan, write: plan.twin_reports.append(write),
    StoreDeadLetter: lambda plan, write: plan.dead_letters.append(write),
    StoreEvent: lambda plan, write: plan.events.append(write),
    StoreAudit: lambda plan, write: plan.audit.append(write),
    DeleteDevice: lambda plan, write: plan.deletes.append(write.serial),
}


def cut_after_deletes(writes: Sequence[Write]) -> list[Sequence[Write]]:
    """Cut a batch so that a deletion is the last of its segment: what follows it belongs to a new device."""
    ends = [index + 1 for index, write in enumerate(writes) if type(write) is DeleteDevice]
    if not ends:
        return [writes]
    pieces = [writes[start:end] for start, end in zip([0, *ends], [*ends, len(writes)], strict=True)]
    return [piece for piece in pieces if piece]


def settle(writes: Iterable[Write]) -> dict[str, list[int]]:
    """Return the tokens of the deliveries that end with these writes, by link, each once."""
    settled: dict[str, dict[int, Any]] = {}
    for write in writes:
        if isinstance(write, StoreReading | StoreScan | StoreTwinReport | StoreDeadLetter) and write.token:
            settled.setdefault(write.link, {})[write.token] = None
    return {link: list(tokens) for link, tokens in settled.items()}


def to_row(snapshot: DeviceSnapshot) -> tuple[Any, ...]:
    """Return the values of `DEVICE_COLUMNS`; JSON is text in the database."""
    return tuple(value.decode() if type(value) is bytes else value for value in _get_device(snapshot))


def reading_rows(readings: Iterable[StoreReading], ids: Mapping[str, int]) -> list[tuple[Any, ...]]:
    """Return the values of the columns of `reading`, without its id; what an analysis has not found is NULL."""
    # One expression for all rows: whatever is called for each of them is a tenth of what storing it takes.
    return [
        (
            ids[r.serial], r.ts_us, r.digest, r.rx_us, r.clock, r.source, r.channel, r.measures,
            r.health_index, r.status or None, r.anomalies or None,
        )
        for r in readings
    ]  # fmt: skip


def to_snapshot(row: Sequence[Any], last_seen_us: int) -> DeviceSnapshot:
    """Return the snapshot of a row of `DEVICE_COLUMNS`."""
    values = dict(zip(DEVICE_COLUMNS, row, strict=True))
    for name in ("services", "system_info", "metadata"):
        values[name] = values[name].encode()
    values["labels"] = values["labels"] or ""
    for name in ("quarantined", "pinned"):  # SQLite and MySQL have numbers only
        values[name] = bool(values[name])
    return DeviceSnapshot(last_seen_us=last_seen_us, **values)
