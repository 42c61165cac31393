"""A sink that appends one line for each reading to a CSV file, rotated by size and by day.

The file itself is the cursor: its last complete line names the last reading that is in place. So every reading has
exactly one line, whenever the process was killed.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

from actors.followers.csv_files import Tail, day_of, delete_old, find_tail, list_rotated, next_name
from actors.followers.lines import Layout
from actors.followers.progress import sync_folder
from actors.runtime import Clock
from actors.storage.following import FollowedReading

logger = logging.getLogger(__name__)

_OPEN = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class CsvSink:
    """Writes one file and puts it away when it is full or a new day has begun (UTC, by the time of writing)."""

    def __init__(self, folder: Path, layout: Layout, clock: Clock, *, max_bytes: int, days: int) -> None:
        """Assign only.

        Args:
            folder: where the files are.
            layout: what is in a line.
            clock: its wall clock tells the day.
            max_bytes: a file is put away before it grows beyond this.
            days: how long files are kept that were put away; 0 is for ever.

        """
        self.name = layout.stem
        self._layout = layout
        self._path = folder / f"{layout.stem}.csv"
        self._clock = clock
        self._max_bytes = max_bytes
        self._days = days
        self._handle = -1
        self._inode = 0
        self._size = 0
        """Bytes that are known to be in place; what lies behind is the rest of a failed write."""
        self._day = date.min
        """The day on which the file was written to."""
        self._done: int | None = None
        """The last id in place of a batch that has failed half-way; None between batches."""

    # The protocol of a sink

    def open(self) -> int | None:
        """Mend what a crash has left, and return the id of the last reading that has a line."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._done = None
        tail = self._open_file()
        delete_old(self._path, day_of(self._clock.time()), self._days)
        return tail.last_id if tail.last_id is not None else self._find_last_rotated()

    def write(self, rows: Sequence[FollowedReading]) -> None:
        """Append one line for each row and flush them to the disk.

        Raises:
            OSError: what was written of this batch is remembered or cut off again; give the same batch again.

        """
        self._make_sure()
        if self._done is not None:
            rows = [row for row in rows if row.id > self._done]
        today = day_of(self._clock.time())
        if self._has_lines and today != self._day:
            self._rotate()
        self._day = today
        self._write_lines(rows, self._layout.lines(rows))
        self._done = None

    def close(self) -> None:
        """Close the file."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            with suppress(OSError):
                os.close(handle)

    # Lines

    @property
    def _has_lines(self) -> bool:
        return self._size > len(self._layout.header)

    def _write_lines(self, rows: Sequence[FollowedReading], lines: list[bytes]) -> None:
        """Append lines, as many to each file as it may hold; a line that is too long for any has one alone."""
        start = 0
        while start < len(lines):
            room = self._max_bytes - self._size
            stop = start
            while stop < len(lines) and (room := room - len(lines[stop])) >= 0:
                stop += 1
            if stop == start:
                if self._has_lines:
                    self._rotate()
                    continue
                stop += 1
            self._append(b"".join(lines[start:stop]))
            self._done = rows[stop - 1].id
            start = stop

    def _append(self, data: bytes) -> None:
        """Write and flush, or leave the file as it was."""
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._handle, left) :]
            os.fsync(self._handle)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._handle, self._size)
            # After a failed flush the kernel may have dropped what it held: the next attempt begins with a new handle.
            self.close()
            raise
        self._size += len(data)

    # Files

    def _make_sure(self) -> None:
        """Open the file anew if the last write failed, or if somebody has taken it away or shortened it."""
        if self._handle < 0:
            known = self._size
            with suppress(FileNotFoundError):
                if self._path.stat().st_size > known:
                    os.truncate(self._path, known)
            self._open_file()
            return
        try:
            now = self._path.stat()
        except FileNotFoundError:
            now = None
        if now is None or (now.st_ino, now.st_size) != (self._inode, self._size):
            logger.warning("%s was changed by somebody else", self._path)
            self.close()
            self._open_file()

    def _open_file(self) -> Tail:
        """Open the file at the end of its last complete line; begin a new one where there is none of this layout."""
        self._put_away_strange()
        self._handle = os.open(self._path, _OPEN, 0o640)
        try:
            return self._settle()
        except BaseException:
            self.close()
            raise

    def _settle(self) -> Tail:
        _lock(self._handle, self._path)
        tail = find_tail(self._path)
        now = os.fstat(self._handle)
        self._day, self._inode = day_of(now.st_mtime), now.st_ino
        if now.st_size > tail.size:
            logger.warning("%s: %d bytes of an unfinished line are cut off", self._path, now.st_size - tail.size)
            os.ftruncate(self._handle, tail.size)
        self._size = tail.size
        if not tail.size:
            self._append(self._layout.header)
            sync_folder(self._path.parent)
        return tail

    def _put_away_strange(self) -> None:
        """Put a file away whose columns are those of another version."""
        header = self._layout.header
        with suppress(FileNotFoundError):
            with self._path.open("rb") as file:
                first = file.read(len(header))
            if not header.startswith(first):
                target = next_name(self._path, day_of(self._path.stat().st_mtime))
                logger.warning("%s has other columns and becomes %s", self._path, target.name)
                self._path.rename(target)

    def _rotate(self) -> None:
        """Put the file away and begin a new one."""
        self._path.rename(next_name(self._path, self._day))
        self.close()
        self._open_file()
        self._day = day_of(self._clock.time())
        delete_old(self._path, self._day, self._days)

    def _find_last_rotated(self) -> int | None:
        """Return the last id in the newest file that was put away and has a line."""
        for file in list_rotated(self._path):
            last = find_tail(file.path).last_id
            if last is not None:
                return last
        return None


def _lock(handle: int, path: Path) -> None:
    """Keep others out, as an earlier incarnation that still hangs in a write; the lock ends with the handle.

    Raises:
        BlockingIOError: somebody else has the lock.

    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BlockingIOError(error.errno, "somebody else is writing this file", str(path)) from None
