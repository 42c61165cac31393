"""Receipts: what recognises a reading whose identity cannot, because its time is the time of its receipt.

- A redelivery over MQTT (DUP) of a reading or a scan without id and timestamp: by the link's packet id and the digest.
- A message with the sender's own `id` and no timestamp: by that id, however often and whenever it comes.
- A request with an `Idempotency-Key`: by that key, whatever timestamp the sender has made for it meanwhile.

A receipt is written in the transaction of its reading. The same key with another body is another reading: it is stored,
since a reading that is lost is worse than one too many. Keys are forgotten after a day, see `actors.storage.retention`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Any, TypeVar

from actors.messages import StoreReading, StoreScan
from actors.storage.connection import Connection
from actors.storage.models import Receipt
from actors.storage.sql import Dialect, get_columns, slices

#: The packet id within a token (`connection epoch << 24 | lap << 16 | packet id`).
PACKET_ID = 0xFFFF
#: In place of a packet id, which MQTT counts from 1: the link's name is a key.
BY_KEY = 0

Row = TypeVar("Row", bound=StoreReading | StoreScan)
Key = tuple[str, int]
"""(link, packet id), or (key, `BY_KEY`)."""
Known = tuple[int, bytes]
"""(device id, digest)"""


def needs_receipt(reading: StoreReading | StoreScan) -> bool:
    """Return whether the identity alone may not recognise this reading when it comes again."""
    if isinstance(reading, StoreScan):
        return bool(reading.stamped and reading.token)
    return bool(reading.idempotency_key or (reading.stamped and (reading.token or reading.sender_id)))


class Receipts:
    """The receipts of one database; every method runs inside a transaction of the caller."""

    def __init__(self, connection: Connection, dialect: Dialect) -> None:
        self._connection = connection
        self._dialect = dialect
        self._columns = ("link", "mid", "device_id", "digest")
        self._write = dialect.upsert(Receipt, get_columns(Receipt), ("link", "mid"))
        self._find_packet = dialect.select(Receipt, self._columns, "WHERE link = ? AND mid = ?")

    def sift(self, readings: Sequence[Row], get_id: Callable[[str], int], known: list[Row]) -> list[Row]:
        """Return the rows that no receipt knows, and note theirs; those that are known are added to `known`."""
        keys = [_key_of(reading) if needs_receipt(reading) else None for reading in readings]
        found = self._find(readings, keys)
        kept: list[Row] = []
        fresh: dict[Key, tuple[int, int, bytes]] = {}
        for reading, key in zip(readings, keys, strict=True):
            if key is not None:
                device_id = get_id(reading.serial)
                recalls = key[1] == BY_KEY or reading.dup
                if recalls and found.get(key) == (device_id, reading.digest):
                    known.append(reading)
                    continue
                found[key] = (device_id, reading.digest)
                fresh[key] = (device_id, reading.rx_us if key[1] == BY_KEY else reading.ts_us, reading.digest)
            kept.append(reading)
        self._connection.execute_many(self._write, [(*key, *value) for key, value in fresh.items()])
        return kept

    def _find(self, readings: Iterable[StoreReading | StoreScan], keys: Iterable[Key | None]) -> dict[Key, Known]:
        """Return the receipts that are there already: all keys at once, packet ids only of redeliveries."""
        packets: dict[Key, None] = {}
        names: dict[str, None] = {}
        for reading, key in zip(readings, keys, strict=True):
            if key is not None and key[1] == BY_KEY:
                names[key[0]] = None
            elif key is not None and reading.dup:
                packets[key] = None
        rows: list[tuple[Any, ...]] = []
        for part in slices(list(names)):
            where = f"{self._dialect.within('link', len(part))} AND mid = ?"
            sql = self._dialect.select(Receipt, self._columns, where)
            rows += self._connection.fetch(sql, (*part, BY_KEY))
        for key in packets:
            rows += self._connection.fetch(self._find_packet, key)
        return {(link, mid): (device_id, bytes(digest)) for link, mid, device_id, digest in rows}


def _key_of(reading: StoreReading | StoreScan) -> Key:
    if isinstance(reading, StoreScan):
        return reading.link, reading.token & PACKET_ID
    if reading.idempotency_key:
        return f"http:{_digest(reading.serial, reading.idempotency_key)}", BY_KEY
    if reading.sender_id:  # its digest is that of the id
        return f"id:{_digest(reading.serial, reading.channel, reading.sender_id)}", BY_KEY
    return reading.link, reading.token & PACKET_ID


def _digest(*parts: str) -> str:
    """Return 32 hexadecimal digits; no part that a device may send holds the NUL between them."""
    return blake2b("\0".join(parts).encode(errors="surrogatepass"), digest_size=16).hexdigest()
