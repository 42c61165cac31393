from __future__ import annotations

import sqlite3

import peewee
import psycopg
import pymysql
import pytest

from actors.storage.errors import Verdict, classify, explain


def sqlite_error(code: int, text: str = "x") -> sqlite3.Error:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    "error",
    [
        sqlite_error(sqlite3.SQLITE_BUSY),
        sqlite_error(sqlite3.SQLITE_IOERR_FSYNC),
        sqlite_error(sqlite3.SQLITE_FULL),
        sqlite_error(sqlite3.SQLITE_READONLY),
        sqlite_error(sqlite3.SQLITE_INTERRUPT),
        sqlite_error(sqlite3.SQLITE_ERROR, "no such table: reading"),
        sqlite3.ProgrammingError("Cannot operate on a closed database."),
        psycopg.OperationalError("the connection is lost"),
        psycopg.errors.AdminShutdown("terminating"),
        psycopg.errors.SerializationFailure("again"),
        psycopg.errors.DeadlockDetected("deadlock"),
        psycopg.errors.DiskFull("full"),
        psycopg.errors.TooManyConnections("many"),
        psycopg.errors.LockNotAvailable("lock"),
        psycopg.errors.ReadOnlySqlTransaction("standby"),
        psycopg.errors.UndefinedTable("gone"),
        pymysql.err.OperationalError(2013, "Lost connection"),
        pymysql.err.OperationalError(1205, "Lock wait timeout"),
        pymysql.err.OperationalError(1213, "Deadlock"),
        pymysql.err.InternalError(1290, "read-only"),
        pymysql.err.InterfaceError(0, ""),
        ConnectionResetError("reset"),
        TimeoutError("late"),
        peewee.OperationalError(psycopg.OperationalError("wrapped")),
    ],
    ids=repr,
)
def test_what_the_surroundings_did_is_tried_again(error):
    assert classify(error) is Verdict.RETRY


@pytest.mark.parametrize(
    "error",
    [
        sqlite_error(sqlite3.SQLITE_CONSTRAINT_CHECK),
        sqlite_error(sqlite3.SQLITE_TOOBIG),
        sqlite3.ProgrammingError("Error binding parameter 1: type 'list' is not supported"),
        psycopg.errors.StringDataRightTruncation("long"),
        psycopg.errors.NumericValueOutOfRange("large"),
        psycopg.errors.CheckViolation("check"),
        psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"),
        psycopg.ProgrammingError("cannot adapt type"),
        pymysql.err.DataError(1406, "Data too long"),
        pymysql.err.OperationalError(4025, "CONSTRAINT failed"),
        OverflowError("Python int too large"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
        peewee.IntegrityError(sqlite_error(sqlite3.SQLITE_CONSTRAINT_NOTNULL)),
    ],
    ids=repr,
)
def test_what_a_row_did_is_looked_for_in_the_batch(error):
    assert classify(error) is Verdict.POISON


def test_an_explanation_is_one_bounded_line():
    text = explain(peewee.DataError(ValueError("first\n  second " + "x" * 10_000)))
    assert text.startswith("ValueError: first second x")
    assert len(text) == 500
