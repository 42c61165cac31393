"""The Soil Health Index: what raises it, what lowers it, and how it is explained."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.analysis import CROPS, STATUSES, SoilAnalyser, SoilSettings, status_of
from actors.analysis.crops import GENERAL, WEIGHTS, score
from tests.analysis.support import GOOD, minutely, noisy

soil = SoilAnalyser()
values = {name: st.floats(low - abs(low), 2 * high) for name, (low, _, _, high) in GENERAL.items()}
readings = st.fixed_dictionaries({}, optional=values)
some_readings = readings.filter(bool)


def index(reading, analyser=soil, site=""):
    return analyser.analyse(reading, None, site).health_index


# What the index is


@given(readings)
def test_the_index_lies_between_0_and_100_or_is_none(reading):
    found = index(reading)

    assert (found is None) == (reading == {})
    assert found is None or 0 <= found <= 100


def test_a_reading_with_everything_in_its_optimum_has_100():
    assert index(GOOD) == 100


def test_a_reading_with_everything_beyond_its_limits_has_0():
    assert index(dict.fromkeys(GOOD, -1)) == 0


def test_the_payload_of_the_documents_is_excellent():
    reading = {"N": 41, "P": 22, "K": 180, "CO2": 420, "Temperature": 21.5, "Moisture": 33, "pH": 6.4}

    assert soil.analyse(reading, None, "") == soil.analyse(reading, None, "harit-samarth")
    assert soil.analyse(reading, None, "").status == "Excellent"
    assert soil.analyse(reading, None, "").anomalies == ()


def test_half_way_to_the_optimum_is_half_of_the_points():
    assert index({"pH": (4.5 + 6.0) / 2}) == 50


def test_a_reading_without_a_measure_of_the_soil_has_no_index_and_no_status():
    analysis = soil.analyse({"wind": 3.0}, None, "")

    assert analysis.health_index is None
    assert analysis.status == ""


@given(readings)
def test_the_order_in_which_a_station_writes_its_measures_does_not_matter(reading):
    turned = dict(reversed(reading.items()))

    assert index(turned) == pytest.approx(index(reading), abs=0.011)
    assert soil.explain(turned, None, "")["contributions"] == soil.explain(reading, None, "")["contributions"]


@given(some_readings)
def test_names_mean_the_same_in_any_case_and_by_any_alias(reading):
    aliases = {"N": "nitrogen", "P": "Phosphorus", "K": "k", "CO2": "co2", "Temperature": "soil temperature"}
    renamed = {aliases.get(name, name.upper()): value for name, value in reading.items()}

    assert index(renamed) == index(reading)


def test_of_two_names_for_one_measure_the_measures_own_counts():
    assert index({"ph": 2.0, "pH": 6.5}) == 100
    assert index({"pH": 6.5, "Acidity": 2.0}) == 100


def test_a_measure_that_is_none_of_ours_changes_nothing():
    assert index({**GOOD, "pH": 5.1, "battery": 3.3}) == index({**GOOD, "pH": 5.1})


def test_whole_numbers_are_as_good_as_fractions():
    assert index({"pH": 5, "Moisture": 20}) == index({"pH": 5.0, "Moisture": 20.0})


# Monotony


@given(st.sampled_from(sorted(GENERAL)), some_readings, st.floats(0, 1), st.floats(0, 1))
def test_a_step_towards_the_optimum_never_lowers_the_index(name, reading, near, far):
    low, optimum_low, optimum_high, high = GENERAL[name]
    near, far = sorted((near, far))
    for edge, outer in ((optimum_low, low), (optimum_high, high)):
        nearer, farther = (edge + part * 2 * (outer - edge) for part in (near, far))

        assert index({**reading, name: nearer}) >= index({**reading, name: farther}) - 0.011


@given(some_readings, st.sampled_from(sorted(GENERAL)))
def test_one_more_measure_in_its_optimum_never_lowers_the_index(reading, name):
    without = {key: value for key, value in reading.items() if key != name}
    if without:
        assert index({**without, name: GENERAL[name][1]}) >= index(without) - 0.011


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([crop[m] for crop in CROPS.values() for m in crop]),
)
def test_a_score_is_a_share(value, limits):
    assert 0 <= score(value, limits) <= 1


# Status


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (0, "Critical"),
        (29.99, "Critical"),
        (30, "Poor"),
        (49.99, "Poor"),
        (50, "Fair"),
        (65, "Good"),
        (79.99, "Good"),
        (80, "Excellent"),
        (100, "Excellent"),
        (None, ""),
    ],
)
def test_the_status_is_the_index_in_a_word(value, word):
    assert status_of(value) == word


def test_the_table_of_statuses_begins_at_0_and_ascends():
    limits = [least for least, _ in STATUSES]

    assert limits[0] == 0
    assert limits == sorted(set(limits))


@given(readings)
def test_an_analysis_says_the_status_of_its_index(reading):
    analysis = soil.analyse(reading, None, "")

    assert analysis.status == status_of(analysis.health_index)


# Explanation


@given(some_readings)
def test_the_contributions_sum_to_the_index(reading):
    found = soil.explain(reading, None, "")["contributions"]

    assert sum(each["points"] for each in found.values()) == pytest.approx(index(reading), abs=0.006)
    assert sum(each["weight"] for each in found.values()) == pytest.approx(1, abs=0.001)
    assert sum(each["points"] + each["lost"] for each in found.values()) == pytest.approx(100, abs=0.002)


def test_an_explanation_is_made_of_json():
    samples = noisy(GOOD, 60)
    explained = soil.explain({**GOOD, "pH": 5.0, "battery": 3.3}, minutely(samples), "field-7")

    assert json.loads(json.dumps(explained)).keys() == explained.keys()
    assert explained["crop"] == "general"
    assert explained["usual"]["pH"]["n"] == 60
    assert list(explained["contributions"]) == list(GOOD)


def test_what_lacks_most_is_recommended_first():
    told = soil.explain({**GOOD, "pH": 5.0, "P": 15, "CO2": 420}, None, "")["recommendations"]

    assert told == [
        "pH is 5, below the optimum of 6 to 7.5: lime raises it.",
        "P is 15 mg/kg, below the optimum of 20 to 100 mg/kg: phosphate fertiliser or compost raises it.",
    ]


def test_nothing_is_recommended_for_a_value_that_is_not_plausible():
    assert soil.explain({"pH": 3.0}, None, "")["recommendations"] == []


# The tables


@pytest.mark.parametrize("crop", CROPS)
def test_every_crop_has_an_ascending_range_for_every_measure_with_a_weight(crop):
    assert CROPS[crop].keys() == WEIGHTS.keys()
    for low, optimum_low, optimum_high, high in CROPS[crop].values():
        assert low < optimum_low <= optimum_high < high


def test_crops_differ_in_what_they_ask_for():
    assert index({"pH": 5.2}, SoilAnalyser(SoilSettings(crop="potato"))) == 100
    assert index({"pH": 5.2}) < 50


def test_names_without_end_are_not_remembered_without_end():
    analyser = SoilAnalyser()
    for number in range(3_000):
        reading = {f"x{number}": 1.0, "pH": 6.4}
        analyser.check(reading)
        assert index(reading, analyser) == 100

    assert len(analyser._plans) <= 1_024
    assert len(analyser._hard) <= 1_024
