"""The replay: rows of a file as the readings of a station of today."""

from __future__ import annotations

import json

import pytest

from actors.drivers import DriverError, DriverOptions, EndOfReadingsError, find_driver, list_drivers, stable_seed
from actors.drivers.replay import Replay


@pytest.fixture
def replay(tmp_path):
    def make(text, **options):
        path = tmp_path / "recording"
        path.write_text(text, encoding="utf-8")
        driver = Replay(DriverOptions(publisher_id="S", file=path, **options))
        driver.open()
        return driver

    return make


def play(driver, number):
    return [dict(driver.read(0.0)) for _ in range(number)]


def test_csv_columns_are_measures_by_name(replay):
    driver = replay("N,pH\n41,6.4\n42,6.5\n")
    assert play(driver, 2) == [{"N": 41, "pH": 6.4}, {"N": 42, "pH": 6.5}]
    with pytest.raises(EndOfReadingsError):
        driver.read(0.0)


def test_cells_without_a_number_and_rows_without_any_are_left_out(replay):
    driver = replay("timestamp,N,site,pH\n2026-01-01T00:00:00Z,,north,x\n,41,north,\n,nan,north,7\n")
    assert play(driver, 2) == [{"N": 41}, {"pH": 7}]


@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_json_lines_are_objects_flat_or_as_they_were_published(replay, bom):
    lines = [
        {"timestamp": "2026-01-01T00:00:00Z", "N": 1, "ok": True},
        {"publisher_id": "X", "sensor_readings": {"N": 2}},
    ]
    driver = replay(bom + "\n".join(map(json.dumps, lines)) + "\n\n") if not bom else replay(json.dumps(lines[0]))
    assert play(driver, 1) == [{"N": 1}]
    if not bom:
        assert play(driver, 1) == [{"N": 2}]


def test_a_loop_begins_anew(replay):
    driver = replay("N\n1\n2\n", loop=True)
    assert [row["N"] for row in play(driver, 5)] == [1, 2, 1, 2, 1]


@pytest.mark.parametrize("times", [("2026-01-01T00:00:00Z", "2026-01-01T00:10:00Z"), ("1700000000", "1700000600")])
def test_with_a_speed_the_recorded_times_set_the_pace(replay, times):
    driver = replay(f"time,N\n{times[0]},1\n{times[1]},2\n", speed=60)
    driver.read(0.0)
    assert driver.pause() == 10
    driver.read(0.0)
    assert driver.pause() == 0


@pytest.mark.parametrize("text", ["N\n1\n2\n", "time,N\nyesterday,1\ntoday,2\n"])
def test_without_times_the_interval_of_the_publisher_holds(replay, text):
    driver = replay(text, speed=60)
    driver.read(0.0)
    assert driver.pause() is None


def test_times_that_go_back_and_gaps_of_years_are_bounded(replay):
    driver = replay("time,N\n1700000000,1\n1600000000,2\n1900000000,3\n", speed=1)
    driver.read(0.0)
    assert driver.pause() == 0
    driver.read(0.0)
    assert driver.pause() == 86_400


def test_opening_again_after_a_failure_goes_on_where_it_was(replay):
    driver = replay("N\n1\n2\n")
    driver.read(0.0)
    driver.close()
    driver.open()
    assert driver.read(0.0) == {"N": 2}


@pytest.mark.parametrize("text", ["", "N,pH\n", "a,b\nx,y\n"])
def test_a_file_without_numbers_is_refused(replay, text):
    with pytest.raises(DriverError, match="no row with a number"):
        replay(text)


def test_a_line_that_is_no_json_is_named_and_left_out(replay, caplog):
    driver = replay('{"N": 1}\n{"N": \n[1]\n{"N": 2}\n')
    assert play(driver, 2) == [{"N": 1}, {"N": 2}]
    assert "line 2 is not JSON" in caplog.text


def test_without_a_file_there_is_no_replay(tmp_path):
    with pytest.raises(DriverError, match="--file"):
        Replay(DriverOptions(publisher_id="S"))
    with pytest.raises(DriverError, match="there is no file"):
        Replay(DriverOptions(publisher_id="S", file=tmp_path / "nothing"))


# Which drivers there are


class Point:
    group, value = "muster.drivers", "somewhere:thing"

    def __init__(self, name, made):
        self.name, self._made = name, made

    def load(self):
        if isinstance(self._made, Exception):
            raise self._made
        return self._made


@pytest.fixture
def installed(monkeypatch):
    points = [Point("probe", lambda _options: "a probe"), Point("broken", ImportError("no module named i2c"))]

    def entry_points(*, group, name=None):
        assert group == "muster.drivers"
        return [point for point in points if name in (None, point.name)]

    monkeypatch.setattr("actors.drivers.entry_points", entry_points)


def test_ours_come_first_and_installed_ones_beside_them(installed):
    assert list_drivers() == ["simulator", "replay", "broken", "probe"]
    assert find_driver("probe")(None) == "a probe"


def test_a_driver_that_is_not_there_or_cannot_be_loaded_is_one_sentence(installed):
    with pytest.raises(DriverError, match="no driver `lamp`; known are simulator"):
        find_driver("lamp")
    with pytest.raises(DriverError, match="no module named i2c"):
        find_driver("broken")


def test_the_seed_of_a_publisher_is_its_own_and_stable():
    assert stable_seed("S-1") == stable_seed("S-1") != stable_seed("S-2")
