"""What a sensor's message holds, and what of it is refused with the name of the field."""

from __future__ import annotations

import json

import pytest

from actors.payloads import RefusedError, decode_reading
from actors.sensor_payloads import sensor_measures


def refused(body) -> tuple[str, str]:
    with pytest.raises(RefusedError) as caught:
        sensor_measures(body)
    return caught.value.reason, caught.value.detail


def test_the_envelope_and_the_bare_form_mean_the_same():
    numbers = {"N": 41, "pH": 6.5}
    enveloped = {"timestamp": "2026-11-21T00:00:00Z", "publisher_id": "s1", "sensor_readings": numbers}
    assert sensor_measures(enveloped) == (numbers, True)
    assert sensor_measures(numbers) == (numbers, True)


def test_equal_numbers_are_spelled_alike():
    measures, _ = sensor_measures({"sensor_readings": {"N": 41.0, "pH": 6.5}})
    assert json.dumps(measures) == '{"N": 41, "pH": 6.5}'


def test_a_probe_that_gave_no_value_is_left_out():
    assert sensor_measures({"sensor_readings": {"N": None, "pH": 6.5}})[0] == {"pH": 6.5}


def test_unknown_fields_pass_and_are_part_of_the_message():
    measures, plain = sensor_measures({"sensor_readings": {"pH": 6.5}, "location": "north", "battery": 3.1})
    assert measures == {"pH": 6.5}
    assert not plain


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        ({}, "missing_field", "sensor_readings"),
        ({"publisher_id": "s1"}, "missing_field", "sensor_readings"),
        ({"sensor_readings": {}}, "missing_field", "sensor_readings"),
        ({"sensor_readings": {"pH": None}}, "missing_field", "sensor_readings"),
        ({"sensor_readings": [1]}, "wrong_type", "sensor_readings"),
        ({"sensor_readings": "6.5"}, "wrong_type", "sensor_readings"),
        ({"sensor_readings": {"pH": "6.5"}}, "wrong_type", "sensor_readings.pH"),
        ({"sensor_readings": {"pH": True}}, "wrong_type", "sensor_readings.pH"),
        ({"sensor_readings": {"pH": {"value": 1}}}, "wrong_type", "sensor_readings.pH"),
        ({"sensor_readings": {"pH": [6.5]}}, "wrong_type", "sensor_readings.pH"),
        ({"sensor_readings": {"N": 2**70}}, "out_of_range", "sensor_readings.N"),
        ({"N": "41", "pH": 6.5}, "wrong_type", "N"),
        ({"N": "lots", "pH": 6.5}, "wrong_type", "N"),
        ({"sensor_readings": {"a\0b": 1}}, "nul", "NUL"),
        ({"sensor_readings": {"x" * 200: 1}}, "too_long", "xxx"),
        ({"sensor_readings": {f"m{n}": n for n in range(300)}}, "too_many", "300"),
        ({"sensor_readings": {"pH": 6.5}, "note": "a\0b"}, "nul", "note"),
    ],
)
def test_a_bad_field_is_named(body, reason, field):
    got, detail = refused(body)
    assert got == reason
    assert field in detail


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_a_number_that_is_not_finite_is_refused_by_its_name(number):
    with pytest.raises(RefusedError) as caught:
        decode_reading(b'{"publisher_id":"s1","sensor_readings":{"N":1,"pH":%s}}' % number)
    assert (caught.value.reason, caught.value.detail) == (
        "not_finite",
        "`sensor_readings.pH` is not a finite number",
    )
