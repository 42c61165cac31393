"""The files behind a `CsvSink`: how the rotated ones are called, and where one ends after a crash."""

from __future__ import annotations

import logging
import os
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

logger = logging.getLogger(__name__)

#: Bytes read at first to find the last line; doubled until it is found.
TAIL = 65_536
#: Begins the header of every version.
HEADER = b"id,"
_FIRST_CELL = re.compile(rb"(\d{1,19}),")


class Tail(NamedTuple):
    """Where a file ends."""

    size: int
    """Bytes up to the end of the last complete line."""
    last_id: int | None
    """The first cell of the last line; None if the file has only a header, or nothing."""


class Rotated(NamedTuple):
    """A file that is no longer written."""

    path: Path
    day: date
    number: int


def find_tail(path: Path) -> Tail:
    """Return where the last complete line of ours ends; what lies behind was cut off in the middle of a write.

    A power cut can leave a stretch of zeros and the like: such lines do not count either.
    """
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while True:
            end, line = _last_line(file.fileno(), end)
            if not line or line.startswith(HEADER):
                return Tail(end, None)
            found = _FIRST_CELL.match(line)
            if found is not None:
                return Tail(end, int(found[1]))
            end -= len(line)


def _last_line(handle: int, end: int) -> tuple[int, bytes]:
    """Return the last complete line before `end`, with its newline, and where it ends."""
    length = TAIL
    while True:
        start = max(0, end - length)
        block = os.pread(handle, end - start, start)
        stop = block.rfind(b"\n") + 1
        begin = block.rfind(b"\n", 0, max(0, stop - 1)) + 1
        if begin > 0 or start == 0:
            return start + stop, block[begin:stop]
        length *= 2


def day_of(seconds: float) -> date:
    """Return the day in UTC of a time in seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC).date()


def list_rotated(live: Path) -> list[Rotated]:
    """Return the rotated files of `live`, the newest first."""
    shape = re.compile(rf"{re.escape(live.stem)}\.(\d{{4}}-\d\d-\d\d)(?:\.(\d{{1,9}}))?{re.escape(live.suffix)}")
    found = []
    for path in live.parent.iterdir():
        match = shape.fullmatch(path.name)
        if match is None:
            continue
        try:
            found.append(Rotated(path, date.fromisoformat(match[1]), int(match[2] or 0)))
        except ValueError:
            continue  # a name like ours with a day that is none
    # By the time of the last line, since a clock may have been set back; within one tick of it by name.
    return sorted(found, key=lambda file: (file.path.stat().st_mtime_ns, file.day, file.number), reverse=True)


def next_name(live: Path, day: date) -> Path:
    """Return the name under which `live` is put away: `stem.2026-11-21.csv`, then `stem.2026-11-21.1.csv`."""
    numbers = [file.number for file in list_rotated(live) if file.day == day]
    number = f".{max(numbers) + 1}" if numbers else ""
    return live.with_name(f"{live.stem}.{day.isoformat()}{number}{live.suffix}")


def delete_old(live: Path, today: date, days: int) -> None:
    """Delete what was put away more than `days` days ago; 0 keeps everything."""
    if not days:
        return
    for file in list_rotated(live):
        if file.day >= today - timedelta(days=days):
            continue
        try:
            file.path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("%s is older than %d days and cannot be deleted: %s", file.path, days, error)
        else:
            logger.info("%s is older than %d days and was deleted", file.path, days)
