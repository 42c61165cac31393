"""Readings out of a file: CSV with a header line, or JSON lines, one object each.

Columns are measures by name. A column `timestamp` or `time` (any form that `actors.identity.timestamp_us` reads) sets
the pace where a speed is given; it is not published, because what is played is a station of today. Cells that hold no
number are left out.
"""

from __future__ import annotations

import csv
import json
import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from actors.drivers.base import Driver, DriverError, DriverOptions, EndOfReadingsError
from actors.identity import BadTimestampError, timestamp_us

logger = logging.getLogger(__name__)

_TIMES = ("timestamp", "time")
_LONGEST_PAUSE = 86_400.0
"""Seconds: a gap of a year in the recording does not silence the station for a year."""

Row = Mapping[str, Any]


class Replay(Driver):
    """Plays one file, row by row."""

    def __init__(self, options: DriverOptions) -> None:
        if options.file is None:
            raise DriverError("the driver `replay` needs --file FILE.")
        if not options.file.is_file():
            raise DriverError(f"there is no file {options.file}.")
        self._path = options.file
        self._speed, self._loop = options.speed, options.loop
        self._rows: Iterator[Row] = iter(())
        self._next: Row | None = None
        self._last_us: int | None = None
        self._pause: float | None = None
        self._opened = False

    def open(self) -> None:
        """Begin with the first row; after a failed `read` the replay goes on where it was.

        Raises:
            DriverError: the file cannot be read, or has no row with a number.

        """
        if not self._opened:
            self._rewind()
            self._opened = True

    def read(self, now: float) -> Mapping[str, float]:  # noqa: ARG002 - the file knows no now
        """Return the numbers of the next row.

        Raises:
            EndOfReadingsError: the file has ended.

        """
        row = self._next
        if row is None:
            raise EndOfReadingsError(f"{self._path} has ended")
        self._last_us = _time_of(row)
        self._next = self._following()
        if self._next is None and self._loop:
            self._rewind()
            self._last_us = None
        self._pause = self._pause_before(self._next)
        return _numbers(row)

    def pause(self) -> float | None:
        """Return the recorded distance to the next row over the speed; None without a speed or without times."""
        return self._pause

    def _pause_before(self, row: Row | None) -> float | None:
        if row is None:
            return 0.0  # the next `read` says that it has ended
        until_us = _time_of(row)
        if not self._speed or until_us is None or self._last_us is None:
            return None
        return min(_LONGEST_PAUSE, max(0, until_us - self._last_us) / 1e6 / self._speed)

    def _rewind(self) -> None:
        self._rows = _read(self._path)
        self._next = self._following()
        if self._next is None:
            raise DriverError(f"{self._path} has no row with a number in it.")

    def _following(self) -> Row | None:
        return next((row for row in self._rows if _numbers(row)), None)


def _read(path: Path) -> Iterator[Row]:
    """Yield the rows; a file whose first line begins with a brace holds JSON lines.

    Raises:
        DriverError: it cannot be read.

    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            is_json = file.read(1) == "{"
            file.seek(0)
            yield from _read_json(file, path) if is_json else csv.DictReader(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DriverError(f"the file {path} cannot be read: {reason}.") from None


def _read_json(file: Iterator[str], path: Path) -> Iterator[Row]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            # Most likely the recorder was killed while it wrote this line; those behind it are as good as before.
            logger.warning("%s: line %d is not JSON and is left out", path, number)
            continue
        # What Muster exports and what a publisher sends have the numbers one level down.
        nested = row.get("sensor_readings") if isinstance(row, dict) else None
        if isinstance(nested, dict):
            row = {**{name: row.get(name) for name in _TIMES}, **nested}
        if isinstance(row, dict):
            yield row


def _numbers(row: Row) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, cell in row.items():
        if name is None or name in _TIMES or isinstance(cell, bool):
            continue
        try:
            value = float(cell)
        except (TypeError, ValueError):
            continue
        if math.isfinite(value):
            found[name] = value
    return found


def _time_of(row: Row) -> int | None:
    """Return the recorded time in microseconds since 1970 UTC, or None."""
    for name in _TIMES:
        value = row.get(name)
        if value in (None, ""):
            continue
        try:
            return timestamp_us(float(value) if isinstance(value, str) and _is_number(value) else value)
        except BadTimestampError:
            return None
    return None


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()
