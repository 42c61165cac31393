"""The simulated station: plausible, connected in itself, the same for the same seed."""

from __future__ import annotations

import itertools
import math
import statistics

import pytest

from actors.drivers.simulator import MEASURES, PROBE, SoilSimulator

NOON = 1_760_011_200.0  # 2025-10-09 12:00 UTC
HOUR, DAY = 3600.0, 86_400.0


def days(number, *, seed=1, step=600.0, **options):
    """Readings over so many days, and whether it rained."""
    station = SoilSimulator(seed, **options)
    times = [NOON + step * index for index in range(int(number * DAY / step))]
    return [(now, station.read(now), station.raining) for now in times]


def correlation(left, right):
    return statistics.correlation(left, right)


def test_the_same_seed_and_times_give_the_same_readings():
    assert days(2, seed=7) == days(2, seed=7)


def test_two_stations_are_different_sites():
    assert days(0.1, seed=1)[0][1] != days(0.1, seed=2)[0][1]


@pytest.mark.parametrize("seed", range(20))
def test_every_reading_is_complete_and_within_what_the_probe_can_show(seed):
    for _, reading, _ in days(20, seed=seed, step=1800):
        assert tuple(reading) == MEASURES
        for name, value in reading.items():
            low, high, _, _ = PROBE[name]
            assert math.isfinite(value)
            assert low <= value <= high


def test_afternoons_are_warmer_than_early_mornings():
    readings = days(10)
    at = {hour: [r["Temperature"] for now, r, _ in readings if int(now % DAY // HOUR) == hour] for hour in (5, 17)}
    assert statistics.mean(at[17]) > statistics.mean(at[5]) + 4


def test_it_rains_now_and_then_and_rain_raises_moisture():
    readings = days(30, rain_every_h=24)
    rainy = sum(raining for *_, raining in readings)
    assert 0 < rainy < len(readings) / 3
    pairs = list(itertools.pairwise(readings))
    rises = [after["Moisture"] - before["Moisture"] for (_, before, _), (_, after, wet) in pairs if wet]
    assert statistics.mean(rises) > 0.3


def test_a_warm_dry_spell_dries_the_soil():
    readings = days(5, rain_every_h=1e9)
    assert readings[-1][1]["Moisture"] < readings[0][1]["Moisture"] - 1


def test_rain_leaches_nitrogen():
    wet = [days(20, seed=seed, rain_every_h=4, step=1800)[-1][1]["N"] for seed in range(10)]
    dry = [days(20, seed=seed, rain_every_h=1e9, step=1800)[-1][1]["N"] for seed in range(10)]
    assert statistics.mean(wet) < 0.8 * statistics.mean(dry)


def test_respiration_follows_temperature():
    readings = [r for _, r, _ in days(3, rain_every_h=1e9)]
    assert correlation([r["Temperature"] for r in readings], [r["CO2"] for r in readings]) > 0.8


def test_the_noise_is_the_probes_and_can_be_switched_off():
    def largest_step(**options):
        values = [reading["Temperature"] for _, reading, _ in days(0.01, step=1, **options)]
        return max(abs(after - before) for before, after in itertools.pairwise(values))

    assert largest_step(noise=0) < 0.1 < largest_step()


@pytest.mark.parametrize("seed", range(10))
def test_it_continues_from_its_last_published_values(seed):
    now, last, _ = days(9.3, seed=seed)[-1]
    first = SoilSimulator(seed + 100, start=last).read(now + 60)
    for name, (_, _, noise, _) in PROBE.items():
        assert first[name] == pytest.approx(last[name], abs=6 * noise + 0.02 * abs(last[name]))


def test_a_part_of_the_last_values_is_enough_and_nonsense_among_them_is_ignored():
    reading = SoilSimulator(1, start={"pH": 7.9, "N": math.nan, "colour": 3.0, "Moisture": 1e9}).read(NOON)
    assert reading["pH"] == pytest.approx(7.9, abs=0.2)
    assert reading["Moisture"] == pytest.approx(60, abs=1)
    assert 0 < reading["N"] < 100
    assert "colour" not in reading


def test_a_clock_that_goes_back_and_a_gap_of_a_year_do_no_harm():
    station = SoilSimulator(1)
    station.read(NOON)
    station.read(NOON - 10 * DAY)
    reading = station.read(NOON + 365 * DAY)
    assert all(math.isfinite(value) for value in reading.values())


def test_the_weather_does_not_depend_on_how_often_one_looks():
    """The soil is stepped in small pieces, so a station read hourly has rain too."""
    assert any(raining for *_, raining in days(30, step=HOUR, rain_every_h=12))
