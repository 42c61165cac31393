"""Deleting readings: by their ids, in transactions of the caller, with all that hangs on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from actors.storage.connection import Connection
from actors.storage.models import Analysed, Reading, Table
from actors.storage.sql import Dialect, slices

#: Rows deleted in one transaction where others wait for it: some ten milliseconds.
STEP: Final = 1_000


class Eraser:
    """Deletes rows; every method runs inside a transaction of the caller."""

    def __init__(self, connection: Connection, dialect: Dialect) -> None:
        self._connection = connection
        self._dialect = dialect
        self._newest = dialect.scalar(Reading, "COALESCE(MAX(id), 0)")

    def newest(self) -> int:
        """Return the highest id of a reading."""
        return int(self._connection.fetch(self._newest)[0][0])

    def readings(self, ids: Sequence[int]) -> int:
        """Delete readings and return how many.

        The newest row of the table stays until there is a newer one: SQLite would give its id to the next reading, and
        whoever follows the table by the ids would pass that over.
        """
        newest = self.newest()
        old = [number for number in ids if number != newest]
        self.rows(Analysed, "reading_id", old)
        return self.rows(Reading, "id", old)

    def rows(self, table: type[Table], key: str, values: Sequence[int | str]) -> int:
        """Delete the rows whose column `key` is one of `values`; return how many."""
        deleted = 0
        for part in slices(values):
            where = self._dialect.within(key, len(part))
            deleted += self._connection.execute(f"DELETE FROM {self._dialect.table(table)} {where}", part)  # noqa: S608  # marks only
        return deleted
