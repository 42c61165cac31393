"""The roll-ups: what a follower of `reading` adds to the hours and days, and how far it has come.

The cursor is a row in `setting`, written in the transaction of what it covers. One round may be too much for one
transaction: then the cursor tells where the round ends and which devices are done, in the order of their numbers.
A round that was broken off is read again up to the same row and goes on with the next device: each reading counts once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from peewee import MySQLDatabase

from actors.storage.models import Device, RollupDay, RollupHour, Setting, Table
from actors.storage.purge import TOMBSTONE
from actors.storage.sql import Dialect, get_columns, slices

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
#: Numbers beyond this are left out: the sum of a hundred million of them still is a number.
LARGEST: Final = 1e300
#: Begins the keys of cursors in `setting`; what lies behind any of them is not deleted yet.
CURSORS: Final = "cursor."
#: The key of the roll-ups' cursor; where several servers share a database, each appends its own name.
ROLLUP: Final = f"{CURSORS}rollup"
#: Rows in one statement: seven values each, and SQLite's oldest limit is 999 parameters.
_ROWS: Final = 140

Hours: TypeAlias = dict[tuple[str, int], list[Any]]
"""(metric, start of the hour) to n, minimum, maximum, sum."""


class Cursor(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far the roll-ups have come."""

    after: int = 0
    """Every row up to this id is in them."""
    until: int | None = None
    """The end of the round that is under way."""
    done: int = 0
    """The devices up to this number have got what belongs to that round."""

    def of_device(self, device_id: int) -> int:
        """Return the id up to which the rows of a device are in the roll-ups."""
        return self.until if self.until is not None and device_id <= self.done else self.after


class CursorMoved(Exception):  # noqa: N818  # a state, not a fault
    """Somebody else has moved the cursor: nothing was written."""


class Sum:
    """Adds up readings by device and hour."""

    def __init__(self) -> None:
        self.devices: dict[int, Hours] = {}
        self.size = 0
        """How many (device, measure, hour) there are."""
        self.largest = 0
        """How many of them the device with the most has."""

    def add(self, device_id: int, ts_us: int, measures: Mapping[str, float]) -> None:
        """Add one reading."""
        hours = self.devices.get(device_id)
        if hours is None:
            hours = self.devices[device_id] = {}
        before = len(hours)
        start = ts_us - ts_us % HOUR_US
        for metric, value in measures.items():
            if not -LARGEST <= value <= LARGEST:
                continue
            sums = hours.get((metric, start))
            if sums is None:
                hours[metric, start] = [1, value, value, value]
                continue
            sums[0] += 1
            if value < sums[1]:
                sums[1] = value
            elif value > sums[2]:
                sums[2] = value
            sums[3] += value
        self.size += len(hours) - before
        self.largest = max(self.largest, len(hours))


def read_cursor(database: Any, key: str) -> Cursor:
    """Return the cursor, at the beginning if there is none."""
    value = Setting.select(Setting.value).where(Setting.key == key).scalar(database)
    return Cursor() if value is None else msgspec.json.decode(value, type=Cursor)


def advance(
    database: Any, key: str, expected: Cursor, then: Cursor, devices: Mapping[int, Hours] | None = None
) -> None:
    """Add the hours of some devices to the roll-ups and move the cursor, in the caller's transaction.

    Raises:
        CursorMoved: the cursor is not where it was.

    """
    if read_cursor(database, key) != expected:
        raise CursorMoved(key)
    hours = devices or {}
    alive = _living(database, list(hours))
    put(database, {device_id: of for device_id, of in hours.items() if device_id in alive})
    save_setting(database, key, msgspec.json.encode(then).decode())


def put(database: Any, devices: Mapping[int, Hours]) -> None:
    """Add hours to the roll-ups of the hour, and their sums to those of the day."""
    hours = [(device_id, *key, *sums) for device_id, of in devices.items() for key, sums in of.items()]
    days = [(device_id, *key, *sums) for device_id, of in devices.items() for key, sums in sum_days(of).items()]
    for table, rows in ((RollupHour, hours), (RollupDay, days)):
        rows.sort()  # in the order of the key: fewer pages are touched, and two writers cannot block each other
        for part in slices(rows, _ROWS):
            database.execute_sql(_upsert(database, table, len(part)), [value for row in part for value in row])


def sum_days(hours: Hours) -> dict[tuple[str, int], list[Any]]:
    """Return the sums of the days that the hours lie in."""
    days: dict[tuple[str, int], list[Any]] = {}
    for (metric, start), (n, low, high, total) in hours.items():
        key = (metric, start - start % DAY_US)
        old = days.get(key)
        days[key] = (
            [n, low, high, total] if old is None else [old[0] + n, min(old[1], low), max(old[2], high), old[3] + total]
        )
    return days


def replace_day(database: Any, key: str, expected: Cursor, *, device_id: int, day_us: int, hours: Hours) -> None:
    """Put these sums in the place of all that the roll-ups hold of a device's day, in the caller's transaction.

    Raises:
        CursorMoved: the cursor is not where it was.

    """
    if read_cursor(database, key) != expected:
        raise CursorMoved(key)
    for table in (RollupHour, RollupDay):
        within = (table.device_id == device_id) & (table.start_us >= day_us) & (table.start_us < day_us + DAY_US)
        table.delete().where(within).execute(database)
    if device_id in _living(database, [device_id]):
        put(database, {device_id: hours})


def horizon_key(table: type[Table]) -> str:
    """Return the key in `setting` under which stands since when a roll-up is kept, microseconds."""
    return f"kept_since.{table._meta.table_name}"  # noqa: SLF001  # peewee's documented place


def save_setting(database: Any, key: str, value: str) -> None:
    """Write a row of `setting`."""
    dialect = Dialect(database)
    database.execute_sql(dialect.upsert(Setting, get_columns(Setting), ("key",)), (key, value))


def _living(database: Any, ids: Sequence[int]) -> set[int]:
    """Return which of these devices have not been deleted."""
    found: set[int] = set()
    for part in slices(ids):
        query = Device.select(Device.id).where(Device.id.in_(part) & ~Device.serial.startswith(TOMBSTONE))
        found.update(row[0] for row in query.tuples().execute(database))
    return found


def _upsert(database: Any, table: type[Table], rows: int) -> str:
    """Return the statement that adds `rows` sums to what is there."""
    dialect = Dialect(database)
    name, q = dialect.table(table), dialect.quote
    marks = f"({', '.join('?' * 7)})"
    insert = (
        f"INSERT INTO {name} (device_id, metric, start_us, {q('n')}, {q('min')}, {q('max')}, {q('sum')}) "  # noqa: S608  # ours
        f"VALUES {', '.join([marks] * rows)} "
    )
    if isinstance(database, MySQLDatabase):
        head, old, new = "ON DUPLICATE KEY UPDATE", "{0}", "VALUES({0})"
    else:
        head, old, new = "ON CONFLICT (device_id, metric, start_us) DO UPDATE SET", f"{name}.{{0}}", "excluded.{0}"
    changes = []
    for column, sql in (("n", "{o} + {n}"), ("min", "{l}"), ("max", "{g}"), ("sum", "{o} + {n}")):
        o, n = old.format(q(column)), new.format(q(column))
        least = f"CASE WHEN {n} < {o} THEN {n} ELSE {o} END"
        greatest = f"CASE WHEN {n} > {o} THEN {n} ELSE {o} END"
        changes.append(f"{q(column)} = {sql.format(o=o, n=n, l=least, g=greatest)}")
    return dialect.text(f"{insert}{head} {', '.join(changes)}")
