"""Rare queries that the writer answers: what is loaded at the start, and the handling of dead letters."""

from __future__ import annotations

from typing import Any

from peewee import JOIN, fn

from actors.messages import DeviceSnapshot, StoreDeadLetter
from actors.storage.models import DeadLetter, Device, LastSeen
from actors.storage.plan import DEVICE_COLUMNS, to_snapshot
from actors.storage.purge import TOMBSTONE


def load_devices(database: Any, after_serial: str, limit: int) -> list[DeviceSnapshot]:
    """Return up to `limit` devices whose serial follows `after_serial` in the database's own order; "" begins."""
    columns = [getattr(Device, name) for name in DEVICE_COLUMNS]
    query = (
        Device.select(*columns, fn.COALESCE(LastSeen.ts_us, 0))
        .join(LastSeen, JOIN.LEFT_OUTER, on=(LastSeen.device_id == Device.id))
        .where((Device.serial > after_serial) & ~Device.serial.startswith(TOMBSTONE))
        .order_by(Device.serial)
        .limit(limit)
    )
    return [to_snapshot(row[:-1], row[-1]) for row in query.tuples().execute(database)]


def load_dead_letter(database: Any, letter_id: int) -> StoreDeadLetter | None:
    """Return a dead letter as it was written, or None."""
    query = DeadLetter.select().where(DeadLetter.id == letter_id).dicts()
    for row in query.execute(database):
        del row["id"], row["replayed_us"]
        return StoreDeadLetter(**(row | {"payload": bytes(row["payload"])}))
    return None


def mark_replayed(database: Any, letter_id: int, now_us: int) -> bool:
    """Note that a dead letter was handed in again; False if it is not there."""
    query = DeadLetter.update({DeadLetter.replayed_us: now_us}).where(DeadLetter.id == letter_id)
    return bool(query.execute(database))
