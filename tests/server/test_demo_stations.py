"""The soil stations of the demo: what they measure, and what their habits make of it."""

from __future__ import annotations

import pytest

from actors.analysis import BeyondPhysicsError, SoilAnalyser, SoilSettings
from actors.drivers.simulator import MEASURES
from actors.payloads import RefusedError, decode_reading
from actors.sensor_payloads import sensor_measures
from supervisor.demo.families import Station
from supervisor.demo.fleet import plan_fleet
from supervisor.demo.station import StationState

SOIL = SoilAnalyser(SoilSettings())


def test_the_stations_have_names_to_speak_of_and_a_habit_each():
    fleet = plan_fleet(0, 0, 0, 5, seed=1, prefix="farm/1")
    habits = {spec.serial: spec.habit for spec in fleet}
    assert habits == {
        "soil-north": "steady",
        "soil-south": "drying",
        "soil-east": "garbling",
        "soil-west": "glitching",
        "soil-north2": "steady",
    }
    assert {(spec.name == spec.serial, spec.site) for spec in fleet} == {(True, "farm/1")}


def station(habit="steady"):
    state = StationState(next(spec for spec in plan_fleet(0, 0, 0, 4, seed=1) if spec.habit == habit))
    return [state.reading(1_700_000_000 + 3 * number) for number in range(60)]


def test_a_station_sends_seven_measures_in_its_envelope_and_no_two_with_one_id():
    said = station()
    assert all(set(reading) == {"timestamp", "publisher_id", "id", "sensor_readings"} for reading in said)
    assert {reading["publisher_id"] for reading in said} == {"soil-north"}
    assert all(reading["sensor_readings"].keys() == set(MEASURES) for reading in said)
    assert len({reading["id"] for reading in said}) == len(said)
    assert len({reading["sensor_readings"]["Temperature"] for reading in said}) > 10, "the page shows a curve"


def test_a_second_run_has_other_ids_for_the_same_soil():
    first, second = station(), station()
    assert not {reading["id"] for reading in first} & {reading["id"] for reading in second}
    assert [reading["sensor_readings"] for reading in first] == [reading["sensor_readings"] for reading in second]


def test_a_steady_station_is_plausible_throughout():
    assert all(anomalies_of(reading) == [] for reading in station())


def test_a_dry_station_is_an_anomaly_within_the_first_minute_and_is_watered_then():
    moisture = [reading["sensor_readings"]["Moisture"] for reading in station("drying")]
    first = next(at for at, value in enumerate(moisture) if value < 5)
    assert first * Station.READING <= 60
    watered = next(at for at, value in enumerate(moisture) if value > 30)
    assert moisture[:watered] == sorted(moisture[:watered], reverse=True)
    assert min(moisture) >= 0


def test_a_loose_contact_shows_now_and_then_what_no_soil_has():
    strange = [reading for reading in station("glitching") if anomalies_of(reading)]
    assert 5 <= len(strange) <= 8
    assert all(set(anomalies_of(reading)) == {"implausible"} for reading in strange)


def test_what_a_garbling_station_sends_is_refused_for_a_field_of_its_own():
    state = StationState(plan_fleet(0, 0, 0, 1, seed=1)[0])
    said = set()
    for payload in state.broken():
        with pytest.raises((RefusedError, BeyondPhysicsError)) as refused:
            SOIL.check(sensor_measures(decode_reading(payload, 10_000))[0])
        said.add(str(refused.value))
    assert len(said) == len(state.broken())


def anomalies_of(reading: dict) -> list[str]:
    SOIL.check(reading["sensor_readings"])
    found = SOIL.analyse(reading["sensor_readings"], None, "").anomalies
    return [anomaly.kind for anomaly in found if anomaly.kind == "implausible"]
