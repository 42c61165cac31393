"""Scans: the question for them, and the writer's part of the table.

Pages are in the order of the devices' clocks, newest first, like those of readings; `rx_us` and `clock` beside each
scan tell how far its time can be trusted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from peewee import MySQLDatabase, fn

from actors.messages import StoreScan
from actors.storage.connection import Connection
from actors.storage.models import Device, Scan
from actors.storage.purge import TOMBSTONE
from actors.storage.queries import BadCursor, Page, bound, find_device, parse_number_cursor
from actors.storage.sql import Dialect, get_columns

#: Characters of a code that the index holds: a longer one is compared as a whole behind it.
KEY_LENGTH: Final = 64


class FindScans(msgspec.Struct, frozen=True, kw_only=True):
    """Scans with `since_us <= ts_us < until_us`, newest first; None does not restrict."""

    serial: str | None = None
    code: str | None = None
    """The whole code, compared exactly."""
    since_us: int | None = None
    until_us: int | None = None
    limit: int = 100
    after: str | None = None

    def run(self, database: Any) -> Page:
        """Return a page; without such a device it is empty.

        An item: `id`, `device_id` (the serial), `scan_id`, `code`, `symbology`, `valid`, `scanner`, `clock`, `source`,
        `ts_us`, `rx_us`.
        """
        device_id = None if self.serial is None else find_device(database, self.serial)
        if self.serial is not None and device_id is None:
            return Page([], None)
        rows = [_to_item(row) for row in self.to_query(database, device_id).dicts().execute(database)]
        is_full = len(rows) == bound(self.limit)
        return Page(rows, f"{rows[-1]['ts_us']}-{rows[-1]['id']}" if is_full else None)

    def to_query(self, database: Any, device_id: int | None) -> Any:
        """Return the query for the scans of a device, or of all that were not deleted."""
        if device_id is None:
            device = ~Device.serial.startswith(TOMBSTONE)
        else:  # the sum keeps the index of the device out of a search for a code, of which a device may have few
            device = (Scan.device_id if self.code is None else Scan.device_id + 0) == device_id
        query = Scan.select(*_SHOWN).join(Device, on=(Device.id == Scan.device_id))
        query = query.where(device, *self._times(), *self._codes(database))
        return query.order_by(Scan.ts_us.desc(), Scan.id.desc()).limit(bound(self.limit))

    def _times(self) -> Iterator[Any]:
        if self.since_us is not None:
            yield Scan.ts_us >= self.since_us
        if self.until_us is not None:
            yield Scan.ts_us < self.until_us
        if self.after is not None:
            ts_us, row_id = _parse_cursor(self.after)
            yield Scan.ts_us <= ts_us  # where an index can begin
            yield (Scan.ts_us < ts_us) | (Scan.id < row_id)

    def _codes(self, database: Any) -> Iterator[Any]:
        if self.code is None:
            return
        yield Scan.code_key == self.code[:KEY_LENGTH]
        yield Scan.code == self.code
        if isinstance(database, MySQLDatabase):  # to which `A` and `A ` are equal
            yield fn.CHAR_LENGTH(Scan.code) == len(self.code)


class FindScan(msgspec.Struct, frozen=True):
    """The scan that a device has sent with that id."""

    serial: str
    scan_id: str

    def run(self, database: Any) -> dict[str, Any] | None:
        """Return an item as `FindScans` does; None when it is not there any more."""
        query = Scan.select(*_SHOWN).join(Device, on=(Device.id == Scan.device_id))
        query = query.where(Device.serial == self.serial, Scan.scan_id == self.scan_id)
        return next((_to_item(row) for row in query.dicts().execute(database)), None)


_SHOWN: Final = (
    Scan.id,
    Device.serial.alias("device_id"),
    Scan.scan_id,
    Scan.code,
    Scan.symbology,
    Scan.valid,
    Scan.scanner,
    Scan.clock,
    Scan.source,
    Scan.ts_us,
    Scan.rx_us,
)


def _to_item(row: dict[str, Any]) -> dict[str, Any]:
    valid = row["valid"]
    return row | {"valid": None if valid is None else bool(valid)}  # SQLite and MySQL have numbers only


def _parse_cursor(cursor: str) -> tuple[int, int]:
    ts_us, dash, row_id = cursor.partition("-")
    if not dash:
        raise BadCursor(cursor[:100])
    return parse_number_cursor(ts_us), parse_number_cursor(row_id)


class ScanTable:
    """The writer's statements; every method runs inside a transaction of the caller."""

    def __init__(self, connection: Connection, dialect: Dialect) -> None:
        self._connection = connection
        self._insert = dialect.insert_new(Scan, get_columns(Scan, "id"))
        self._newest = dialect.scalar(Scan, "COALESCE(MAX(id), 0)")
        self._found = dialect.select(Scan, ("device_id", "scan_id"), "WHERE id > ?")

    def put(
        self, scans: Sequence[StoreScan], ids: Mapping[str, int]
    ) -> tuple[Sequence[StoreScan], Sequence[StoreScan]]:
        """Insert scans of devices that have a row; return those that were new, and those that were known."""
        ((newest,),) = self._connection.fetch(self._newest)
        rows = [_to_row(scan, ids[scan.serial]) for scan in scans]
        if self._connection.execute_many(self._insert, rows) == len(rows):
            return scans, ()
        # The ids of new rows are higher than `newest`: nobody else writes those of our devices.
        inserted = set(self._connection.fetch(self._found, (newest,)))
        new: list[StoreScan] = []
        known: list[StoreScan] = []
        for scan, row in zip(scans, rows, strict=True):
            if row[:2] in inserted:
                inserted.discard(row[:2])
                new.append(scan)
            else:
                known.append(scan)
        return new, known


def _to_row(scan: StoreScan, device_id: int) -> tuple[Any, ...]:
    """Return the values of the columns of `scan`, without its id."""
    return (
        device_id, scan.scan_id, scan.ts_us, scan.rx_us, scan.clock, scan.source,
        scan.code, scan.code[:KEY_LENGTH], scan.symbology, scan.valid, scan.scanner,
    )  # fmt: skip
