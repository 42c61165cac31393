"""Dead letters: how a refused row becomes one, and how their number stays bounded."""

from __future__ import annotations

from typing import Final

import msgspec

from actors.messages import (
    DeleteDevice,
    StoreDeadLetter,
    StoreDevice,
    StoreReading,
    StoreScan,
    StoreSensors,
    StoreTwinReport,
    Write,
)
from actors.storage.connection import Connection
from actors.storage.models import DeadLetter
from actors.storage.sql import Dialect

REFUSED: Final = "refused_by_database"
UNKNOWN: Final = "unknown_device"

#: Rows kept in all, and of one serial for one reason; those without a serial may take a tenth of all.
KEEP: Final = 100_000
KEEP_EACH: Final = 1_000
#: Bytes of payload kept; an MQTT message may have 256 MB.
MOST_PAYLOAD: Final = 1 << 20
#: Characters of topic and detail kept (an MQTT topic has at most 65,535 bytes).
MOST_TEXT: Final = 65_535
#: Rows deleted beyond the excess, so that not every commit has to delete.
STEP: Final = 100
#: Counts per serial and reason that are remembered between commits.
MOST_COUNTS: Final = 10_000


def from_refused(write: Write, detail: str, now_us: int) -> StoreDeadLetter:
    """Return the dead letter of a write that the database refused."""
    if isinstance(write, StoreReading):
        return from_row(write, REFUSED, f"ts_us {write.ts_us}, {write.channel}: {detail}")
    if isinstance(write, StoreScan):
        return from_row(write, REFUSED, f"scan_id {write.scan_id}: {detail}")
    if isinstance(write, StoreTwinReport):
        return from_row(write, REFUSED, f"version {write.version}: {detail}")
    if isinstance(write, StoreDevice):
        serial = write.snapshot.serial
    else:
        serial = write.serial if isinstance(write, StoreSensors | DeleteDevice) else getattr(write, "serial", "")
    return StoreDeadLetter(REFUSED, f"{type(write).__name__}: {detail}", "", "", _encode(write), now_us, serial)


def from_row(row: StoreReading | StoreScan | StoreTwinReport, reason: str, detail: str) -> StoreDeadLetter:
    """Return the dead letter of a reading, scan or report; it inherits the token, so that its delivery is settled."""
    match row:
        case StoreReading():
            text = row.measures
        case StoreScan():
            text = row.code
        case _:
            text = row.reported
    return StoreDeadLetter(
        reason,
        detail,
        row.link,
        row.topic,
        row.payload or text.encode("utf-8", "replace"),
        row.rx_us,
        row.serial,
        token=row.token,
        reply_to=None if isinstance(row, StoreTwinReport) else row.reply_to,
    )


def _encode(write: Write) -> bytes:
    try:
        return msgspec.json.encode(write)
    except (UnicodeError, ValueError, OverflowError):  # lone surrogates, integers beyond 64 bits
        return repr(write).encode("utf-8", "backslashreplace")


def clean(text: str, longest: int = MOST_TEXT) -> str:
    """Return text that every database takes: no NUL, no lone surrogate, not too long."""
    return text[:longest].replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def to_row(letter: StoreDeadLetter) -> tuple[int, str, str, str, str, bytes, str, int]:
    """Return the values of a row; nothing in it can be refused for what a device sent."""
    return (
        max(0, min(letter.rx_us, 2**63 - 1)),
        clean(letter.reason, 64),
        clean(letter.detail),
        clean(letter.link, 128),
        clean(letter.topic),
        letter.payload[:MOST_PAYLOAD],
        clean(letter.serial, 64),
        letter.qos,
    )


class Retention:
    """Deletes the oldest dead letters beyond the limits, in small steps, inside the writer's transactions."""

    def __init__(
        self, connection: Connection, dialect: Dialect, *, keep: int = KEEP, keep_each: int = KEEP_EACH
    ) -> None:
        self._connection = connection
        self._keep = keep
        self._keep_each = keep_each
        self._total: int | None = None
        self._counts: dict[tuple[str, str], int] = {}
        self.deleted = 0
        """Rows deleted since the start."""
        each = "WHERE serial = ? AND reason = ?"
        self._count = dialect.scalar(DeadLetter, "COUNT(*)")
        self._count_each = dialect.scalar(DeadLetter, "COUNT(*)", each)
        self._oldest = dialect.select(DeadLetter, ("id",), "ORDER BY id LIMIT ?")
        self._oldest_each = dialect.select(DeadLetter, ("id",), f"{each} ORDER BY id LIMIT ?")
        self._delete = dialect.delete(DeadLetter, "id")

    def forget(self) -> None:
        """Count anew: a transaction was rolled back."""
        self._total = None
        self._counts.clear()

    def enforce(self, rows: list[tuple[int, str, str, str, str, bytes, str, int]]) -> None:
        """Delete what the rows just inserted have pushed out."""
        fresh: dict[tuple[str, str], int] = {}
        for row in rows:
            key = (row[6], row[1])
            fresh[key] = fresh.get(key, 0) + 1
        for key, count in fresh.items():
            self._enforce_each(key, count)
        self._total = self._count_rows() if self._total is None else self._total + len(rows)
        if self._total > self._keep:
            self._remove(self._connection.fetch(self._oldest, (self._excess(self._total, self._keep),)))

    def _enforce_each(self, key: tuple[str, str], fresh: int) -> None:
        known = self._counts.get(key)
        count = self._connection.fetch(self._count_each, key)[0][0] if known is None else known + fresh
        limit = self._keep_each if key[0] else max(self._keep_each, self._keep // 10)
        if count > limit:
            excess = self._excess(count, limit)
            count -= self._remove(self._connection.fetch(self._oldest_each, (*key, excess)))
        if len(self._counts) >= MOST_COUNTS:
            self._counts.clear()
        self._counts[key] = count

    def _count_rows(self) -> int:
        return int(self._connection.fetch(self._count)[0][0])

    @staticmethod
    def _excess(count: int, limit: int) -> int:
        return count - limit + min(STEP, limit // 10)

    def _remove(self, ids: list[tuple[int]]) -> int:
        self._connection.execute_many(self._delete, ids)
        self.deleted += len(ids)
        if self._total is not None:
            self._total -= len(ids)
        return len(ids)
