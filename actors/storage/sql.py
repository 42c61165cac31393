# ruff: noqa: S608  (names come from the models, values are always parameters)
"""SQL made once from the models, in the dialect of the database, for `executemany` on the writer's path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from peewee import MySQLDatabase, SqliteDatabase

from actors.storage.models import (
    Analysed,
    AuditEntry,
    DeadLetter,
    Device,
    Event,
    LastSeen,
    Reading,
    Sensor,
    Table,
)

#: Values in one `IN (...)`; SQLite's oldest limit is 999 parameters in a statement.
IN_SLICE = 500


def get_columns(model: type[Table], *without: str) -> tuple[str, ...]:
    """Return the column names of a model in their order."""
    return tuple(name for field in model._meta.sorted_fields if (name := field.column_name) not in without)  # noqa: SLF001  # peewee's documented place


class Dialect:
    """Makes statements for one database."""

    def __init__(self, database: Any) -> None:
        self._mark = database.param
        self._left, self._right = database.quote
        self._is_mysql = isinstance(database, MySQLDatabase)
        self.begin = "BEGIN IMMEDIATE" if isinstance(database, SqliteDatabase) else "BEGIN"

    def text(self, sql: str) -> str:
        """Return SQL for the driver: `?` stands for a parameter, `%` is the remainder of a division."""
        return sql if self._mark == "?" else sql.replace("%", "%%").replace("?", self._mark)

    def quote(self, name: str) -> str:
        """Return a table or column name in quotes."""
        return f"{self._left}{name}{self._right}"

    def table(self, model: type[Table]) -> str:
        """Return the quoted name of the model's table."""
        return self.quote(model._meta.table_name)  # noqa: SLF001  # as above

    def insert(self, model: type[Table], columns: Sequence[str]) -> str:
        """`INSERT` of plain rows."""
        names = ", ".join(map(self.quote, columns))
        marks = ", ".join([self._mark] * len(columns))
        # PyMySQL joins the rows of executemany into one statement only where the text looks exactly like this.
        return f"INSERT INTO {self.table(model)} ({names}) VALUES ({marks})"

    def insert_new(self, model: type[Table], columns: Sequence[str]) -> str:
        """`INSERT` that leaves rows alone whose key exists; its row count is the number of new rows."""
        if self._is_mysql:
            # Not INSERT IGNORE, which turns every other error into a warning and a wrong row.
            same = self.quote(columns[0])
            return f"{self.insert(model, columns)} ON DUPLICATE KEY UPDATE {same} = {same}"
        return f"{self.insert(model, columns)} ON CONFLICT DO NOTHING"

    def insert_found(self, model: type[Table], select: str) -> str | None:
        """`INSERT` of what a query of one column finds and is not there; None where that would lock what it reads."""
        if self._is_mysql:
            return None
        return f"INSERT INTO {self.table(model)} {select} ON CONFLICT DO NOTHING"

    def upsert(self, model: type[Table], columns: Sequence[str], key: Sequence[str]) -> str:
        """`INSERT` that overwrites the other columns of a row whose `key` exists."""
        new = "VALUES({})" if self._is_mysql else "excluded.{}"
        changes = ", ".join(f"{name} = {new.format(name)}" for c in columns if c not in key for name in [self.quote(c)])
        if self._is_mysql:
            return f"{self.insert(model, columns)} ON DUPLICATE KEY UPDATE {changes}"
        return f"{self.insert(model, columns)} ON CONFLICT ({', '.join(map(self.quote, key))}) DO UPDATE SET {changes}"

    def update(self, model: type[Table], columns: Sequence[str], key: str) -> str:
        """`UPDATE` of some columns of the row with that key; the key's value comes last."""
        changes = ", ".join(f"{self.quote(column)} = {self._mark}" for column in columns)
        return f"UPDATE {self.table(model)} SET {changes} WHERE {self.quote(key)} = {self._mark}"

    def delete(self, model: type[Table], key: str, test: str = "=") -> str:
        """`DELETE` of the rows whose column compares so."""
        return f"DELETE FROM {self.table(model)} WHERE {self.quote(key)} {test} {self._mark}"

    def select(self, model: type[Table], columns: Sequence[str], rest: str = "") -> str:
        """`SELECT` of some columns; `?` in `rest` stands for a parameter."""
        names = ", ".join(map(self.quote, columns))
        return f"SELECT {names} FROM {self.table(model)} {rest.replace('?', self._mark)}"

    def scalar(self, model: type[Table], expression: str, rest: str = "") -> str:
        """`SELECT` of one expression; `?` in `rest` stands for a parameter."""
        return f"SELECT {expression} FROM {self.table(model)} {rest.replace('?', self._mark)}"

    def within(self, column: str, count: int) -> str:
        """`WHERE column IN (...)` for `count` values."""
        return f"WHERE {self.quote(column)} IN ({', '.join([self._mark] * count)})"


class Statements:
    """The statements of the writer's path."""

    def __init__(self, dialect: Dialect) -> None:
        self.device = get_columns(Device, "id")
        self.insert_device = dialect.upsert(Device, self.device, ("serial",))
        # With its id, a device that is known uses up no value of the sequence.
        self.update_device = dialect.upsert(Device, ("id", *self.device), ("id",))
        self.update_presence = dialect.update(Device, ("presence", "reason", "since_us"), "id")
        self.last_seen = dialect.upsert(LastSeen, get_columns(LastSeen), ("device_id",))
        self.sensor = dialect.insert_new(Sensor, get_columns(Sensor))
        self.insert_reading = dialect.insert_new(Reading, get_columns(Reading, "id"))
        self.newest_reading = dialect.scalar(Reading, "COALESCE(MAX(id), 0)")
        self.new_readings = dialect.select(Reading, ("device_id", "ts_us", "digest"), "WHERE id > ?")
        self.new_analysed = dialect.select(Reading, ("id",), "WHERE id > ? AND health_index IS NOT NULL")
        self.analysed = dialect.insert_new(Analysed, get_columns(Analysed))
        self.note_analysed = dialect.insert_found(Analysed, self.new_analysed)
        self.dead_letter = dialect.insert(DeadLetter, get_columns(DeadLetter, "id", "replayed_us"))
        self.event = dialect.insert(Event, get_columns(Event, "id"))
        self.audit = dialect.insert(AuditEntry, get_columns(AuditEntry, "id"))


def slices(values: Sequence[Any], size: int = IN_SLICE) -> Iterable[Sequence[Any]]:
    """Cut a sequence into pieces of at most `size`."""
    return (values[start : start + size] for start in range(0, len(values), size))
