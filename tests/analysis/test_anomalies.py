"""Anomalies of three kinds, refusals of what physics excludes, and who takes a reading."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.analysis import MEASURES, BeyondPhysicsError, SiteSoil, SoilAnalyser, SoilSettings
from actors.analysis.measures import find_measure
from tests.analysis.support import GOOD, minutely, noisy

soil = SoilAnalyser()


def anomalies(reading, baseline=None, analyser=soil, site=""):
    return analyser.analyse(reading, baseline, site).anomalies


def kinds(*arguments, **named):
    return [(found.kind, found.measure) for found in anomalies(*arguments, **named)]


# Implausible


def test_a_ph_under_4_is_stored_and_flagged():
    found, _ = anomalies({**GOOD, "pH": 3.5})

    assert (found.kind, found.measure, found.value, found.low, found.high) == ("implausible", "pH", 3.5, 4, 10)
    assert found.message == "pH is 3.5, outside the plausible 4 to 10: rather a fault of the probe than of the soil."


def test_a_moisture_under_5_percent_is_flagged_by_the_name_that_was_sent():
    assert ("implausible", "vwc") in kinds({"vwc": 4.9, "pH": 6.5})
    assert anomalies({"vwc": 4.9})[0].message.startswith("vwc is 4.9 %, outside the plausible 5 to 70 %")


def test_the_limits_themselves_are_plausible():
    assert [kind for kind, _ in kinds({"pH": 4.0, "Moisture": 5.0})] == ["out_of_range", "out_of_range"]


def test_plausible_limits_are_configurable():
    peat = SoilAnalyser(SoilSettings(plausible={"moisture": [5, 95]}))

    assert "implausible" not in dict(kinds({"Moisture": 85}, analyser=peat))
    assert "implausible" in dict(kinds({"Moisture": 85}))


def test_a_wide_range_of_the_site_makes_nothing_plausible():
    analyser = SoilAnalyser(SoilSettings(sites={"mine": SiteSoil(range={"pH": [1, 13]})}))

    assert kinds({"pH": 3.5}, analyser=analyser, site="mine") == [("implausible", "pH")]


# Out of the site's range


def test_a_value_that_the_crop_does_not_tolerate_is_out_of_range():
    (found,) = anomalies({**GOOD, "Temperature": 42})

    assert found.kind == "out_of_range"
    assert found.message == "Temperature is 42 degrees C, outside the range of crop general, 0 to 40 degrees C."


def test_a_site_has_a_range_of_its_own():
    analyser = SoilAnalyser(SoilSettings(sites={"field-7": SiteSoil(range={"Moisture": [30, 40]})}))
    (found,) = anomalies({**GOOD, "Moisture": 28}, analyser=analyser, site="field-7")

    assert found.message == "Moisture is 28 %, outside the range of site field-7, 30 to 40 %."
    assert anomalies({**GOOD, "Moisture": 28}, analyser=analyser, site="field-8") == ()


# Unusual


def test_a_value_that_this_sensor_never_told_is_unusual_and_says_why():
    baseline = minutely(noisy(GOOD, 60))
    (found,) = anomalies({**GOOD, "CO2": 900}, baseline)

    assert (found.kind, found.measure) == ("unusual", "CO2")
    assert found.low < 620 < found.high < 900
    assert found.score > 3
    assert found.message.startswith("CO2 is 900 ppm, unusual for this sensor: its last 60 values have the median 6")


def test_nothing_is_unusual_while_the_baseline_warms_up():
    assert anomalies({**GOOD, "CO2": 900}, minutely(noisy(GOOD, 19))) == ()
    assert kinds({**GOOD, "CO2": 900}, minutely(noisy(GOOD, 20))) == [("unusual", "CO2")]


def test_what_was_usual_so_far_is_no_anomaly():
    samples = noisy(GOOD, 200)
    baseline = minutely(samples[:100])

    assert [anomalies(sample, baseline) for sample in samples[100:]] == [()] * 100


def test_measures_that_are_none_of_ours_can_be_unusual_too():
    baseline = minutely(noisy({**GOOD, "battery": 3.3}, 60))

    assert kinds({**GOOD, "battery": 2.2}, baseline) == [("unusual", "battery")]


def test_one_value_can_be_anomalous_in_three_ways():
    assert kinds({**GOOD, "pH": 3.0}, minutely(noisy(GOOD, 60))) == [
        ("implausible", "pH"),
        ("out_of_range", "pH"),
        ("unusual", "pH"),
    ]


# Physics


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("pH", 14.2, "`pH` is 14.2, but pH can only be 0 to 14"),
        ("ph", -1, "`ph` is -1, but pH can only be 0 to 14"),
        ("Moisture", 100.5, "`Moisture` is 100.5 %, but moisture can only be 0 to 100 %"),
        ("nitrogen", -3, "`nitrogen` is -3 mg/kg, but nitrogen can only be 0 to 1000000 mg/kg"),
        ("Temp", -300, "`Temp` is -300 degrees C, but temperature can only be -273.1 to 100 degrees C"),
        ("CO2", 2e6, "`CO2` is 2000000 ppm, but CO2 can only be 0 to 1000000 ppm"),
    ],
)
def test_what_cannot_be_is_refused_with_field_limit_and_unit(field, value, says):
    with pytest.raises(BeyondPhysicsError) as refused:
        soil.check({"P": 20, field: value})

    assert refused.value.field == field
    assert str(refused.value) == says


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_the_hard_limits_themselves_can_be_and_hold_the_plausible_ones(measure):
    low, high = measure.hard
    soil.check({measure.name: low})
    soil.check({measure.name: high})

    assert low <= measure.plausible[0] < measure.plausible[1] <= high


def test_nothing_is_known_of_the_physics_of_other_measures():
    soil.check({"rssi": -300, "uptime": 1e12})


@given(st.text())
def test_any_name_can_be_looked_up(name):
    assert find_measure(name) is None or find_measure(name) in MEASURES


# Who takes it


@pytest.mark.parametrize(
    ("channel", "kind", "names", "taken"),
    [
        ("data", "sensor", {"pH"}, True),
        ("data", "sensor", {"nitrogen", "battery"}, True),
        ("data", "sensor", {"Temperature"}, True),
        ("data", "sensor", {"Temperature", "CO2"}, True),
        ("data", "sensor", {"CO2", "PM2.5", "O3"}, False),
        ("data", "sensor", {"battery"}, False),
        ("data", "sensor", set(), False),
        ("data", "gateway", {"pH"}, False),
        ("reading", "raspberry_pi", {"pH", "Moisture"}, True),
        ("reading", "raspberry_pi", {"soil_moisture", "temp"}, True),
        ("reading", "raspberry_pi", {"N", "P", "K"}, True),
        ("reading", "raspberry_pi", {"pH"}, False),
        ("reading", "raspberry_pi", {"temperature", "co2"}, False),
        ("reading", "raspberry_pi", {"temperature", "p"}, False),
        ("input", "datalogger", {"pH", "Moisture"}, False),
    ],
)
def test_the_analyser_takes_readings_of_the_soil_and_no_others(channel, kind, names, taken):
    assert soil.takes(channel, kind, frozenset(names)) is taken


def test_a_measure_without_weight_is_no_reason_to_take_a_reading():
    analyser = SoilAnalyser(SoilSettings(weights={"pH": 0}))

    assert not analyser.takes("data", "sensor", frozenset({"pH"}))
