"""Baselines: what is usual for a sensor, and when a trend meets a limit."""

from __future__ import annotations

import random
import statistics
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.analysis import Baseline
from actors.analysis.baseline import FAR_OUT, MOST_MEASURES, SPACING_US, WARM_UP, WINDOW
from actors.analysis.trend import DAY, HORIZON, SHORT_HORIZON, find_trend
from tests.analysis.support import GOOD, MINUTE_US, START_US, minutely, noisy, series

finite = st.floats(-1e6, 1e6)
NOW_US = START_US + (WINDOW - 1) * MINUTE_US
"""The newest time of a full window of one value a minute."""


# Fences


def test_there_are_no_fences_before_twenty_values():
    assert series("pH", [6.4] * (WARM_UP - 1)).fences("pH") is None
    assert series("pH", [6.4] * WARM_UP).fences("pH") is not None
    assert series("pH", [6.4] * 60).fences("Moisture") is None


@given(st.lists(finite, min_size=WARM_UP, max_size=150))
def test_the_fences_rest_on_the_quartiles_of_the_last_sixty_values(values):
    usual = series("x", values).usual("x")
    last = values[-WINDOW:]
    q1, median, q3 = statistics.quantiles(last, n=4, method="inclusive")

    assert usual.n == len(last)
    assert (usual.q1, usual.median, usual.q3) == pytest.approx((q1, median, q3))
    assert usual.spread >= usual.q3 - usual.q1


def test_the_window_turns_many_times_and_always_holds_the_last_sixty_values():
    draw = random.Random(5)
    values = [draw.random() for _ in range(500)]
    for length in range(WINDOW, 500, 33):
        _, median, _ = statistics.quantiles(values[length - WINDOW : length], n=4, method="inclusive")
        assert series("x", values[:length]).usual("x").median == pytest.approx(median)


@given(st.lists(st.floats(0, 14), min_size=WARM_UP, max_size=150))
def test_the_fences_that_were_kept_are_those_of_a_fresh_look(values):
    baseline = series("pH", values)

    assert baseline.fences("pH") == pytest.approx(baseline.usual("pH").fences)


@given(st.lists(finite, min_size=WARM_UP, max_size=WINDOW))
def test_at_least_half_of_the_values_lie_within_the_fences(values):
    low, high = series("x", values).fences("x")

    assert sum(low <= value <= high for value in values) >= len(values) / 2


@given(st.integers(0, 1000))
def test_hardly_any_of_normally_distributed_values_are_far_out(seed):
    samples = [sample["Moisture"] for sample in noisy({"Moisture": 30}, 400, share=0.1, seed=seed)]
    low, high = series("Moisture", samples[:60]).fences("Moisture")

    assert sum(not low <= value <= high for value in samples[60:]) <= 4


def test_a_constant_signal_does_not_make_the_last_digit_unusual():
    low, high = series("Moisture", [33.0] * 60).fences("Moisture")

    assert (low, high) == (33.0 - FAR_OUT, 33.0 + FAR_OUT)


def test_a_fifth_of_wrong_values_does_not_move_the_fences_far():
    clean = [30 + 0.01 * n for n in range(48)]
    low, high = series("Moisture", clean[:24] + [90.0] * 12 + clean[24:]).fences("Moisture")

    assert 20 < low < 30 < high < 40


def test_a_lasting_change_becomes_usual():
    values = [30.0] * 60 + [50.0] * 16

    assert not series("Moisture", values[:65]).fences("Moisture")[1] >= 50
    assert series("Moisture", values).fences("Moisture")[1] >= 50


def test_a_measure_that_is_none_of_ours_has_a_hundredth_of_its_median_as_resolution():
    assert series("pressure", [1000.0] * 60).fences("pressure") == pytest.approx((970.0, 1030.0))
    assert series("pressure", [1000.0] * 60 + [10.0] * 120).fences("pressure") == pytest.approx((9.7, 10.3))


# What counts


def test_a_burst_counts_once():
    baseline = Baseline()
    for number in range(100):
        baseline.add(START_US + number, {"pH": 6.4})

    assert baseline.fences("pH") is None
    assert not baseline.is_due(START_US + SPACING_US - 1)
    assert baseline.is_due(START_US + SPACING_US)


def test_late_readings_count_and_do_not_turn_a_trend_around():
    falling = [(START_US + n * MINUTE_US, {"Moisture": 40 - 0.1 * n}) for n in range(60)]
    shuffled = falling[30:] + falling[:30]
    ordered, late = Baseline.from_history(falling), Baseline.from_history(shuffled)

    assert late.fences("Moisture") == ordered.fences("Moisture")
    assert late.forecast("Moisture", 20, 50) == ordered.forecast("Moisture", 20, 50)


def test_a_clock_that_jumped_into_the_future_and_back_does_not_stop_the_baseline():
    baseline = Baseline()
    baseline.add(START_US + 10**15, {"pH": 6.4})
    for number in range(40):
        baseline.add(START_US + number * MINUTE_US, {"pH": 6.4})

    assert baseline.usual("pH").n == 41


def test_every_measure_has_a_window_of_its_own():
    baseline = Baseline()
    for number in range(60):
        baseline.add(START_US + number * MINUTE_US, {"pH": 6.4} if number % 2 else {"N": 40})

    assert baseline.usual("pH").n == baseline.usual("N").n == 30


