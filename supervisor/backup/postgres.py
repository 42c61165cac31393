"""PostgreSQL: `pg_dump` of an exported snapshot; `psql` sets the old tables aside and loads it in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from .databases import TABLES, Rows, connected, find_program, read_history, refuse_connected, run_program, tail_of
from .errors import BackupError

_COMPLETE: Final = b"PostgreSQL database dump complete"
_PACKAGE: Final = "postgresql-client"
#: Argument of the driver -> variable of the client programs.
_VARIABLES: Final = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
}


class PostgresCopier:
    """One database of a server; other tables in it are none of ours and stay as they are."""

    kind = "postgresql"

    def __init__(self, url: str) -> None:
        self._url = url

    def migrations(self) -> tuple[str, ...]:
        """Return those that the database has had."""
        with connected(self._url) as database:
            return read_history(database)

    def dump(self, path: Path) -> Rows:
        """Count and dump in one snapshot."""
        program = find_program("pg_dump", package=_PACKAGE)
        with connected(self._url) as database:
            # The transaction that holds the snapshot is idle as long as the dump takes.
            database.execute_sql("SET idle_in_transaction_session_timeout = 0")
            database.execute_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            schema, tables = _tables(database)
            rows: Rows = {table: _count(database, schema, table) for table in tables}
            ((snapshot,),) = database.execute_sql("SELECT pg_export_snapshot()").fetchall()
            options = ("--format=plain", "--no-owner", "--no-privileges", f"--snapshot={snapshot}")
            chosen = [f'--table="{schema}"."{table}"' for table in tables]
            run_program([program, *options, *chosen], environ=_environment(database), stdout=path)
            database.execute_sql("ROLLBACK")
        self.check(path, rows)
        return rows

    def check(self, path: Path, rows: Mapping[str, int] | None) -> None:  # noqa: ARG002 - the dump has no count of its own
        """Look for the last line of a dump."""
        if _COMPLETE not in tail_of(path):
            raise BackupError("database", "the dump in the backup is not whole")

    def refuse_busy(self) -> None:
        """Refuse while another connection of Muster is open."""
        refuse_connected(
            self._url,
            "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name IN ('muster', current_setting('application_name')) AND pid <> pg_backend_pid()",
        )

    def is_empty(self) -> bool:
        """Return whether none of our tables is there."""
        with connected(self._url) as database:
            return not _tables(database)[1]

    def replace(self, path: Path, stamp: str) -> str:
        """Move our tables to a schema of their own and load the dump, in one transaction."""
        program = find_program("psql", package=_PACKAGE)
        aside = f"before_{stamp}".lower()
        with connected(self._url) as database:
            environ = _environment(database)
            schema, tables = _tables(database)
        moves = path.with_name("aside.sql")
        statements = [f'CREATE SCHEMA "{aside}";'] if tables else []
        statements += [f'ALTER TABLE "{schema}"."{table}" SET SCHEMA "{aside}";' for table in tables]
        moves.write_text("\n".join(["SET lock_timeout = '10s';", *statements, ""]), encoding="utf-8")
        options = ("--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1")
        run_program([program, *options, f"--file={moves}", f"--file={path}"], environ=environ)
        return f"schema {aside}" if tables else ""


def _tables(database: Any) -> tuple[str, list[str]]:
    """Return our schema, and those of our tables that are there."""
    ((schema,),) = database.execute_sql("SELECT current_schema()").fetchall()
    if schema is None:
        raise BackupError("database", "the database's search_path names no schema that is there")
    return str(schema), sorted(TABLES & set(database.get_tables(schema=schema)))


def _count(database: Any, schema: str, table: str) -> int:
    ((count,),) = database.execute_sql(f'SELECT COUNT(*) FROM "{schema}"."{table}"').fetchall()  # noqa: S608 - ours
    return int(count)


def _environment(database: Any) -> dict[str, str]:
    """Return what the client programs need to know, password included: `ps` shows it to nobody."""
    given = database.connect_params
    told = {name: str(given[key]) for key, name in _VARIABLES.items() if key in given}
    return {**told, "PGDATABASE": database.database, "PGCONNECT_TIMEOUT": "10"}
