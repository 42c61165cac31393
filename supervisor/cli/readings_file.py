"""Writes stored readings to a file, straight from the database: the work behind `muster export readings`."""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, Protocol, Self
from zoneinfo import ZoneInfo

import click
import msgspec

from actors.identity import BadTimestampError, timestamp_us
from actors.storage.connection import Connection
from actors.storage.database import open_database
from actors.storage.errors import StorageError, explain
from actors.storage.exporting import (
    ExportDevice,
    ExportRow,
    all_devices,
    count_devices,
    devices_called,
    each_page,
    has_analysis,
    members_of,
    newest_time,
)
from supervisor.server.config import Config

#: One line for each number: devices measure different things, and new ones may come with any reading.
COLUMNS: Final = ("time", "device", "channel", "metric", "value", "health_index", "status")
#: Characters of csv that are written at a time.
BLOCK: Final = 1 << 16
#: Lines that parquet compresses together.
ROW_GROUP: Final = 50_000
#: Later than every timestamp that is taken (`actors.identity`).
_END_OF_TIME: Final = 253_402_300_800_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_decode = msgspec.json.Decoder(dict[str, float | int]).decode

Numbers = dict[str, float | int]


class Whose(NamedTuple):
    """Whose readings are wanted: of these devices, and of those in these groups; without any, of all."""

    devices: Sequence[str] = ()
    groups: Sequence[str] = ()


def write_readings(
    config: Config,
    *,
    form: str,
    whose: Whose,
    since: str | None,
    until: str | None,
    metrics: Sequence[str],
    output: str,
) -> int:
    """Write readings, device by device, the oldest first; return how many.

    Raises:
        click.ClickException: in one sentence, what went wrong with the database, the file or a library.

    """
    span = _span(since, until, ZoneInfo(config.timezone))
    make = _sink_for(form, output)
    with _explained(), _reading(config) as database, _target(output) as (stream, finish):
        chosen = _choose(database, whose)
        total = len(chosen) if isinstance(chosen, list) else count_devices(database)
        with _Progress(total) as progress:
            sink = make(stream)
            for device, page in _pages(database, chosen, span, progress):
                progress.rows += _put(sink, device, page, frozenset(metrics))
            sink.close()
        finish()
    return progress.rows


def _span(since: str | None, until: str | None, zone: ZoneInfo) -> tuple[int, int]:
    """Return the range of time, microseconds."""
    times = []
    for flag, text, default in (("--since", since, 0), ("--until", until, _END_OF_TIME)):
        try:
            times.append(default if text is None else timestamp_us(text, zone))
        except BadTimestampError as error:
            raise click.UsageError(f"{flag}: {error}; a time looks like 2026-08-22 or 2026-08-22T12:00:00Z.") from None
    if times[0] >= times[1]:
        raise click.UsageError("--since must be earlier than --until.")
    return times[0], times[1]


# -- the database ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Say in one sentence what went wrong with the database or the file."""
    try:
        yield
    except StorageError as error:
        raise click.ClickException(f"The database cannot be read: {error}") from None
    except BrokenPipeError:
        raise  # nobody reads any more, which is no failure
    except OSError as error:
        raise click.ClickException(f"{error.filename or 'The file'}: {error.strerror or error}.") from None


@contextlib.contextmanager
def _reading(config: Config) -> Iterator[Any]:
    """Yield the configured database, opened for reading only."""
    from peewee import PeeweeException

    connection = Connection(open_database(config.database.url, read_only=True))
    try:
        connection.open()
        if not has_analysis(connection.database):
            raise click.ClickException(
                "The tables are not those of this version; start the server once, which brings them up to date."
            )
        yield connection.database
    except PeeweeException as error:
        raise click.ClickException(f"The database cannot be read: {explain(error)}") from None
    finally:
        connection.close()


def _choose(database: Any, whose: Whose) -> Iterable[ExportDevice]:
    if not any(whose):
        return all_devices(database)
    serials = set(whose.devices)
    for name in whose.groups:
        members = members_of(database, name)
        if members is None:
            raise click.ClickException(f"There is no group {name}.")
        serials |= set(members)
    found = devices_called(database, list(serials))
    if missing := set(whose.devices) - {device.serial for device in found}:
        raise click.ClickException(f"There is no device {min(missing)}.")
    return found


def _pages(
    database: Any, devices: Iterable[ExportDevice], span: tuple[int, int], progress: _Progress
) -> Iterator[tuple[ExportDevice, list[ExportRow]]]:
    for number, device in enumerate(devices):
        first, last = None, newest_time(database, device.id, span[1])
        for page in each_page(database, device.id, *span):
            yield device, page
            first = page[0].ts_us if first is None else first
            progress.show(number + (page[-1].ts_us - first) / max(1, last - first))
        progress.show(number + 1)


# -- what is written -------------------------------------------------------------------------------------------------


class Sink(Protocol):
    """Takes readings in one format."""

    def write(self, device: ExportDevice, row: ExportRow, numbers: Numbers) -> None:
        """Write one reading, of which only `numbers` were asked for."""

    def close(self) -> None:
        """Write what is left; the stream stays open."""


