"""Twins in the database: one row for each device of which something is desired, or which has reported something."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from actors.messages import StoreTwinReport
from actors.storage.connection import Connection
from actors.storage.models import Event, Setting
from actors.storage.models import Twin as Row
from actors.storage.sql import Dialect, get_columns, slices
from actors.twins.documents import decode_document
from actors.twins.messages import Twin

EVENT: Final = "twin"
"""The kind of the audit records."""
FLOOR: Final = "twin.floor"
"""The setting with the highest version that a twin had whose device was deleted."""
EMPTY: Final = "{}"

_COLUMNS: Final = [getattr(Row, name) for name in Twin.__struct_fields__]
_BLANK: Final = (EMPTY, 0, 0, "", EMPTY, 0, 0, False)
"""What a row holds beside its serial before anything is known."""


class FindTwins(msgspec.Struct, frozen=True):
    """The twins of some devices, as far as there are any."""

    serials: Sequence[str]

    def run(self, database: Any) -> list[Twin]:
        """Return them in no particular order."""
        return [twin for part in slices(self.serials) for twin in _select(database, Row.serial.in_(list(part)))]


class FindPublished(msgspec.Struct, frozen=True):
    """The twins of which a broker retains something: what is desired, or what was desired of a device now deleted."""

    after: str
    limit: int

    def run(self, database: Any) -> list[Twin]:
        """Return those whose serial is above `after`, by serial."""
        where = (Row.serial > self.after) & ((Row.desired_version > 0) | Row.to_clear)
        return _select(database, where, self.limit)


def find_twin(database: Any, serial: str) -> Twin:
    """Return the twin of a device, a blank one if there is none."""
    return next(iter(_select(database, Row.serial == serial)), Twin(serial=serial))


def find_floor(database: Any) -> int:
    """Return the highest version of all twins whose devices were deleted; new ones begin above it."""
    row = Setting.select(Setting.value).where(Setting.key == FLOOR).tuples().execute(database)
    return next((int(value) for (value,) in row), 0)


def put_desired(database: Any, known: Twin, twin: Twin, desired: str) -> bool:
    """Write what is desired, as JSON; False, and nothing is written, if it is not as `known` any more."""
    changes = {
        "desired": desired,
        "desired_version": twin.desired_version,
        "desired_us": twin.desired_us,
        "changed_by": twin.changed_by,
        "to_clear": False,
    }
    is_it = (Row.serial == twin.serial) & (Row.desired_version == known.desired_version)
    if Row.update(**changes).where(is_it).execute(database):
        return True
    if Row.select().where(Row.serial == twin.serial).exists(database):
        return False
    Row.insert(serial=twin.serial, reported=EMPTY, reported_version=0, reported_us=0, **changes).execute(database)
    return True


def put_record(database: Any, serial: str, ts_us: int, data: dict[str, Any]) -> None:
    """Write an audit record; runs in the writer."""
    text = msgspec.json.encode(data).decode()
    Event.insert(ts_us=ts_us, serial=serial, kind=EVENT, data=text).execute(database)


def drop_cleared(database: Any, serial: str) -> None:
    """Note that brokers retain nothing of a deleted device any more; runs in the writer."""
    is_it = (Row.serial == serial) & Row.to_clear
    Row.delete().where(is_it & (Row.reported_us == 0)).execute(database)
    Row.update(to_clear=False).where(is_it).execute(database)


def _select(database: Any, where: Any, limit: int | None = None) -> list[Twin]:
    query = Row.select(*_COLUMNS).where(where).order_by(Row.serial).limit(limit)
    return [_twin(row) for row in query.dicts().execute(database)]


def _twin(row: dict[str, Any]) -> Twin:
    row["desired"], row["reported"] = decode_document(row["desired"]), decode_document(row["reported"])
    row["to_clear"] = bool(row["to_clear"])  # SQLite and MySQL have numbers only
    return Twin(**row)


class TwinTable:
    """The writer's statements; every method runs inside a transaction of the caller."""

    def __init__(self, connection: Connection, dialect: Dialect) -> None:
        self._connection = connection
        self._insert = dialect.insert_new(Row, get_columns(Row))
        self._report = dialect.update(Row, ("reported", "reported_version", "reported_us"), "serial")
        self._forget = dialect.update(Row, get_columns(Row, "serial"), "serial")
        self._version = dialect.select(Row, ("desired_version",), "WHERE serial = ?")
        self._floor = dialect.upsert(Setting, get_columns(Setting), ("key",))

    def put(self, reports: Iterable[StoreTwinReport]) -> None:
        """Write what devices have reported; of several by one device the last counts."""
        latest = {report.serial: report for report in reports}
        self._connection.execute_many(self._insert, [(serial, *_BLANK) for serial in latest])
        rows = [(report.reported, report.version, report.rx_us, report.serial) for report in latest.values()]
        self._connection.execute_many(self._report, rows)

    def forget(self, serial: str) -> None:
        """Forget all of a deleted device's twin but that brokers retain something of it, and how far it had come."""
        found = self._connection.fetch(self._version, (serial,))
        if not found:
            return
        version = int(found[0][0])
        if version > find_floor(self._connection.database):
            self._connection.execute(self._floor, (FLOOR, str(version)))
        self._connection.execute(self._forget, (*_BLANK[:-1], True, serial))