def test_a_sender_of_many_measures_does_not_fill_the_memory():
    baseline = minutely([{f"x{number}": 1.0 for number in range(200)} for _ in range(30)])

    assert len(baseline.fences_by_name) == MOST_MEASURES


@given(st.permutations(sorted(GOOD)))
def test_the_order_of_the_measures_does_not_matter(names):
    samples = noisy(GOOD, 70)
    turned = minutely([{name: sample[name] for name in names} for sample in samples])
    straight = minutely(samples)

    assert {name: turned.fences(name) for name in GOOD} == {name: straight.fences(name) for name in GOOD}


def test_a_history_makes_the_same_baseline_as_the_readings_did():
    samples = noisy(GOOD, 100)
    grown = Baseline()
    for number, sample in enumerate(samples):
        grown.add(START_US + number * MINUTE_US, sample)
    recalled = minutely(samples[-60:])

    assert all(grown.fences(name) == pytest.approx(recalled.fences(name)) for name in GOOD)


# Forecasts


@given(
    st.floats(0.001, 0.5).flatmap(lambda step: st.tuples(st.just(step), st.floats(20, 60), st.sampled_from([1, -1])))
)
def test_the_forecast_of_an_exact_line_hits(line):
    step, distance, sign = line
    values = [50 + sign * step * n for n in range(WINDOW)]
    limit = values[-1] + sign * distance
    seconds = distance / step * 60
    found = series("depth", values).forecast("depth", *((None, limit) if sign > 0 else (limit, None)), NOW_US)
    total_change = step * (WINDOW - 1)

    if seconds > HORIZON or total_change < 0.01 * statistics.median(values):
        assert found is None
    else:
        assert found.in_seconds == pytest.approx(seconds, rel=1e-3, abs=0.1)
        assert found.slope_per_hour == pytest.approx(sign * step * 60, rel=1e-3)
        at = datetime.fromisoformat(found.at).timestamp()
        assert at == pytest.approx(NOW_US / 1e6 + seconds, rel=1e-9, abs=1)


def test_a_forecast_is_told_in_a_sentence():
    found = series("Moisture", [30 - 0.05 * n for n in range(60)]).forecast("Moisture", 20, 50, NOW_US)

    assert found.limit == 20
    assert found.message == ("Moisture falls by 3 % an hour and reaches 20 % in about 2.4 hours if that goes on.")


def test_a_forecast_counts_from_the_newest_reading_if_not_told_otherwise():
    baseline = series("Moisture", [30 - 0.05 * n for n in range(60)])

    assert baseline.forecast("Moisture", 20, 50) == baseline.forecast("Moisture", 20, 50, NOW_US)
    later = baseline.forecast("Moisture", 20, 50, NOW_US + MINUTE_US)
    assert later.in_seconds == pytest.approx(baseline.forecast("Moisture", 20, 50).in_seconds - 60)


def test_outliers_do_not_spoil_a_forecast():
    values = [30 - 0.05 * n for n in range(60)]
    clean = series("Moisture", values).forecast("Moisture", 20, 50, NOW_US)
    for spoiled in (5, 17, 33, 48):
        values[spoiled] = 69.0
    found = series("Moisture", values).forecast("Moisture", 20, 50, NOW_US)

    assert found.in_seconds == pytest.approx(clean.in_seconds, rel=0.05)


@given(st.integers(0, 500))
def test_noise_is_no_trend_or_a_weak_one(seed):
    draw = random.Random(seed)
    values = [draw.gauss(30, 1) for _ in range(60)]
    trend = find_trend([(float(n), value) for n, value in enumerate(values)], 1.0)

    assert trend is None or abs(trend.slope) * 60 < 3


def test_noise_is_taken_for_a_trend_in_about_one_of_a_hundred_cases():
    draw = random.Random(3)
    found = [find_trend([(float(n), draw.gauss(30, 1)) for n in range(60)], 0.0) for _ in range(1_000)]

    assert sum(trend is not None for trend in found) < 30


@pytest.mark.parametrize(
    ("values", "low", "high", "why"),
    [
        ([30 - 0.05 * n for n in range(19)], 20, 50, "it warms up"),
        ([30.0] * 60, 20, 50, "it does not move"),
        ([20.1 - 0.001 * n for n in range(60)], 20, 50, "it moves less than the probe can tell"),
        ([30 - 0.02 * n for n in range(60)], -2000, 50, "the limit is further away than a week"),
        ([30 - 0.05 * n for n in range(60)], None, 50, "nothing limits it on that side"),
        ([30 - 0.05 * n for n in range(60)], 29, 50, "it is beyond the limit already"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_there_is_no_forecast_where(values, low, high, why):
    assert series("Moisture", values).forecast("Moisture", low, high) is None, why


def test_a_rising_morning_is_not_extended_over_days():
    warming = series("Temperature", [15 + 0.02 * n for n in range(60)])

    assert SHORT_HORIZON < (40 - 16.18) / (0.02 / 60) < HORIZON
    assert warming.forecast("Temperature", 0, 40) is None
    assert warming.forecast("Temperature", 0, 20) is not None


def test_a_rise_over_days_is_extended_over_days():
    hourly = Baseline.from_history((START_US + n * 60 * MINUTE_US, {"Temperature": 15 + 0.1 * n}) for n in range(60))

    assert DAY < hourly.forecast("Temperature", 0, 30).in_seconds < HORIZON
