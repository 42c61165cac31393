"""Short ways to make writes, and to see what is in a database."""

from __future__ import annotations

import hashlib
from types import TracebackType
from typing import Any, Self

import msgspec
from peewee import SqliteDatabase

from actors.messages import DeviceSnapshot, StoreDevice, StoreReading, StoreScan
from actors.reader import Readers
from actors.storage.database import open_database

NOON = 1_755_864_000_000_000  # microseconds


def digest(body: str) -> bytes:
    return hashlib.blake2b(body.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def snapshot(serial: str = "A1", **fields: Any) -> DeviceSnapshot:
    return DeviceSnapshot(serial=serial, **({"kind": "datalogger", "family": "site"} | fields))


def device(serial: str = "A1", **fields: Any) -> StoreDevice:
    return StoreDevice(snapshot(serial, **fields))


def reading(serial: str = "A1", at: int = 0, body: str = '{"t":1}', **fields: Any) -> StoreReading:
    values = {"channel": "input", "digest": digest(body), "rx_us": NOON, "clock": "", "source": "mqtt"}
    return StoreReading(serial=serial, ts_us=NOON + at, measures=body, **(values | fields))


def scan(serial: str = "A1", at: int = 0, **fields: Any) -> StoreScan:
    """The scan number `at` of a device, with its own id and a time of its own."""
    values = {"scan_id": f"s{at}", "code": "4006381333931", "rx_us": NOON, "source": "mqtt", "named": True}
    told = values | fields
    return StoreScan(serial=serial, ts_us=NOON + at, digest=digest(told["code"]), **told)


def station(serial: str = "soil-1", **fields: Any) -> StoreDevice:
    return device(serial, **({"kind": "sensor", "family": "sensor", "site": "farm"} | fields))


def analysed(serial: str = "soil-1", at: int = 0, index: float | None = 81.5, **fields: Any) -> StoreReading:
    """A reading of a station with its analysis."""
    told = {"channel": "data", "health_index": index, "status": "Excellent" if index is not None else ""}
    return reading(serial, at, fields.pop("body", f'{{"pH":6.5,"N":{at}}}'), **(told | fields))


def ask_all(readers: Readers, query: Any) -> list[dict[str, Any]]:
    """Every item of all pages."""
    found: list[dict[str, Any]] = []
    while True:
        page = readers.ask(query)
        found += page.items
        if page.cursor is None:
            return found
        query = msgspec.structs.replace(query, after=page.cursor)


class Look:
    """A connection of its own to the database under test."""

    def __init__(self, url: str) -> None:
        self.database = open_database(url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.database.close()

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement in a transaction of its own."""
        self.database.connect(reuse_if_open=True)
        cursor = self.database.execute_sql(sql)
        return list(cursor.fetchall()) if cursor.description else []

    def column(self, sql: str) -> list[Any]:
        return [row[0] for row in self.run(sql)]

    def refuse(self, table: str, column: str, value: str) -> None:
        """Let the database itself refuse rows of `table` whose `column` is `value`."""
        condition = f"{column} <> '{value}'"
        if isinstance(self.database, SqliteDatabase):  # which cannot add a CHECK to a table
            self.run(
                f"CREATE TRIGGER refuse_{table} BEFORE INSERT ON {table} WHEN NOT (NEW.{condition}) "
                f"BEGIN SELECT RAISE(ABORT, 'refused by the test'); END"
            )
        else:
            self.run(f"ALTER TABLE {table} ADD CONSTRAINT refuse_{table} CHECK ({condition})")
