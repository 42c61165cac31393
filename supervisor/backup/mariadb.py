"""MariaDB and MySQL: `mariadb-dump` in one transaction; restored beside the old tables, which one RENAME replaces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from supervisor.process.private_file import write_private

from .databases import TABLES, Rows, connected, find_program, read_history, refuse_connected, run_program, tail_of
from .errors import BackupError

_COMPLETE: Final = b"-- Dump completed"
_PACKAGE: Final = "mariadb-client"
_DUMP: Final = (
    "--single-transaction",
    "--quick",
    "--skip-lock-tables",
    "--no-tablespaces",
    "--hex-blob",
    "--default-character-set=utf8mb4",
)
#: Argument of the driver -> option of the client programs.
_OPTIONS: Final = {
    "host": "host",
    "port": "port",
    "user": "user",
    "password": "password",
    "unix_socket": "socket",
    "ssl_ca": "ssl-ca",
    "ssl_cert": "ssl-cert",
    "ssl_key": "ssl-key",
}
_LONGEST_NAME: Final = 64
_LOADING: Final = 604_800
"""Seconds that loading a dump may take: a week."""
_LOCK: Final = 10
"""Seconds to wait for somebody's lock on a table, less than the driver waits for an answer."""


class MariaCopier:
    """One database of a server; other tables in it are none of ours and stay as they are."""

    kind = "mysql"

    def __init__(self, url: str) -> None:
        self._url = url

    def migrations(self) -> tuple[str, ...]:
        """Return those that the database has had."""
        with connected(self._url) as database:
            return read_history(database)

    def dump(self, path: Path) -> Rows:
        """Dump; the rows cannot be counted in the dump's transaction."""
        program = find_program("mariadb-dump", "mysqldump", package=_PACKAGE)
        with connected(self._url) as database:
            tables, name = _tables(database), str(database.database)
            options = _write_options(database, path)
        command = [program, f"--defaults-extra-file={options}", *_DUMP, name, *tables]
        try:
            run_program(command, environ={}, stdout=path)
        finally:
            options.unlink()
        self.check(path, None)
        return None

    def check(self, path: Path, rows: Mapping[str, int] | None) -> None:  # noqa: ARG002 - there are none
        """Look for the last line of a dump."""
        if _COMPLETE not in tail_of(path):
            raise BackupError("database", "the dump in the backup is not whole")

    def refuse_busy(self) -> None:
        """Refuse while another connection is open."""
        refuse_connected(
            self._url,
            "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()",
        )

    def is_empty(self) -> bool:
        """Return whether none of our tables is there."""
        with connected(self._url) as database:
            return not _tables(database)

    def replace(self, path: Path, stamp: str) -> str:
        """Load the dump into a database beside ours, then change the tables of both by one statement."""
        program = find_program("mariadb", "mysql", package=_PACKAGE)
        with connected(self._url) as database:
            name = str(database.database)
            scratch, aside = _beside(name, "restore", stamp), _beside(name, "before", stamp)
            options = _write_options(database, path)
            # It is idle as long as the loading takes; and what waits for a lock must not rename when we are gone.
            database.execute_sql(f"SET SESSION wait_timeout = {_LOADING}, lock_wait_timeout = {_LOCK}")
            _make(database, scratch)
            try:
                run_program(
                    [program, f"--defaults-extra-file={options}", "--default-character-set=utf8mb4", scratch],
                    environ={},
                    stdin=path,
                )
                return self._exchange(database, name, scratch, aside)
            finally:
                options.unlink()
                database.execute_sql(f"DROP DATABASE `{scratch}`")

    def _exchange(self, database: Any, name: str, scratch: str, aside: str) -> str:
        old = _tables(database)
        new = [str(row[0]) for row in database.execute_sql(f"SHOW TABLES FROM `{scratch}`").fetchall()]
        if not set(new) <= TABLES:
            raise BackupError("database", "the dump holds tables that are none of Muster's")
        if old:
            _make(database, aside)
        moves = [f"`{name}`.`{table}` TO `{aside}`.`{table}`" for table in old]
        moves += [f"`{scratch}`.`{table}` TO `{name}`.`{table}`" for table in new]
        database.execute_sql(f"RENAME TABLE {', '.join(moves)}")
        return f"database {aside}" if old else ""


def _make(database: Any, name: str) -> None:
    try:
        database.execute_sql(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
    except Exception as error:  # noqa: BLE001 - whatever the driver calls it
        like = database.database.replace("_", r"\_")
        raise BackupError(
            "database",
            f"the database {name} cannot be made ({error}): an administrator of it has to run"
            f" GRANT ALL ON `{like}\\_%`.* TO the user of Muster",
        ) from None


def _beside(name: str, what: str, stamp: str) -> str:
    end = f"_{what}_{stamp}"
    return name[: _LONGEST_NAME - len(end)] + end


def _tables(database: Any) -> list[str]:
    return sorted(TABLES & set(database.get_tables()))


def _write_options(database: Any, beside: Path) -> Path:
    """Write a file with the password, 0600, and return it: a command line is for everybody's eyes."""
    path = beside.with_name("client.cnf")
    given = database.connect_params
    # JSON's escapes of a string are those of this file, too.
    told = {option: str(given[key]) for key, option in _OPTIONS.items() if key in given}
    lines = [f"{option}={msgspec.json.encode(value).decode()}" for option, value in told.items()]
    if given.get("host") and "unix_socket" not in given:
        lines.append("protocol=tcp")
    write_private(path, "\n".join(["[client]", *lines, ""]).encode())
    return path
