"""Rollouts in the database: the questions for them; all that changes them runs in the writer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from actors.storage.models import Event, MaintenanceWindow, RolledBack, RolloutDevice
from actors.storage.models import Rollout as Row
from actors.storage.queries import BadCursor, Page, bound
from actors.storage.sql import Dialect, slices
from actors.updates.entry import Entry
from actors.updates.header import Header
from actors.updates.messages import Windows
from actors.updates.states import ENDED, STATES

EVENT: Final = "rollout"
"""The kind of the audit records of what operators do, and of the news of a device's updates."""

_ID: Final = re.compile(r"[0-9a-f]{32}")
_COLUMNS: Final = [getattr(Row, name) for name in Header.__struct_fields__]
_CHANGING: Final = ("status", "reason", "wave", "reached_us", "counts", "changed_us")
_OPEN: Final = [state for state, rule in STATES.items() if rule.kind in ("waiting", "active")]
_MOVING: Final = ("wave", "state", "since_us", "attempts", "reason", "progress", "forced")


class FindRollout(msgspec.Struct, frozen=True):
    """One rollout, None when there is none of this id."""

    id: str

    def run(self, database: Any) -> Header | None:
        """Return the row."""
        return find_rollout(database, self.id)


class FindRollouts(msgspec.Struct, frozen=True, kw_only=True):
    """Rollouts, newest first; None does not restrict."""

    status: str | None = None
    limit: int = 100
    after: str | None = None

    def run(self, database: Any) -> Page:
        """Return a page; its items have the fields of `Header`."""
        where = Row.id != ""
        if self.status is not None:
            where &= Row.status == self.status
        if self.after is not None:
            if not _ID.fullmatch(self.after):
                raise BadCursor("the cursor is not one of ours")
            where &= Row.id < self.after
        query = Row.select(*_COLUMNS).where(where).order_by(Row.id.desc()).limit(bound(self.limit))
        rows = list(query.dicts().execute(database))
        return Page(rows, rows[-1]["id"] if len(rows) == bound(self.limit) else None)


class FindRolloutDevices(msgspec.Struct, frozen=True, kw_only=True):
    """Devices of a rollout by serial; None does not restrict."""

    rollout_id: str
    state: str | None = None
    limit: int = 100
    after: str | None = None

    def run(self, database: Any) -> Page:
        """Return a page; its items have the columns of `RolloutDevice`."""
        where = (RolloutDevice.rollout_id == self.rollout_id) & (RolloutDevice.serial > (self.after or ""))
        if self.state is not None:
            where &= RolloutDevice.state == self.state
        query = RolloutDevice.select().where(where).order_by(RolloutDevice.serial).limit(bound(self.limit))
        rows = list(query.dicts().execute(database))
        return Page(rows, rows[-1]["serial"] if len(rows) == bound(self.limit) else None)


class StoredEntry(msgspec.Struct, frozen=True, array_like=True):
    """An `Entry` as it was when it was to be stored; the fields are columns."""

    serial: str
    wave: int
    state: str
    since_us: int
    attempts: int
    reason: str
    progress: float | None
    forced: bool

    @classmethod
    def of(cls, entry: Entry) -> StoredEntry:
        """Return a copy of an entry."""
        return cls(
            entry.serial,
            entry.wave,
            entry.state,
            round(entry.since * 1_000_000),
            entry.attempts,
            entry.reason,
            entry.progress,
            entry.forced,
        )


def find_rollout(database: Any, rollout_id: str) -> Header | None:
    """Return one rollout, None when there is none of this id."""
    if not _ID.fullmatch(rollout_id):
        return None
    rows = list(Row.select(*_COLUMNS).where(Row.id == rollout_id).dicts().execute(database))
    return Header(**rows[0]) if rows else None


def find_live(database: Any) -> list[Header]:
    """Return the rollouts that are not over, oldest first, and those that are while some of their devices are not.

    Such a device is on its way yet, or the step that ended the rollout was cut off before it came to the device.
    """
    is_open = RolloutDevice.select(RolloutDevice.rollout_id).where(RolloutDevice.state.in_(_OPEN))
    where = Row.status.not_in(list(ENDED)) | Row.id.in_(is_open)
    query = Row.select(*_COLUMNS).where(where).order_by(Row.id)
    return [Header(**row) for row in query.dicts().execute(database)]


def load_entries(database: Any, rollout_id: str, after: str, limit: int) -> list[Entry]:
    """Return a slice of the devices of a rollout, by serial."""
    where = (RolloutDevice.rollout_id == rollout_id) & (RolloutDevice.serial > after)
    query = RolloutDevice.select().where(where).order_by(RolloutDevice.serial).limit(limit)
    return [_entry(row) for row in query.dicts().execute(database)]


