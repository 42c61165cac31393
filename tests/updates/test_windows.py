from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from actors.updates.windows import Window, is_open

NIGHT = Window(days=("fri",), begin="22:00", end="04:30")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "open_"),
    [
        ("2026-11-20 21:59", False),  # a Friday
        ("2026-11-20 22:00", True),
        ("2026-11-21 04:29", True),
        ("2026-11-21 04:30", False),
        ("2026-11-21 22:00", False),
        ("2026-11-20 03:00", False),
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins(moment, open_):
    assert NIGHT.is_open(at(moment)) is open_


def test_the_same_begin_and_end_are_a_whole_day():
    day = Window(days=("sat",), begin="00:00", end="00:00")
    assert day.is_open(at("2026-11-21 00:00"))
    assert day.is_open(at("2026-11-21 23:59"))
    assert not day.is_open(at("2026-11-22 00:00"))


def test_a_window_is_in_the_time_of_its_site_in_summer_and_winter():
    rome = Window(begin="02:00", end="03:30", timezone="Europe/Rome")
    assert rome.is_open(at("2026-01-10 01:15"))
    assert not rome.is_open(at("2026-07-10 01:45"))
    assert rome.is_open(at("2026-07-10 00:15"))


def test_without_windows_it_is_always_open_and_with_several_one_is_enough():
    now = at("2026-11-20 12:00").timestamp()
    assert is_open([], now)
    assert not is_open([NIGHT], now)
    assert is_open([NIGHT, Window(begin="11:00", end="13:00")], now)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"begin": "24:00", "end": "01:00"}, "begin"),
        ({"begin": "1:00", "end": "02:00"}, "begin"),
        ({"begin": "01:00", "end": "02:60"}, "end"),
        ({"begin": "01:00", "end": "02:00", "days": []}, "days"),
        ({"begin": "01:00", "end": "02:00", "days": ["someday"]}, "days"),
        ({"begin": "01:00", "end": "02:00", "timezone": "Mars/Base"}, "timezone"),
        ({"begin": "01:00", "end": "02:00", "timezone": "../../etc/passwd"}, "timezone"),
    ],
)
def test_a_bad_window_is_refused_by_the_name_of_its_field(body, field):
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert(body, Window)
