"""What a database error means for the writer: try again later, or find the row that caused it."""

from __future__ import annotations

import sqlite3
from enum import Enum
from typing import Final


class StorageError(Exception):
    """Base of the storage errors that callers handle."""


class ConfigurationError(StorageError):
    """The database URL cannot be used; the message names the part that is wrong."""


class StoreUnavailable(StorageError):  # noqa: N818  # a state that callers wait out, not a fault
    """The database is away, full or busy: nothing was changed, and the same call may be made again."""


class StoreSevered(StorageError):  # noqa: N818  # as above
    """The writer was replaced by a successor and may not commit any more."""


class Verdict(Enum):
    """What to do after an error inside a transaction."""

    RETRY = "retry"
    """The database or its surroundings are at fault: keep everything and try again."""
    POISON = "poison"
    """One of the rows is at fault: find it and dead-letter it."""


# Primary result codes, https://www.sqlite.org/rescode.html
SQLITE_RETRY: Final = {
    1: "the schema lacks a table or column",
    5: "busy",
    6: "locked",
    7: "out of memory",
    8: "read-only",
    9: "interrupted",
    10: "input/output error",
    11: "corrupt",
    13: "disk full",
    14: "cannot open the file",
    15: "locking protocol",
    17: "schema changed",
    21: "misuse",
    26: "not a database",
}

# Classes (2 characters) and single codes (5), https://www.postgresql.org/docs/current/errcodes-appendix.html
SQLSTATE_RETRY: Final = {
    "08": "connection lost",
    "25": "read-only or aborted transaction",
    "28": "login refused",
    "3D": "no such database",
    "3F": "no such schema",
    "40": "deadlock or serialisation failure",
    "53": "disk full, out of memory or too many connections",
    "55": "lock not available",
    "57": "shut down or cancelled by the operator",
    "58": "system error",
    "F0": "configuration file error",
    "XX": "internal error",
    "42P01": "no such table",
    "42P10": "no such unique constraint",
    "42501": "no permission",
    "42703": "no such column",
}

# https://mariadb.com/kb/en/mariadb-error-codes/; 2xxx are the client's own.
MYSQL_RETRY: Final = {
    0: "connection closed",
    1020: "record changed since last read",
    1021: "disk full",
    1030: "storage engine error",
    1036: "read-only table",
    1037: "out of memory",
    1040: "too many connections",
    1041: "out of memory",
    1044: "no permission",
    1045: "login refused",
    1049: "no such database",
    1053: "server shutting down",
    1054: "no such column",
    1114: "table full",
    1129: "host blocked",
    1130: "host not allowed",
    1142: "no permission",
    1146: "no such table",
    1152: "connection aborted",
    1158: "network error",
    1159: "network timeout",
    1160: "network error",
    1161: "network timeout",
    1180: "commit failed",
    1203: "too many connections",
    1205: "lock wait timeout",
    1206: "lock table full",
    1213: "deadlock",
    1226: "resource limit reached",
    1290: "read-only server",
    1317: "interrupted",
    1792: "read-only transaction",
    1836: "read-only server",
    1927: "connection killed",
    1969: "statement timeout",
    2002: "cannot connect",
    2003: "cannot connect",
    2006: "server has gone away",
    2013: "connection lost",
    2055: "connection lost",
    3024: "statement timeout",
    4031: "disconnected by the server",
}


def classify(error: BaseException) -> Verdict:
    """Tell whether `error` is the surroundings' fault or a row's; peewee's wrappers are looked through."""
    cause = getattr(error, "orig", error)
    if isinstance(cause, sqlite3.Error):
        retry = _is_sqlite_retry(cause)
    elif type(cause).__module__.startswith("pymysql"):
        retry = not cause.args or cause.args[0] in MYSQL_RETRY
    elif hasattr(cause, "sqlstate"):
        retry = _is_postgres_retry(cause)
    else:
        # Sockets and TLS raise OSError; a value that the driver cannot encode raises nearly anything else.
        retry = isinstance(cause, OSError | MemoryError)
    return Verdict.RETRY if retry else Verdict.POISON


def _is_sqlite_retry(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # raised by the Python module itself: a parameter it cannot bind, or a closed connection
        return "closed" in str(error)
    return (code & 0xFF) in SQLITE_RETRY


def _is_postgres_retry(error: BaseException) -> bool:
    state: str | None = getattr(error, "sqlstate", None)
    if state is None:  # the client's own: only these two mean the connection
        return type(error).__name__ in {"OperationalError", "InterfaceError"}
    return state in SQLSTATE_RETRY or state[:2] in SQLSTATE_RETRY


def explain(error: BaseException) -> str:
    """Return one line that names the error and what it says; never longer than 500 characters."""
    cause = getattr(error, "orig", error)  # what peewee has wrapped
    text = " ".join(str(cause).split())
    return f"{type(cause).__name__}: {text}"[:500]
