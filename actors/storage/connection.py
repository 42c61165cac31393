"""The writer's connection: plain DB-API statements, explicit transactions, and a way to cut it from outside."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Any

from peewee import Database

from actors.storage.errors import StoreSevered, StoreUnavailable, explain


class Connection:
    """Used by one thread, except `sever`. peewee queries on the same database share the connection."""

    def __init__(self, database: Database) -> None:
        self.database: Any = database
        self._raw: Any = None
        self._severed = False

    @property
    def is_open(self) -> bool:
        """True after `open`, until an error or `close`."""
        return self._raw is not None

    def open(self) -> None:
        """Connect.

        Raises:
            StoreUnavailable: the database cannot be reached.
            StoreSevered: this connection was cut for good.

        """
        self.check()
        try:
            self.database.connect(reuse_if_open=True)
            self._raw = self.database.connection()
        except Exception as error:
            self.close()
            raise StoreUnavailable(explain(error)) from error

    def close(self) -> None:
        """Close without an error, whatever state the connection is in; an open transaction is lost."""
        raw, self._raw = self._raw, None
        self.database.dispose()
        if raw is not None:
            with suppress(Exception):
                raw.close()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement and return its row count."""
        with closing(self._raw.cursor()) as cursor:
            cursor.execute(sql, parameters)
            return int(cursor.rowcount)

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run one statement for all rows and return the sum of the row counts."""
        if not rows:
            return 0
        with closing(self._raw.cursor()) as cursor:
            cursor.executemany(sql, rows)
            return int(cursor.rowcount)

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one query and return its rows."""
        with closing(self._raw.cursor()) as cursor:
            cursor.execute(sql, parameters)
            return list(cursor.fetchall())

    def check(self) -> None:
        """Raise `StoreSevered` if a successor has taken over."""
        if self._severed:
            raise StoreSevered("this writer was replaced")

    def sever(self) -> None:
        """Break the statement that is running, from another thread, and allow no further transaction."""
        self._severed = True
        raw = self._raw
        if raw is None:
            return
        with suppress(Exception):
            if isinstance(raw, sqlite3.Connection):
                raw.interrupt()
            else:
                _shut(raw)


def _shut(raw: Any) -> None:
    """Shut a driver's socket down under it: its thread wakes with a lost connection."""
    own = getattr(raw, "_sock", None)  # PyMySQL
    if own is not None:
        own.shutdown(socket.SHUT_RDWR)
        return
    with socket.socket(fileno=os.dup(raw.fileno())) as duplicate:  # psycopg
        duplicate.shutdown(socket.SHUT_RDWR)
