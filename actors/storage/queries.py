"""The questions that readers answer: each a frozen message that runs on a read-only connection and gives one page.

Pages are keyset pages, newest first: a page costs the same wherever it lies, and new rows do not shift it.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

import msgspec
from peewee import SQL, MySQLDatabase, NodeList, PostgresqlDatabase, fn

from actors.storage.models import DeadLetter, Device, Event, Reading, Sensor
from actors.storage.tokens import Token, find_token, list_tokens

#: Rows in one page at most.
MOST_ROWS = 1000


class Page(msgspec.Struct, frozen=True):
    """Rows and where the next page begins."""

    items: list[dict[str, Any]]
    cursor: str | None
    """Give it back as `after`; None on the last page."""


class BadCursor(ValueError):  # noqa: N818  # named after what it says of the argument
    """The cursor is not one that a page gave out."""


class Query(Protocol):
    """Anything that a reader runs."""

    def run(self, database: Any) -> Any:
        """Return the answer; `database` is connected and read-only."""


class FindReadings(msgspec.Struct, frozen=True, kw_only=True):
    """One device's readings with `since_us <= ts_us < until_us`, newest first."""

    serial: str
    channel: str | None = None
    metric: str | None = None
    """Only readings that hold a number of this name."""
    since_us: int | None = None
    until_us: int | None = None
    limit: int = 100
    after: str | None = None

    def run(self, database: Any) -> Page:
        """Return a page; without such a device it is empty."""
        device_id = find_device(database, self.serial)
        if device_id is None:
            return Page([], None)
        # Ordered like the unique index, which makes a page a single range of it.
        where = Reading.device_id == device_id
        if self.channel is not None:
            where &= Reading.channel == self.channel
        if self.metric is not None:
            where &= _holds(database, self.metric)
        if self.since_us is not None:
            where &= Reading.ts_us >= self.since_us
        if self.until_us is not None:
            where &= Reading.ts_us < self.until_us
        if self.after is not None:
            ts_us, digest = parse_reading_cursor(self.after)
            where &= (Reading.ts_us < ts_us) | ((Reading.ts_us == ts_us) & (Reading.digest < digest))
            where &= Reading.ts_us <= ts_us
        query = Reading.select().where(where).order_by(Reading.ts_us.desc(), Reading.digest.desc())
        rows = list(query.limit(bound(self.limit)).dicts().execute(database))
        is_full = len(rows) == bound(self.limit)
        cursor = reading_cursor(rows[-1]["ts_us"], bytes(rows[-1]["digest"])) if is_full else None
        return Page([to_item(row) for row in rows], cursor)


class RecentReadings(msgspec.Struct, frozen=True, kw_only=True):
    """The newest readings of one device, for what has to begin with a history."""

    serial: str
    limit: int = 100

    def run(self, database: Any) -> list[tuple[int, dict[str, float]]]:
        """Return (ts_us, measures), oldest first; without such a device nothing."""
        device_id = find_device(database, self.serial)
        query = Reading.select(Reading.ts_us, Reading.measures).where(Reading.device_id == device_id)
        query = query.order_by(Reading.ts_us.desc(), Reading.digest.desc()).limit(bound(self.limit))
        rows = list(query.tuples().execute(database))
        return [(ts_us, msgspec.json.decode(measures, type=dict[str, float])) for ts_us, measures in reversed(rows)]


