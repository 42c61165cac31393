"""A reading as a line of CSV (RFC 4180), safe to open in a spreadsheet.

A line is one line of text whatever is in it: control characters become spaces. A text that a spreadsheet would take for
a formula has an apostrophe before it (OWASP, "CSV Injection"); numbers are left as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from actors.analysis.measures import KNOWN, find_measure
from actors.storage.following import FollowedReading

BASE = ("id", "received", "timestamp", "publisher_id", "site", "source", *KNOWN, "other")
"""Columns of every file; `other` is a JSON object of the measures that have no column."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOTHING = "," * (len(KNOWN) - 1)
_FORMULA = ("=", "+", "-", "@")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_NEEDS_QUOTES = re.compile(r'[",]|^ | $')
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class Layout(NamedTuple):
    """The columns of one file."""

    stem: str
    """Name of the file without `.csv`."""
    extra: tuple[tuple[str, Callable[[FollowedReading], Any]], ...] = ()
    """Columns beside those of `BASE`, each with what fills it."""

    @property
    def header(self) -> bytes:
        """Return the first line of each file."""
        return (",".join((*BASE, *(name for name, _ in self.extra))) + "\n").encode()

    def lines(self, rows: Sequence[FollowedReading]) -> list[bytes]:
        """Return one line for each reading."""
        if not self.extra:
            return [f"{format_base(row)}\n".encode() for row in rows]
        fills = [fill for _, fill in self.extra]
        return [f"{format_base(row)},{','.join(format_cell(fill(row)) for fill in fills)}\n".encode() for row in rows]


def format_base(row: FollowedReading) -> str:
    """Return the cells of `BASE`."""
    try:
        measures = _decode(row.measures)
    except msgspec.DecodeError:  # not written by us; the line is as good as the row
        return f"{_format_head(row)},{_NOTHING},{format_cell(row.measures)}"
    picks, others = _columns_of(tuple(measures))
    numbers = ",".join([str(measures[name]) if name else "" for name in picks])
    rest = format_cell(_encode({name: measures[name] for name in others}).decode()) if others else ""
    return f"{_format_head(row)},{numbers},{rest}"


def _format_head(row: FollowedReading) -> str:
    sender = _format_sender(row.serial, row.site, row.source)
    return f"{row.id},{format_time(row.rx_us)},{format_time(row.ts_us)},{sender}"


def format_cell(value: Any) -> str:
    """Return one cell: a number as it is, None as nothing, a text quoted and guarded where it needs it."""
    if not isinstance(value, str):
        return "" if value is None else str(value)
    if value.isalnum() or not value:  # most are; nothing below applies to them
        return value
    text = _CONTROL.sub(" ", value)
    if text.lstrip().startswith(_FORMULA):
        text = f"'{text}"
    if _NEEDS_QUOTES.search(text):
        return '"' + text.replace('"', '""') + '"'
    return text


def format_time(us: int) -> str:
    """Return microseconds since 1970 in RFC 3339 with milliseconds; the bare number outside the years 1 to 9999."""
    second, rest = divmod(us, 1_000_000)
    text = _format_second(second)
    return f"{text}.{rest // 1000:03d}Z" if text else str(us)


@lru_cache(maxsize=4096)
def _format_second(second: int) -> str:
    try:
        moment = _EPOCH + timedelta(seconds=second)
    except OverflowError:
        return ""
    return moment.replace(tzinfo=None).isoformat()


@lru_cache(maxsize=16_384)
def _format_sender(serial: str, site: str, source: str) -> str:
    return ",".join(map(format_cell, (serial, site, source)))


@lru_cache(maxsize=1024)
def _columns_of(names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which of these names fills each column of `KNOWN`, and those that fill none.

    Two names may mean one measure, as `temp` and `Temperature` do: the measure's own name has the column.
    """
    pick: dict[str, str] = {name: name for name in names if name in KNOWN}
    for name in names:
        measure = find_measure(name)
        if measure is not None:
            pick.setdefault(measure.name, name)
    taken = set(pick.values())
    return tuple(pick.get(column, "") for column in KNOWN), tuple(name for name in names if name not in taken)
