"""Looks at the table of readings by a connection of its own, in each of the three databases."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import Any
from urllib.parse import unquote, urlsplit

from bench.raw_publisher import BASE_US, STEP_US


def connect(url: str) -> Any:
    """Return a DB-API connection that sees each commit at once."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return sqlite3.connect(f"file:{parts.path[1:]}?mode=ro", uri=True, isolation_level=None)
    if parts.scheme == "postgresql":
        import psycopg

        return psycopg.connect(url, autocommit=True)
    import pymysql

    return pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=parts.path[1:],
        autocommit=True,
    )


def query(connection: Any, sql: str) -> list[tuple[Any, ...]]:
    """Return all rows of a statement."""
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def wait_rows(url: str, count: int, timeout: float = 120.0) -> float:
    """Return the wall clock at which another connection saw `count` readings."""
    deadline = time.monotonic() + timeout
    seen = -1
    while time.monotonic() < deadline:
        with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(connect(url)) as connection:
            while time.monotonic() < deadline:
                # The highest id and not COUNT(*), which would make the reader the load. Where ids have gaps (a sequence
                # gives none back), the rows between are counted once it is reached.
                ((seen,),) = query(connection, "SELECT COALESCE(MAX(id), 0) FROM reading")
                if seen >= count and query(connection, "SELECT COUNT(*) FROM reading")[0][0] >= count:
                    return time.time()
                time.sleep(0.01)
        time.sleep(0.01)
    raise TimeoutError(f"{seen} of {count} rows after {timeout} s")


def visible_times(url: str, count: int, seconds: float) -> dict[int, float]:
    """Poll for new rows; return the wall clock at which the reading of each number was first seen."""
    seen: dict[int, float] = {}
    last = 0
    deadline = time.monotonic() + seconds
    with contextlib.closing(connect(url)) as connection:
        while len(seen) < count and time.monotonic() < deadline:
            rows = query(connection, f"SELECT id, ts_us FROM reading WHERE id > {last} ORDER BY id")
            now = time.time()
            for row_id, ts_us in rows:
                last = row_id
                seen[(ts_us - BASE_US) // STEP_US] = now
            time.sleep(0.0005)
    return seen