def is_device_of(database: Any, rollout_id: str, serial: str) -> bool:
    """Return whether a device is in a rollout."""
    if not _ID.fullmatch(rollout_id):
        return False
    where = (RolloutDevice.rollout_id == rollout_id) & (RolloutDevice.serial == serial)
    return bool(list(RolloutDevice.select(RolloutDevice.wave).where(where).tuples().execute(database)))


def find_rollout_of(database: Any, serial: str, version: str) -> str | None:
    """Return the id of the newest rollout that has brought a version to a device, or was to."""
    query = (
        Row.select(Row.id)
        .join(RolloutDevice, on=(RolloutDevice.rollout_id == Row.id))
        .where((RolloutDevice.serial == serial) & (Row.version == version))
        .order_by(Row.id.desc())
        .limit(1)
    )
    return next((found for (found,) in query.tuples().execute(database)), None)


def find_rolled_back(database: Any, version: str, serials: Sequence[str]) -> set[str]:
    """Return those of the devices on which a version was rolled back."""
    found: set[str] = set()
    for part in slices(serials):
        where = (RolledBack.version == version) & RolledBack.serial.in_(list(part))
        found |= {serial for (serial,) in RolledBack.select(RolledBack.serial).where(where).tuples().execute(database)}
    return found


def insert_rollout(database: Any, header: Header) -> None:
    """Add a rollout, whose devices are there already: it counts from now on."""
    Row.insert(**msgspec.structs.asdict(header)).execute(database)


def insert_entries(database: Any, rollout_id: str, entries: Iterable[StoredEntry]) -> None:
    """Add devices of a rollout that is still to be added."""
    sql = Dialect(database).insert(RolloutDevice, ("rollout_id", *StoredEntry.__struct_fields__))
    cursor = database.cursor()
    cursor.executemany(sql, [(rollout_id, *msgspec.structs.astuple(entry)) for entry in entries])
    cursor.close()


def delete_orphans(database: Any) -> int:
    """Delete devices of rollouts that were cut off before they began; return how many."""
    query = RolloutDevice.delete().where(RolloutDevice.rollout_id.not_in(Row.select(Row.id)))
    return int(query.execute(database))


def update_rollout(database: Any, header: Header) -> None:
    """Write what has changed of a rollout."""
    Row.update(**{name: getattr(header, name) for name in _CHANGING}).where(Row.id == header.id).execute(database)


def update_entries(database: Any, rollout_id: str, entries: Sequence[StoredEntry]) -> None:
    """Write how far devices are; of one that was deleted meanwhile nothing is written."""
    dialect = Dialect(database)
    changes = ", ".join(f"{dialect.quote(name)} = ?" for name in _MOVING)
    sql = f"UPDATE {dialect.table(RolloutDevice)} SET {changes} WHERE rollout_id = ? AND serial = ?"  # noqa: S608  # marks
    rows = [(*(getattr(entry, name) for name in _MOVING), rollout_id, entry.serial) for entry in entries]
    cursor = database.cursor()
    cursor.executemany(dialect.text(sql), rows)
    cursor.close()


def put_rolled_back(database: Any, serial: str, version: str, at_us: int, reason: str) -> None:
    """Note that a device has left a version again."""
    forget_rolled_back(database, serial, version)
    RolledBack.insert(serial=serial, version=version, at_us=at_us, reason=reason).execute(database)


def forget_rolled_back(database: Any, serial: str, version: str) -> None:
    """Note that a version has succeeded on a device."""
    where = (RolledBack.serial == serial) & (RolledBack.version == version)
    RolledBack.delete().where(where).execute(database)


def load_windows(database: Any) -> dict[str, Windows]:
    """Return the maintenance windows that were set while the server ran, by site."""
    rows = MaintenanceWindow.select(MaintenanceWindow.site, MaintenanceWindow.windows).tuples().execute(database)
    return {site: msgspec.json.decode(text, type=Windows) for site, text in rows}


def put_windows(database: Any, site: str, windows: Windows, now_us: int, by: str) -> None:
    """Set the maintenance windows of a site; none leaves nothing."""
    MaintenanceWindow.delete().where(MaintenanceWindow.site == site).execute(database)
    if windows:
        text = msgspec.json.encode(windows).decode()
        MaintenanceWindow.insert(site=site, windows=text, changed_us=now_us, changed_by=by[:255]).execute(database)


def put_record(database: Any, serial: str, ts_us: int, data: dict[str, Any]) -> None:
    """Write an audit record, of the fleet's when `serial` is empty."""
    text = msgspec.json.encode(data).decode()
    Event.insert(ts_us=ts_us, serial=serial, kind=EVENT, data=text).execute(database)


def _entry(row: dict[str, Any]) -> Entry:
    fields = {name: row[name] for name in ("serial", "wave", "state", "attempts", "reason", "progress")}
    return Entry(**fields, since=row["since_us"] / 1_000_000, forced=bool(row["forced"]))
