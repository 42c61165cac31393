"""Enrolments in the database: one row per serial that ever asked, and an event for each step of it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.enrolment.rules import Enrolment, fingerprint
from actors.storage.models import ApiToken, Event
from actors.storage.models import Enrolment as Row
from actors.storage.purge import ENROLMENT
from actors.storage.queries import BadCursor, Page, bound

_COLUMNS: Final = [getattr(Row, name) for name in Enrolment.__struct_fields__]


def find_enrolment(database: Any, serial: str) -> Enrolment | None:
    """Return what is known of a serial."""
    query = Row.select(*_COLUMNS).where(Row.serial == serial).dicts()
    return next((Enrolment(**row) for row in query.execute(database)), None)


def count_enrolments(database: Any) -> int:
    """Return how many serials have ever asked."""
    return int(Row.select().count(database))


def put_enrolment(database: Any, known: Enrolment | None, new: Enrolment) -> None:
    """Write a row; `known` is what `find_enrolment` has returned in this transaction. Runs in the writer."""
    values = msgspec.structs.asdict(new)
    if known is None:
        Row.insert(**values).execute(database)
    else:
        Row.update(**values).where(Row.serial == new.serial).execute(database)


def put_record(database: Any, serial: str, ts_us: int, data: dict[str, str]) -> None:
    """Write an audit record; runs in the writer."""
    text = msgspec.json.encode(data).decode()
    Event.insert(ts_us=ts_us, serial=serial, kind=ENROLMENT, data=text).execute(database)


def find_live_digest(database: Any, token_id: int | None, now_us: int) -> str:
    """Return the digest of a token that is valid, empty for none."""
    is_live = ApiToken.revoked_us.is_null() & (ApiToken.expires_us.is_null() | (ApiToken.expires_us > now_us))
    query = ApiToken.select(ApiToken.hash).where((ApiToken.id == token_id) & is_live).tuples()
    return next((str(digest) for (digest,) in query.execute(database)), "")


class FindEnrolment(msgspec.Struct, frozen=True):
    """One enrolment, and the digest of its token as long as that is valid."""

    serial: str
    now_us: int

    def run(self, database: Any) -> tuple[Enrolment | None, str]:
        """Return (row, digest)."""
        known = find_enrolment(database, self.serial)
        return known, find_live_digest(database, known.token_id, self.now_us) if known is not None else ""


class FindEnrolments(msgspec.Struct, frozen=True, kw_only=True):
    """All enrolments: those that wait first, then by serial."""

    now_us: int
    limit: int = 100
    after: str | None = None

    def run(self, database: Any) -> Page:
        """Return a page."""
        waits, serial = _parse_cursor(self.after)
        limit = bound(self.limit)
        rows = self._select(database, "waiting", serial, limit) if waits else []
        if len(rows) < limit:
            rows += self._select(database, "others", "" if waits else serial, limit - len(rows))
        items = [show_enrolment(row, self.now_us) for row in rows]
        return Page(items, _cursor(rows[-1]) if len(rows) == limit else None)

    def _select(self, database: Any, which: str, after: str, limit: int) -> list[Enrolment]:
        is_in = Row.state == "pending" if which == "waiting" else Row.state != "pending"
        query = Row.select(*_COLUMNS).where(is_in & (Row.serial > after)).order_by(Row.serial).limit(limit)
        return [Enrolment(**row) for row in query.dicts().execute(database)]


def show_enrolment(row: Enrolment, now_us: int) -> dict[str, Any]:
    """Return a row as operators see it."""
    shown = msgspec.structs.asdict(row) | {"state": row.state_at(now_us), "request": fingerprint(row, now_us)}
    del shown["claim"], shown["token_id"]
    return shown


def _cursor(row: Enrolment) -> str:
    return f"{'w' if row.state == 'pending' else 'o'}{row.serial}"


def _parse_cursor(cursor: str | None) -> tuple[bool, str]:
    """Return whether it is among those that wait, and the serial."""
    if cursor is None:
        return True, ""
    if cursor[:1] not in ("w", "o"):
        raise BadCursor("the cursor is not one of ours")
    return cursor[0] == "w", cursor[1:]
