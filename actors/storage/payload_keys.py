"""The public keys of devices in the database; writes run in the writer."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.storage.models import PayloadKey as Row


class PayloadKey(msgspec.Struct, frozen=True):
    """One row of `payload_key`."""

    serial: str
    public: str
    """Base64 of 32 bytes."""
    changed_us: int


def find_payload_keys(database: Any) -> list[PayloadKey]:
    """Return every row."""
    return [PayloadKey(**row) for row in Row.select().dicts().execute(database)]


def count_given_keys(database: Any) -> int:
    """Return how many devices have given a key that has not ended."""
    return int(Row.select().where(Row.public != "").count(database))


def put_payload_key(database: Any, row: PayloadKey) -> None:
    """Write a row in the place of the one of the same serial."""
    drop_payload_key(database, row.serial)
    Row.insert(**msgspec.structs.asdict(row)).execute(database)


def end_payload_key(database: Any, serial: str, now_us: int) -> int:
    """Take the key out of the row of a serial, if there is one; return how many."""
    return int(Row.update(public="", changed_us=now_us).where(Row.serial == serial).execute(database))


def drop_payload_key(database: Any, serial: str) -> int:
    """Delete the row of a serial, if there is one; return how many."""
    return int(Row.delete().where(Row.serial == serial).execute(database))