class FindEvents(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to one device, or in the fleet, with `since_us <= ts_us < until_us`, newest first."""

    serial: str | None = None
    kind: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    limit: int = 100
    after: str | None = None

    def run(self, database: Any) -> Page:
        """Return a page."""
        query = Event.select()
        if self.serial is not None:
            query = query.where(Event.serial == self.serial)
        if self.kind is not None:
            query = query.where(Event.kind == self.kind)
        if self.since_us is not None:
            query = query.where(Event.ts_us >= self.since_us)
        if self.until_us is not None:
            query = query.where(Event.ts_us < self.until_us)
        page = page_by_id(database, query, Event.id, self.after, self.limit)
        for row in page.items:
            row["data"] = msgspec.json.decode(row["data"])
        return page


class FindDeadLetters(msgspec.Struct, frozen=True, kw_only=True):
    """Messages that could not be processed, newest first; `payload` is bytes."""

    reason: str | None = None
    serial: str | None = None
    limit: int = 100
    after: str | None = None

    def run(self, database: Any) -> Page:
        """Return a page."""
        query = DeadLetter.select()
        if self.reason is not None:
            query = query.where(DeadLetter.reason == self.reason)
        if self.serial is not None:
            query = query.where(DeadLetter.serial == self.serial)
        page = page_by_id(database, query, DeadLetter.id, self.after, self.limit)
        for row in page.items:
            row["payload"] = bytes(row["payload"])
        return page


class FindSensors(msgspec.Struct, frozen=True):
    """The numbers that a device has sent, by name."""

    serial: str

    def run(self, database: Any) -> Page:
        """Return at most `MOST_ROWS` rows, without a further page."""
        device_id = find_device(database, self.serial)
        if device_id is None:
            return Page([], None)
        query = Sensor.select(Sensor.name, Sensor.first_seen_us).where(Sensor.device_id == device_id)
        return Page(list(query.order_by(Sensor.name).limit(MOST_ROWS).dicts().execute(database)), None)


class FindToken(msgspec.Struct, frozen=True):
    """The API token with that SHA-256."""

    digest: str

    def run(self, database: Any) -> Token | None:
        """Return the token, ended or not."""
        return find_token(database, self.digest)


class ListTokens(msgspec.Struct, frozen=True):
    """All API tokens."""

    def run(self, database: Any) -> list[Token]:
        """Return them in the order of their making."""
        return list_tokens(database)


def to_item(row: dict[str, Any]) -> dict[str, Any]:
    """Turn a row of `reading` into what a page shows: decoded, and without the number of its device."""
    row["digest"] = bytes(row["digest"]).hex()
    row["measures"] = msgspec.json.decode(row["measures"])
    row["status"] = row["status"] or ""
    row["anomalies"] = msgspec.json.decode(row["anomalies"]) if row["anomalies"] else []
    row.pop("device_id", None)
    return row


def bound(limit: int) -> int:
    """Return a page's number of rows."""
    return max(1, min(limit, MOST_ROWS))


def find_device(database: Any, serial: str) -> int | None:
    """Return the number of a device, None without such a device."""
    found: int | None = Device.select(Device.id).where(Device.serial == serial).scalar(database)
    return found


def _holds(database: Any, metric: str) -> Any:
    """Return the condition that a reading holds a number named `metric`, whatever characters are in the name."""
    if isinstance(database, PostgresqlDatabase):
        return fn.json_extract_path(Reading.measures.cast("json"), metric).is_null(is_null=False)
    if isinstance(database, MySQLDatabase):
        # A path speaks of a name with dots in it only when quoted, as a JSON string.
        return fn.JSON_CONTAINS_PATH(Reading.measures, "one", f"$.{json.dumps(metric, ensure_ascii=False)}")
    # The quotes of SQLite's paths know no escapes; its table of an object's members needs no path.
    members = (SQL("EXISTS (SELECT 1 FROM json_each("), Reading.measures, SQL(") WHERE key ="), metric, SQL(")"))
    return NodeList(members)


def reading_cursor(ts_us: int, digest: bytes) -> str:
    """Return the cursor of what is older than this reading, by its device's clock."""
    return f"{ts_us}-{digest.hex()}"


def parse_reading_cursor(cursor: str) -> tuple[int, bytes]:
    """Return the time and the digest of a cursor of `reading_cursor`.

    Raises:
        BadCursor: it is none.

    """
    ts_us, _, digest = cursor.rpartition("-")
    try:
        parsed = int(ts_us), bytes.fromhex(digest)
    except ValueError:
        raise BadCursor(cursor[:100]) from None
    if not -(2**63) <= parsed[0] < 2**63:
        raise BadCursor(cursor[:100])
    return parsed


def parse_number_cursor(cursor: str) -> int:
    """Return the number that a cursor is.

    Raises:
        BadCursor: it is none.

    """
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):  # a signed 64-bit number
        raise BadCursor(cursor[:100])
    return int(cursor)


def page_by_id(database: Any, query: Any, key: Any, after: str | None, limit: int) -> Page:
    """Return a page of rows with an `id`, newest first. Raises `BadCursor`."""
    if after is not None:
        query = query.where(key < parse_number_cursor(after))
    rows = list(query.order_by(key.desc()).limit(bound(limit)).dicts().execute(database))
    return Page(rows, str(rows[-1]["id"]) if len(rows) == bound(limit) else None)
