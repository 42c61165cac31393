"""Readers: read-only connections of their own, so that no page and no export can stall a commit.

Every query has a deadline (`READ_TIMEOUT`) and a row limit; a reader that is busy or dead costs one answer, not a page.
"""

from __future__ import annotations

import itertools
import logging
import sqlite3
import time
from collections.abc import Sequence
from typing import Any

import pykka
from peewee import MySQLDatabase

from actors.runtime import Directory, ThreadedActor
from actors.storage.connection import Connection
from actors.storage.database import READ_TIMEOUT, open_database
from actors.storage.errors import StoreUnavailable, Verdict, classify, explain
from actors.storage.queries import Query

logger = logging.getLogger(__name__)

#: SQLite's virtual machine looks at the deadline after so many instructions: some 0.1 ms.
PROGRESS_STEPS = 10_000


class ReaderActor(ThreadedActor):
    """Answers the queries of `actors.storage.queries`, one at a time; any other message is ignored.

    Raises in the asker `StoreUnavailable` when the database is away or the deadline has passed.
    """

    def __init__(self, url: str) -> None:
        """Assign only; the first query connects."""
        super().__init__()
        self._database = open_database(url, read_only=True)
        self._connection = Connection(self._database)
        self._until = 0.0

    def on_receive(self, message: Any) -> Any:
        """Run a query."""
        if not hasattr(message, "run"):
            logger.warning("a reader does not know %.200r", message)
            return None
        if self._connection.is_open:
            started = time.monotonic()
            try:
                return self._answer(message)
            except StoreUnavailable:
                # Most likely the database was restarted since the last query; a slow query gets no second chance.
                if time.monotonic() - started > READ_TIMEOUT / 2:
                    raise
        return self._answer(message)

    def on_stop(self) -> None:
        """Close the connection."""
        self._connection.close()

    def on_failure(self, *_: Any) -> None:
        """Close the connection of a crashed reader."""
        self._connection.close()

    def sever(self) -> None:
        """Break a query that hangs."""
        self._connection.sever()

    def _answer(self, query: Query) -> Any:
        try:
            if not self._connection.is_open:
                self._connection.open()
                _limit_time(self._database, self)
            self._until = time.monotonic() + READ_TIMEOUT
            with self._database.atomic():  # one snapshot for all statements of a query
                return query.run(self._database)
        except Exception as error:
            if isinstance(error, StoreUnavailable) or classify(error) is Verdict.RETRY:
                self._connection.close()
                raise StoreUnavailable(explain(error)) from error
            raise

    def is_late(self) -> bool:
        """Return whether the query's deadline has passed; SQLite asks this while it runs."""
        return time.monotonic() > self._until


def _limit_time(database: Any, reader: ReaderActor) -> None:
    """Bound the time of one statement; PostgreSQL has its limit from `open_database`."""
    raw: Any = database.connection()
    if isinstance(raw, sqlite3.Connection):
        raw.set_progress_handler(reader.is_late, PROGRESS_STEPS)
    elif isinstance(database, MySQLDatabase):
        is_maria = "maria" in str(raw.get_server_info()).lower()
        limit = (
            f"max_statement_time = {READ_TIMEOUT}" if is_maria else f"max_execution_time = {int(READ_TIMEOUT * 1000)}"
        )
        with raw.cursor() as cursor:
            cursor.execute(f"SET SESSION {limit}")


class Readers:
    """Asks readers in turn; any thread may use it."""

    def __init__(self, directory: Directory, names: Sequence[str]) -> None:
        """Use the readers that the directory knows by these names."""
        self._directory = directory
        self._names = names
        self._turn = itertools.count()

    def ask(self, query: Query, timeout: float = 2 * READ_TIMEOUT) -> Any:
        """Return the answer to a query of `actors.storage.queries`.

        Raises:
            StoreUnavailable: no reader is there, or none answered within `timeout` seconds.
            BadCursor: the query's `after` is not a cursor.

        """
        first = next(self._turn)
        for offset in range(len(self._names)):
            ref = self._directory.get(self._names[(first + offset) % len(self._names)])
            if ref is None:
                continue
            try:
                return ref.ask(query, timeout=timeout)
            except pykka.ActorDeadError:
                continue
            except pykka.Timeout:
                raise StoreUnavailable(f"no answer within {timeout:g} s") from None
        raise StoreUnavailable("no reader is there")
