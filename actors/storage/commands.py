"""Commands in the database: the questions for them, and what the writer does to the table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from actors.commands.messages import OPEN
from actors.commands.rules import Command
from actors.storage.models import Command as Row
from actors.storage.models import Event
from actors.storage.queries import BadCursor, Page, bound
from actors.storage.sql import Dialect, slices

#: The kind of the audit records.
EVENT: Final = "command"

_ID: Final = re.compile(r"[0-9a-f]{32}")
_NAMES: Final = Command.__struct_fields__
_COLUMNS: Final = [getattr(Row, name) for name in _NAMES]
_CHANGING: Final = ("state", "result", "reason", "sent_us", "accepted_us", "changed_us")


class FindCommand(msgspec.Struct, frozen=True):
    """One command, None when there is none of this id."""

    id: str

    def run(self, database: Any) -> Command | None:
        """Return the row."""
        return find_commands(database, [self.id]).get(self.id)


class FindCommands(msgspec.Struct, frozen=True, kw_only=True):
    """Commands, newest first; None does not restrict."""

    serial: str | None = None
    batch: str | None = None
    state: str | None = None
    limit: int = 100
    after: str | None = None

    def run(self, database: Any) -> Page:
        """Return a page; its items have the fields of `Command`."""
        query = Row.select(*_COLUMNS).where(*self._tests()).order_by(Row.id.desc()).limit(bound(self.limit))
        rows = list(query.dicts().execute(database))
        return Page(rows, rows[-1]["id"] if len(rows) == bound(self.limit) else None)

    def _tests(self) -> Iterator[Any]:
        yield Row.id != ""
        if self.serial is not None:
            yield Row.serial == self.serial
        if self.batch is not None:
            yield Row.batch == self.batch
        if self.state is not None:
            yield Row.state == self.state
        if self.after is not None:
            if not _ID.fullmatch(self.after):
                raise BadCursor("the cursor is not one of ours")
            yield Row.id < self.after


def find_commands(database: Any, ids: Iterable[str]) -> dict[str, Command]:
    """Return the commands of these ids."""
    found: dict[str, Command] = {}
    for part in slices(list(ids)):
        query = Row.select(*_COLUMNS).where(Row.id.in_(list(part))).dicts()
        found |= {row["id"]: Command(**row) for row in query.execute(database)}
    return found


def find_open(database: Any, after: str, limit: int) -> list[Command]:
    """Return commands that are not over, in the order in which they were given."""
    query = Row.select(*_COLUMNS).where(Row.state.in_(OPEN) & (Row.id > after)).order_by(Row.id).limit(limit)
    return [Command(**row) for row in query.dicts().execute(database)]


def insert_commands(database: Any, rows: Sequence[Command]) -> None:
    """Add commands; runs in the writer."""
    sql = Dialect(database).insert(Row, _NAMES)
    cursor = database.cursor()
    cursor.executemany(sql, [_to_row(row) for row in rows])
    cursor.close()


def _to_row(row: Command) -> tuple[Any, ...]:
    """Return the values as they are stored; peewee, which seals, is not on this way."""
    sealed = {"args": Row.args.db_value(row.args), "result": Row.result.db_value(row.result)}
    return tuple((msgspec.structs.asdict(row) | sealed).values())


def update_command(database: Any, row: Command) -> None:
    """Write what has changed of a command; runs in the writer."""
    Row.update(**{name: getattr(row, name) for name in _CHANGING}).where(Row.id == row.id).execute(database)


def put_record(database: Any, serial: str, ts_us: int, data: dict[str, Any]) -> None:
    """Write an audit record; runs in the writer."""
    text = msgspec.json.encode(data).decode()
    Event.insert(ts_us=ts_us, serial=serial, kind=EVENT, data=text).execute(database)