def _put(sink: Sink, device: ExportDevice, page: Iterable[ExportRow], metrics: frozenset[str]) -> int:
    """Write the readings of a page that hold what was asked for; return how many."""
    count = 0
    for row in page:
        numbers = _decode(row.measures)
        if metrics:
            numbers = {name: value for name, value in numbers.items() if name in metrics}
            if not numbers:
                continue
        sink.write(device, row, numbers)
        count += 1
    return count


def _sink_for(form: str, output: str) -> Callable[[BinaryIO], Sink]:
    """Return what makes the sink, or end with a sentence if it cannot work here."""
    if form == "csv":
        return CsvSink
    if form == "jsonl":
        return JsonSink
    if output == "-" and sys.stdout.isatty():
        raise click.UsageError("Parquet is not for a terminal: name a file with --output.")
    try:
        arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise click.ClickException("Parquet needs pyarrow: pip install 'muster-fleet[parquet]'") from None
    return lambda stream: ParquetSink(stream, arrow, parquet)


def rfc3339(us: int) -> str:
    """Return a time with all its microseconds, so that nothing of it is lost."""
    return (_EPOCH + timedelta(microseconds=us)).isoformat(timespec="microseconds").replace("+00:00", "Z")


class CsvSink:
    """Lines of `COLUMNS`, RFC 4180 but for the line's end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._text = io.StringIO(newline="")
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._writer.writerow(COLUMNS)

    def write(self, device: ExportDevice, row: ExportRow, numbers: Numbers) -> None:
        """Write a line for each number."""
        head = (rfc3339(row.ts_us), device.serial, row.channel)
        tail = (row.health_index, row.status)
        self._writer.writerows((*head, name, value, *tail) for name, value in numbers.items())
        if self._text.tell() >= BLOCK:
            self.close()

    def close(self) -> None:
        """Write what is left."""
        self._stream.write(self._text.getvalue().encode())
        self._text.seek(0)
        self._text.truncate()


class JsonSink:
    """One object a line for each reading."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, device: ExportDevice, row: ExportRow, numbers: Numbers) -> None:
        """Write an object."""
        body = {
            "time": rfc3339(row.ts_us),
            "device": device.serial,
            "site": device.site,
            "channel": row.channel,
            "measures": numbers,
            "health_index": row.health_index,
            "status": row.status,
            "anomalies": msgspec.Raw((row.anomalies or "[]").encode()),
            "received": rfc3339(row.rx_us),
            "clock": row.clock,
            "source": row.source,
        }
        self._stream.write(msgspec.json.encode(body) + b"\n")

    def close(self) -> None:
        """There is nothing left."""


class ParquetSink:
    """The lines of `CsvSink` with types: times in microseconds, numbers as doubles."""

    def __init__(self, stream: BinaryIO, arrow: Any, parquet: Any) -> None:
        self._arrow = arrow
        text = arrow.dictionary(arrow.int32(), arrow.string())
        types = (arrow.timestamp("us", tz="UTC"), text, text, text, arrow.float64(), arrow.float64(), text)
        self._schema = arrow.schema(list(zip(COLUMNS, types, strict=True)))
        self._writer = parquet.ParquetWriter(stream, self._schema, compression="zstd")
        self._lines: list[tuple[Any, ...]] = []

    def write(self, device: ExportDevice, row: ExportRow, numbers: Numbers) -> None:
        """Keep a line for each number until there are enough of them."""
        head, tail = (row.ts_us, device.serial, row.channel), (row.health_index, row.status)
        self._lines += [(*head, name, float(value), *tail) for name, value in numbers.items()]
        if len(self._lines) >= ROW_GROUP:
            self._flush()

    def close(self) -> None:
        """Write what is left and the index at the end."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        columns = list(zip(*self._lines, strict=True)) or [()] * len(COLUMNS)
        arrays = [
            self._arrow.array(column, type=field.type) for column, field in zip(columns, self._schema, strict=True)
        ]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))
        self._lines.clear()


# -- where it is written ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _target(output: str) -> Iterator[tuple[BinaryIO, Callable[[], None]]]:
    """Yield the stream, and what gives the file its name: until that was called nobody sees a part of it."""
    if output == "-":
        stream: BinaryIO = sys.stdout.buffer
        yield stream, stream.flush
        return
    final = Path(output)
    part = final.with_name(f"{final.name}.part")
    with part.open("wb") as file:

        def finish() -> None:
            file.flush()
            os.fsync(file.fileno())
            part.replace(final)

        try:
            yield file, finish
        finally:
            part.unlink(missing_ok=True)


class _Progress:
    """A bar on stderr, where that is a terminal; counts what was written."""

    def __init__(self, total: int) -> None:
        self.rows = 0
        self._total = total
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            rows = TextColumn("{task.fields[rows]} readings")
            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("devices"), rows, TimeElapsedColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("export", total=self._total, rows=0)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, devices: float) -> None:
        """Move on to so many devices, the last of them in part."""
        if self._bar is not None:
            self._bar.update(self._task, completed=devices, rows=self.rows)
