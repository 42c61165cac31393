"""`DurableFile`: a SQLite file for one thread, whose commits are on the disk when they return; an outbox, an inbox.

It survives power cuts (WAL, `synchronous=FULL`, its name synced into its directory). One that is corrupt, as found by a
check when it is opened or by a statement later, is set aside under a name with the time, and a new one begins.

A schema only ever grows: a release before this one opens the file too, since statements name their columns and every
column that is added has a default.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

MOST_SET_ASIDE = 3
"""Corrupt files that are kept."""
BUSY_TIMEOUT = 5.0
"""Seconds to wait for somebody else's lock (a backup, a curious `sqlite3`)."""

_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_WHOLE = ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK")
_PART = ("SAVEPOINT part", "RELEASE part", "ROLLBACK TO part")
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "journal_size_limit=4194304")


class FileUnavailableError(Exception):
    """A file cannot be written or read now (disk full, read-only, locked); the message is one sentence."""


class DurableFile:
    """Every method but `interrupt` belongs to the thread that opened it."""

    name: ClassVar[str]
    """What it is called in sentences."""
    schema: ClassVar[str]
    """Statements that make what is missing of it."""
    version: ClassVar[int]
    """Of the schema; goes up with each change."""
    unavailable: ClassVar[type[FileUnavailableError]] = FileUnavailableError
    """What is raised when it cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._corrupt = False

    @property
    def is_open(self) -> bool:
        """Whether the file is open."""
        return self._db is not None

    def open(self) -> Path | None:
        """Open the file, making it where it is missing.

        Returns:
            Where a corrupt file was set aside, None when there was none.

        Raises:
            FileUnavailableError: the directory cannot be used, or the disk is full.

        """
        aside = None
        try:
            if self._corrupt:
                aside = self._set_aside()
            try:
                self._open()
            except sqlite3.DatabaseError as error:
                if not _is_corrupt(error):
                    raise
                self.close()
                aside = self._set_aside()
                self._open()
            self._corrupt = False
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise self.unavailable(f"the {self.name} {self._path} cannot be opened: {_why(error)}") from error
        return aside

    def close(self) -> None:
        """Close the file; harmless when repeated."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def interrupt(self) -> None:
        """Break a statement that runs; called by another thread."""
        if self._db is not None:
            self._db.interrupt()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit what is done inside, or nothing of it; one inside another undoes its own part alone.

        Raises:
            FileUnavailableError: with the reason.

        """
        with self.guarded() as db:
            begin, commit, undo = _PART if db.in_transaction else _WHOLE
            try:
                db.execute(begin)
                yield db
                db.execute(commit)
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                    db.execute(undo)
                raise

    @contextlib.contextmanager
    def guarded(self) -> Iterator[sqlite3.Connection]:
        """Translate what SQLite raises inside; a file found to be corrupt is closed, and set aside by the next `open`.

        Raises:
            FileUnavailableError: with the reason.

        """
        if self._db is None:
            raise self.unavailable(f"the {self.name} {self._path} is not open")
        try:
            yield self._db
        except sqlite3.Error as error:
            if _is_corrupt(error):
                self._corrupt = True
                self.close()
            raise self.unavailable(f"the {self.name} {self._path} cannot be used: {_why(error)}") from error

    def opened(self, db: sqlite3.Connection) -> None:
        """Do what belongs to opening, once the schema is there. For subclasses."""

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        _sync_directory(self._path.parent)
        # The connection is closed by whoever ends the actor, which may be another thread.
        self._db = db = sqlite3.connect(self._path, BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
        for pragma in _PRAGMAS:
            db.execute(f"PRAGMA {pragma}")
        ((verdict, *_),) = db.execute("PRAGMA quick_check(1)")
        if verdict != "ok":
            error = sqlite3.DatabaseError(f"quick_check: {verdict}")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        ((version,),) = db.execute("PRAGMA user_version")
        if version < self.version:  # a newer release has only added to it
            db.executescript(f"BEGIN IMMEDIATE; {self.schema} PRAGMA user_version = {self.version}; COMMIT;")
        self.opened(db)

    def _set_aside(self) -> Path:
        """Rename the corrupt file, without its companions; return its new name."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        aside = self._path.with_name(f"{self._path.name}.corrupt-{stamp}")
        self._path.rename(aside)
        for companion in ("-wal", "-shm"):
            self._path.with_name(self._path.name + companion).unlink(missing_ok=True)
        old = sorted(self._path.parent.glob(f"{self._path.name}.corrupt-*"))
        for path in old[:-MOST_SET_ASIDE]:
            path.unlink(missing_ok=True)
        return aside


def _is_corrupt(error: BaseException) -> bool:
    """Return whether an error says that the file is no longer a sound database."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _sync_directory(path: Path) -> None:
    """Make the names in a directory durable: after a power cut the file is there, not only its content."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
