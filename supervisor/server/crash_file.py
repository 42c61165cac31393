"""Keeps the history of crashes over a restart, in a file of its own: the writer of the database may be what crashes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final

import msgspec

from actors.durable_file import DurableFile, FileUnavailableError
from actors.runtime import Directory, Runtime, ThreadedActor, ToSelf
from supervisor import ChildSpec
from supervisor.server.crash_book import CrashBook, CrashGroup

logger = logging.getLogger(__name__)

NAME: Final = "crashes"
"""Of the service."""
FILE: Final = "crashes.db"
"""In the data directory."""
SAVE_EVERY: Final = 1.0
"""Seconds between two commits while things crash."""
TRY_AGAIN: Final = 30.0
"""Seconds until the next attempt when the file cannot be used."""


class CrashFile(DurableFile):
    """A row per group."""

    name = "history of crashes"
    schema = "CREATE TABLE IF NOT EXISTS crash_group (id INTEGER PRIMARY KEY, body BLOB NOT NULL);"
    version = 1

    def load(self) -> list[CrashGroup]:
        """Return all groups. What cannot be read is left out, and logged.

        Raises:
            FileUnavailableError: with the reason.

        """
        groups = []
        with self.guarded() as db:
            for (body,) in db.execute("SELECT body FROM crash_group ORDER BY id"):
                try:
                    groups.append(msgspec.json.decode(body, type=CrashGroup))
                except msgspec.MsgspecError as error:
                    logger.warning("an entry of the history of crashes cannot be read: %s", error)
        return groups

    def save(self, changed: list[CrashGroup], gone: set[int]) -> None:
        """Replace and delete groups; on the disk when it returns.

        Raises:
            FileUnavailableError: with the reason.

        """
        rows = [(group.id, msgspec.json.encode(group)) for group in changed]
        with self.transaction() as db:
            db.executemany("DELETE FROM crash_group WHERE id = ?", [(group,) for group in gone])
            db.executemany("INSERT OR REPLACE INTO crash_group (id, body) VALUES (?, ?)", rows)


class Changed(msgspec.Struct, frozen=True):
    """The book has changed."""


class _Save(msgspec.Struct, ToSelf, frozen=True):
    """It is time to save."""


def crash_book(root: str, services: Directory) -> CrashBook:
    """Return the book of a tree, by its root's id; the recorder is told of what changes in it."""
    book = CrashBook(root)
    book.on_change = lambda: services.tell(NAME, Changed())
    return book


def crash_recorder(data_dir: Path, book: CrashBook, runtime: Runtime) -> ChildSpec:
    """Return what starts the recorder."""
    return ChildSpec(NAME, lambda: CrashRecorder(data_dir / FILE, book, runtime), hang_after=60.0)


class CrashRecorder(ThreadedActor):
    """Reads the file into the book when the process begins, and writes to it what changes."""

    def __init__(self, path: Path, book: CrashBook, runtime: Runtime) -> None:
        super().__init__()
        self._file = CrashFile(path)
        self._book = book
        self._runtime = runtime
        self._save_at = float("-inf")
        self._waits = False

    def on_start(self) -> None:
        """Read what is kept, and keep what has crashed meanwhile."""
        self._save()

    def on_receive(self, message: Any) -> None:
        """Save, but not more often than once a second."""
        if isinstance(message, _Save):
            self._waits = False
            self._save()
        elif not isinstance(message, Changed):
            logger.warning("unexpected message: %.200r", message)
        elif not self._waits:
            self._save_later(self._save_at + SAVE_EVERY - self._runtime.clock.monotonic())

    def on_stop(self) -> None:
        """Save what has crashed last."""
        self._save()
        self._file.close()

    def sever(self) -> None:
        """Break a statement that hangs."""
        self._file.interrupt()

    def _save_later(self, seconds: float) -> None:
        if seconds <= 0:
            self._save()
            return
        self._waits = True
        self._runtime.timers.after(seconds, self.actor_ref, _Save())

    def _save(self) -> None:
        self._save_at = self._runtime.clock.monotonic()
        try:
            self._open()
        except FileUnavailableError as error:
            self._put_off(error)
            return
        changed, gone = self._book.take_changes()
        try:
            if changed or gone:
                self._file.save(changed, gone)
        except FileUnavailableError as error:
            self._book.give_back(changed, gone)
            self._put_off(error)

    def _open(self) -> None:
        aside = None if self._file.is_open else self._file.open()
        if aside is not None:
            logger.error("the history of crashes was corrupt; it was set aside as %s and begins anew", aside)
        if not self._book.loaded:
            self._book.load(self._file.load())

    def _put_off(self, error: FileUnavailableError) -> None:
        logger.warning("%s; it is tried again in %g s, crashes are kept in memory meanwhile", error, TRY_AGAIN)
        self._waits = True
        self._runtime.timers.after(TRY_AGAIN, self.actor_ref, _Save())
