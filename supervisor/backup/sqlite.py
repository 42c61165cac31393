"""SQLite: the online backup in one step, which holds up no writer of a database in WAL mode."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

from .contents import BEFORE, SQLITE_COMPANIONS
from .databases import HISTORY, Rows
from .errors import BackupError

_BUSY: float = 30.0
"""Seconds to wait for somebody else's lock."""


class SqliteCopier:
    """The file of a server."""

    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self) -> frozenset[Path]:
        """Return what belongs to the database."""
        return frozenset(self.path.with_name(self.path.name + suffix) for suffix in ("", *SQLITE_COMPANIONS))

    def migrations(self) -> tuple[str, ...]:
        """Return those that the database has had."""
        if not self.path.exists():
            raise BackupError("database", f"there is no database {self.path} yet")
        try:
            with closing(_open(self.path, read_only=True)) as database:
                return _history(database, self.path)
        except sqlite3.Error as error:
            raise BackupError("database", f"{self.path}: {error}") from None

    def dump(self, path: Path) -> Rows:
        """Copy the database and look through the copy: of a damaged one nothing could be restored."""
        copy_sqlite(self.path, path)
        return _examine(path, str(self.path))

    def check(self, path: Path, rows: Mapping[str, int] | None) -> None:
        """Let SQLite look through every page, and count."""
        if _examine(path, "the database in the backup") != (rows or {}):
            raise BackupError("database", "the database in the backup has other rows than were counted")

    def refuse_busy(self) -> None:
        """Do nothing: the lock of the data directory tells."""

    def is_empty(self) -> bool:
        """Return whether there is no such file."""
        return not self.path.exists()

    def replace(self, path: Path, stamp: str) -> str:
        """Rename the old file with its companions, and the new one into its place."""
        _fold(self.path)
        aside = self.path.with_name(f"{self.path.name}.{BEFORE}{stamp}")
        moved: list[tuple[Path, Path]] = []
        try:
            for suffix in ("", *SQLITE_COMPANIONS):
                old = self.path.with_name(self.path.name + suffix)
                if old.exists():
                    new = aside.with_name(aside.name + suffix)
                    old.rename(new)
                    moved.append((new, old))
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.replace(self.path)
        except OSError as error:
            for new, old in reversed(moved):
                with suppress(OSError):
                    new.rename(old)
            raise BackupError("disk", f"{self.path} cannot be replaced: {error.strerror}") from None
        return str(aside) if moved else ""


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database that may be written to meanwhile, as it is at one moment; the copy is one file.

    Raises:
        BackupError: it cannot be read, or there is no room.

    """
    target.unlink(missing_ok=True)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(_open(source, read_only=True)) as old, closing(_open(target)) as new:
            # All pages in one step: in steps, every write of another process would make it begin anew.
            old.backup(new)
            new.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise BackupError("database", f"{source} cannot be copied: {error}") from None


def _examine(path: Path, name: str) -> dict[str, int]:
    """Return the rows by table, once SQLite has looked through every page."""
    try:
        with closing(_open(path, read_only=True)) as copy:
            ((verdict, *_),) = copy.execute("PRAGMA integrity_check(1)").fetchall()
            if verdict != "ok":
                raise BackupError("database", f"{name} is damaged: {' '.join(verdict.split())}")
            return _count(copy)
    except sqlite3.Error as error:
        raise BackupError("database", f"{name} cannot be read: {error}") from None


def _fold(path: Path) -> None:
    """Write what lies in the log into the database: whoever is killed between two renames must not part them.

    One that is damaged, or a disk that is full, is set aside as it is.
    """
    if path.exists():
        with suppress(sqlite3.Error), closing(_open(path)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _open(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}", timeout=_BUSY, uri=True)


def _history(database: sqlite3.Connection, path: Path) -> tuple[str, ...]:
    try:
        rows = database.execute(f"SELECT name FROM {HISTORY} ORDER BY name").fetchall()  # noqa: S608 - a constant
    except sqlite3.OperationalError:
        raise BackupError("database", f"there is nothing of Muster in {path} yet") from None
    return tuple(name for (name,) in rows)


def _count(database: sqlite3.Connection) -> dict[str, int]:
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    counted = {}
    for (name,) in tables.fetchall():
        ((counted[name],),) = database.execute(f'SELECT COUNT(*) FROM "{name}"')  # noqa: S608 - a name of its own
    return counted
