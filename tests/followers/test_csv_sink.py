from __future__ import annotations

import contextlib
import logging
import os
import resource
import shutil
from datetime import UTC, datetime

import pytest

from actors.followers import csv_sink
from actors.followers.audit import AUDIT
from actors.followers.csv_sink import CsvSink
from actors.followers.lines import Layout
from actors.runtime import ManualClock
from tests.followers.support import files, ids, row

LIVE = "mqtt_sensor_received.csv"
DAY = 86_400.0


@pytest.fixture
def clock():
    """Stands at this moment, so that it agrees with the times of files."""
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    return ManualClock(time=noon.timestamp())


@pytest.fixture
def make(tmp_path, clock):
    made = []

    def make(**options) -> CsvSink:
        made.append(CsvSink(tmp_path, AUDIT, clock, **({"max_bytes": 2**26, "days": 90} | options)))
        return made[-1]

    yield make
    for sink in made:
        sink.close()


@pytest.fixture
def sink(make):
    sink = make()
    assert sink.open() is None
    return sink


def rows(first, last, **fields):
    return [row(number, **fields) for number in range(first, last + 1)]


@contextlib.contextmanager
def disk_ends_at(size):
    """Let no file of this process grow beyond `size` bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def today(clock) -> str:
    return datetime.fromtimestamp(clock.time(), UTC).date().isoformat()


# After a crash


def test_an_empty_folder_begins_with_a_header(sink, tmp_path):
    assert (tmp_path / LIVE).read_bytes() == AUDIT.header


def test_it_knows_where_it_stood(sink, make, tmp_path):
    sink.write(rows(1, 3))
    sink.write(rows(5, 9))
    sink.close()
    assert make().open() == 9
    assert ids(tmp_path) == [1, 2, 3, 5, 6, 7, 8, 9]


def test_cut_off_at_any_byte_it_goes_on_as_if_nothing_had_happened(sink, make, tmp_path):
    sink.write(rows(8, 12, measures='{"a \\"quoted\\", name":1}'))
    sink.close()
    whole = (tmp_path / LIVE).read_bytes()
    for size in range(len(whole) + 1):
        (tmp_path / LIVE).write_bytes(whole[:size])
        again = make()
        last = again.open()
        again.write(
            [reading for reading in rows(8, 12, measures='{"a \\"quoted\\", name":1}') if reading.id > (last or 0)]
        )
        again.close()
        assert (tmp_path / LIVE).read_bytes() == whole, size


def test_zeros_that_a_power_cut_has_left_are_cut_off(sink, make, tmp_path):
    sink.write(rows(1, 3))
    sink.close()
    with (tmp_path / LIVE).open("ab") as file:
        file.write(bytes(5000) + b"\n" + bytes(100))
    again = make()
    assert again.open() == 3
    again.write(rows(4, 4))
    assert ids(tmp_path) == [1, 2, 3, 4]


def test_a_last_line_longer_than_any_buffer_is_found(sink, make, tmp_path):
    sink.write([row(1), row(2, measures='{"' + "x" * 300_000 + '":1}')])
    sink.close()
    again = make()
    assert again.open() == 2
    again.close()
    with (tmp_path / LIVE).open("ab") as file:
        file.write(b"3," + b"y" * 200_000)
    assert make().open() == 2


def test_a_crash_in_the_middle_of_a_rotation_loses_nothing(sink, make, tmp_path, clock):
    sink.write(rows(1, 3))
    sink.close()
    rotated = tmp_path / f"mqtt_sensor_received.{today(clock)}.csv"
    (tmp_path / LIVE).rename(rotated)
    for header in (None, b"", AUDIT.header[:10], AUDIT.header):
        if header is not None:
            (tmp_path / LIVE).write_bytes(header)
        again = make()
        assert again.open() == 3
        again.close()
        assert (tmp_path / LIVE).read_bytes() == AUDIT.header


def test_without_any_file_it_knows_nothing(sink, make, tmp_path):
    sink.write(rows(1, 3))
    sink.close()
    (tmp_path / LIVE).unlink()
    assert make().open() is None


def test_two_incarnations_never_write_one_file(sink, make):
    other = make()
    with pytest.raises(BlockingIOError, match="somebody else is writing this file"):
        other.open()
    sink.close()
    other.open()


# While it runs


def test_a_file_that_was_taken_away_is_begun_anew(sink, tmp_path, caplog):
    sink.write(rows(1, 3))
    (tmp_path / LIVE).rename(tmp_path / "taken.csv")
    sink.write(rows(4, 5))
    assert ids(tmp_path) == [4, 5]
    assert "changed by somebody else" in caplog.text


def test_a_file_that_was_emptied_gets_its_header_again(sink, tmp_path):
    sink.write(rows(1, 3))
    os.truncate(tmp_path / LIVE, 0)
    sink.write(rows(4, 5))
    assert ids(tmp_path) == [4, 5]


def test_a_full_disk_leaves_no_half_line_and_loses_nothing(sink, tmp_path):
    sink.write(rows(1, 3))
    size = (tmp_path / LIVE).stat().st_size
    for room in (0, 1, 50, 150, 250):
        with disk_ends_at(size + room), pytest.raises(OSError, match="File too large"):
            sink.write(rows(4, 9))
        assert (tmp_path / LIVE).stat().st_size == size
    sink.write(rows(4, 9))
    assert ids(tmp_path) == list(range(1, 10))


def test_what_cannot_even_be_cut_off_on_a_sick_disk_is_cut_off_later(sink, tmp_path, monkeypatch):
    sink.write(rows(1, 3))
    size = (tmp_path / LIVE).stat().st_size

    def refuse(*_):
        raise OSError("sick")

    with monkeypatch.context() as sick:
        sick.setattr(csv_sink.os, "ftruncate", refuse)
        sick.setattr(csv_sink.os, "fsync", refuse)
        with pytest.raises(OSError, match="sick"):
            sink.write(rows(4, 9))
    assert (tmp_path / LIVE).stat().st_size > size
    sink.write(rows(4, 9))
    assert ids(tmp_path) == list(range(1, 10))


def test_a_batch_that_failed_in_its_second_file_is_not_repeated_in_the_first(make, tmp_path, monkeypatch):
    sink = make(max_bytes=len(AUDIT.header) + 350)
    sink.open()
    flush, calls = os.fsync, []

    def fail_at_the_fifth(handle):
        calls.append(handle)
        if len(calls) == 5:
            raise OSError("sick")
        flush(handle)

    with monkeypatch.context() as sick:
        sick.setattr(csv_sink.os, "fsync", fail_at_the_fifth)
        with pytest.raises(OSError, match="sick"):
            sink.write(rows(1, 12))
    assert 0 < len(ids(tmp_path)) < 12
    sink.write(rows(1, 12))
    assert ids(tmp_path) == list(range(1, 13))


# Rotation


def test_a_file_is_put_away_before_it_grows_too_large(make, tmp_path, clock):
    sink = make(max_bytes=2000)
    sink.open()
    for first in range(1, 200, 7):
        sink.write(rows(first, first + 6))
    found = files(tmp_path)
    day = today(clock)
    names = [f"mqtt_sensor_received.{day}.csv"]
    names += [f"mqtt_sensor_received.{day}.{number}.csv" for number in range(1, len(found) - 1)]
    assert [path.name for path in found] == [*names, LIVE]
    assert len(found) > 10
    assert all(path.stat().st_size <= 2000 for path in found)
    assert all(path.read_bytes().startswith(AUDIT.header) for path in found)
    assert ids(tmp_path) == list(range(1, 204))


def test_a_line_that_is_too_long_for_any_file_has_one_alone(make, tmp_path):
    sink = make(max_bytes=1000)
    sink.open()
    sink.write([row(1), row(2, measures='{"' + "x" * 3000 + '":1}'), row(3)])
    assert [path.read_bytes().count(b"\n") for path in files(tmp_path)] == [2, 2, 2]
    assert ids(tmp_path) == [1, 2, 3]


def test_a_new_day_begins_a_new_file_named_after_the_old_one(sink, tmp_path, clock):
    sink.write(rows(1, 2))
    yesterday = today(clock)
    clock.advance(DAY)
    sink.write(rows(3, 4))
    sink.write(rows(5, 6))
    clock.advance(3 * DAY)
    between = datetime.fromtimestamp(clock.time() - 3 * DAY, UTC).date().isoformat()
    sink.write(rows(7, 8))
    assert [path.name for path in files(tmp_path)] == [
        f"mqtt_sensor_received.{yesterday}.csv",
        f"mqtt_sensor_received.{between}.csv",
        LIVE,
    ]
    assert ids(tmp_path) == list(range(1, 9))


def test_the_day_of_a_file_is_known_after_a_restart(sink, make, tmp_path, clock):
    sink.write(rows(1, 2))
    sink.close()
    clock.advance(DAY)
    again = make()
    assert again.open() == 2
    again.write(rows(3, 3))
    assert len(files(tmp_path)) == 2
    assert ids(tmp_path) == [1, 2, 3]


def test_a_day_without_readings_leaves_no_file(sink, tmp_path, clock):
    for _ in range(5):
        clock.advance(DAY)
        sink.write([])
    assert [path.name for path in files(tmp_path)] == [LIVE]


def test_what_was_put_away_is_deleted_after_its_days(make, tmp_path, clock):
    sink = make(days=3)
    sink.open()
    (tmp_path / "mqtt_sensor_received.2001-02-31.csv").write_text("a name that is no day")
    (tmp_path / "mqtt_sensor_received.old.csv").write_text("somebody's copy")
    for number in range(1, 9):
        sink.write([row(number)])
        clock.advance(DAY)
    assert ids(tmp_path) == [5, 6, 7, 8]
    assert (tmp_path / "mqtt_sensor_received.2001-02-31.csv").exists()
    assert (tmp_path / "mqtt_sensor_received.old.csv").exists()


def test_nought_days_keep_everything(make, tmp_path, clock):
    sink = make(days=0)
    sink.open()
    for number in range(1, 9):
        sink.write([row(number)])
        clock.advance(400 * DAY)
    assert ids(tmp_path) == list(range(1, 9))


def test_a_file_with_other_columns_is_put_away(tmp_path, clock, make, caplog):
    caplog.set_level(logging.WARNING)
    old = CsvSink(tmp_path, Layout("mqtt_sensor_received", (("more", lambda _row: 1),)), clock, max_bytes=2**20, days=0)
    old.open()
    old.write(rows(1, 4))
    old.close()
    shutil.copy(tmp_path / LIVE, tmp_path / "copy.txt")
    sink = make()
    assert sink.open() == 4
    sink.write(rows(5, 5))
    assert (tmp_path / LIVE).read_bytes().startswith(AUDIT.header)
    assert files(tmp_path)[0].read_bytes() == (tmp_path / "copy.txt").read_bytes()
    assert "has other columns" in caplog.text
