"""Payloads: what a decoder takes, and what it refuses for which reason."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.identity import NOT_IN_BODY
from actors.payloads import (
    DEEPEST,
    LARGEST_ANNOUNCEMENT,
    LARGEST_INTEGER,
    LARGEST_PAYLOAD,
    LONGEST_MEASURE,
    MOST_MEASURES,
    REASONS,
    Announcement,
    Beat,
    RefusedError,
    decode_announcement,
    decode_beat,
    decode_reading,
    measures_of,
    serial_of,
)

DECODERS = [decode_beat, decode_announcement, decode_reading]


def json_of(numbers):
    leaves = st.none() | st.booleans() | st.integers() | numbers | st.text(max_size=20)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
        max_leaves=30,
    )


JSON = json_of(st.floats())
FINITE = json_of(st.floats(allow_nan=False, allow_infinity=False))
FIELDS = st.sampled_from(
    [
        "device_id",
        "serial_number",
        "ip_address",
        "timestamp",
        "status",
        "session",
        "reason",
        "hostname",
        "mac_address",
        "device_type",
        "services",
        "system_info",
        "id",
        "clock",
        "t",
    ]
)


def refusal(call, *args, **kwargs):
    with pytest.raises(RefusedError) as refused:
        call(*args, **kwargs)
    return refused.value


def reason_of(call) -> str | None:
    """Return why it was refused, None if it was not."""
    try:
        call()
    except RefusedError as refused:
        return refused.reason
    return None


def nested(levels: int, innermost: object = 1) -> object:
    for _ in range(levels):
        innermost = {"a": innermost}
    return innermost


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not_json"),
        (b"hello", "not_json"),
        (b'{"device_id": "A"', "not_json"),
        (b'{"device_id": "A"} x', "not_json"),
        (b'{"device_id": "\xff"}', "not_utf8"),
        (b"[]", "not_an_object"),
        (b"1", "not_an_object"),
        (b'"offline"', "not_an_object"),
        (b"null", "not_an_object"),
        (b'{"timestamp": 1e999}', "out_of_range"),
    ],
)
def test_what_is_no_json_object_is_refused(decode, payload, reason):
    assert refusal(decode, payload).reason == reason


@pytest.mark.parametrize(
    ("decode", "largest"),
    [
        (decode_beat, LARGEST_ANNOUNCEMENT),
        (decode_announcement, LARGEST_ANNOUNCEMENT),
        (decode_reading, LARGEST_PAYLOAD),
    ],
)
def test_a_payload_of_the_largest_size_passes_and_a_larger_one_does_not(decode, largest):
    frame = b'{"device_id":"A"}'

    decode(frame + b" " * (largest - len(frame)))
    assert refusal(decode, frame + b" " * (largest - len(frame) + 1)).reason == "too_large"


@pytest.mark.parametrize("decode", [decode_beat, decode_announcement])
@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("device_id", 7, "wrong_type"),
        ("device_id", ["A"], "wrong_type"),
        ("device_id", "A" * 257, "too_long"),
        ("serial_number", {}, "wrong_type"),
        ("ip_address", 1, "wrong_type"),
        ("ip_address", "1" * 65, "too_long"),
        ("status", "x" * 33, "too_long"),
        ("session", "x" * 65, "too_long"),
        ("reason", "x" * 65, "too_long"),
        ("timestamp", [], "wrong_type"),
        ("timestamp", True, "wrong_type"),
        ("ip_address", "a\0b", "nul"),
        ("session", "\0", "nul"),
    ],
)
def test_a_wrong_field_of_presence_is_refused_and_named(decode, field, value, reason):
    refused = refusal(decode, json.dumps({"device_id": "A", field: value}).encode())

    assert refused.reason == reason
    assert field in refused.detail


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("hostname", 7, "wrong_type"),
        ("hostname", "x" * 254, "too_long"),
        ("mac_address", "x" * 65, "too_long"),
        ("device_type", "x" * 65, "too_long"),
        ("services", [], "wrong_type"),
        ("services", "ssh", "wrong_type"),
        ("system_info", 1, "wrong_type"),
        ("services", {"a": {"b": "c\0d"}}, "nul"),
        ("services", {"a\0": 1}, "nul"),
        ("system_info", {"big": LARGEST_INTEGER + 1}, "out_of_range"),
        ("system_info", {"big": -LARGEST_INTEGER - 1}, "out_of_range"),
        ("system_info", nested(DEEPEST), "too_deep"),
        ("services", nested(5_000), "too_deep"),
    ],
)
def test_a_wrong_field_of_an_announcement_is_refused_and_named(field, value, reason):
    payload = b'{"device_id":"A","' + field.encode() + b'":' + dumps(value).encode() + b"}"
    refused = refusal(decode_announcement, payload)

    assert refused.reason == reason
    assert field in refused.detail or reason == "too_deep"


def dumps(value: object) -> str:
    """JSON of any depth."""
    levels = 0
    while isinstance(value, dict) and set(value) == {"a"} and isinstance(value["a"], dict):
        value, levels = value["a"], levels + 1
    return '{"a":' * levels + json.dumps(value) + "}" * levels


def test_unknown_fields_pass_whatever_is_in_them():
    payload = b'{"device_id":"A","more":{"x":[1,2,{"y":null}]},"n":1e30}'

    assert decode_beat(payload) == Beat(device_id="A")
    assert decode_announcement(payload) == Announcement(device_id="A")


@pytest.mark.parametrize("decode", DECODERS)
@given(payload=st.binary(max_size=200))
@example(payload=b'{"\xed\xa0\x80":1}')
@example(payload=b'{"a":"\\ud800"}')
@example(payload=b'{"id":' + b"9" * 5_000 + b"}")
def test_any_bytes_at_all_are_decoded_or_refused_for_a_known_reason(decode, payload):
    assert reason_of(lambda: decode(payload)) in (None, *REASONS)


@pytest.mark.parametrize("decode", DECODERS)
@given(body=st.dictionaries(FIELDS, JSON, max_size=6))
def test_any_json_at_all_is_decoded_or_refused_for_a_known_reason(decode, body):
    def read():
        decoded = decode(json.dumps(body).encode())
        if decode is decode_reading:
            measures_of(decoded, NOT_IN_BODY)

    assert reason_of(read) in (None, *REASONS)


# Serial numbers


@pytest.mark.parametrize(
    ("body", "bound_id", "names", "serial"),
    [
        ({"device_id": "A"}, "", ("device_id", "serial_number"), "A"),
        ({"serial_number": "A"}, "", ("device_id", "serial_number"), "A"),
        ({"device_id": "A", "serial_number": "B"}, "", ("device_id", "serial_number"), "A"),
        ({"device_id": "A", "serial_number": "B"}, "", ("serial_number", "device_id"), "B"),
        ({"device_id": None, "serial_number": "B"}, "", ("device_id", "serial_number"), "B"),
        ({}, "A", ("device_id",), "A"),
        ({"device_id": "A"}, "A", ("device_id",), "A"),
    ],
)
def test_the_serial_is_the_first_that_is_told(body, bound_id, names, serial):
    assert serial_of(body, bound_id=bound_id, names=names) == serial


@pytest.mark.parametrize(
    ("body", "bound_id", "reason"),
    [
        ({}, "", "missing_field"),
        ({"device_id": 7}, "", "wrong_type"),
        ({"device_id": ""}, "", "bad_serial"),
        ({"device_id": "a b"}, "", "bad_serial"),
        ({"device_id": "A\n"}, "", "bad_serial"),
        ({"device_id": "ü"}, "", "bad_serial"),
        ({"device_id": "A" * 65}, "", "bad_serial"),
        ({"device_id": "A"}, "B", "unbound"),
        ({"device_id": ""}, "B", "bad_serial"),
    ],
)
def test_what_is_no_serial_is_refused(body, bound_id, reason):
    assert refusal(serial_of, body, bound_id=bound_id, names=("device_id",)).reason == reason


# Measures


def measures(body):
    return measures_of(body, NOT_IN_BODY)[0]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"t": 21.5, "n": 3}, {"t": 21.5, "n": 3}),
        ({"t": 1.0}, {"t": 1}),
        ({"on": True, "off": False}, {"on": 1, "off": 0}),
        ({"a": {"b": {"c": 1}}}, {"a.b.c": 1}),
        ({"a": [1, 2.0, {"b": 3}]}, {"a.0": 1, "a.1": 2, "a.2.b": 3}),
        ({"text": "7", "nothing": None}, {}),
        ({"serial_number": 1, "timestamp": 2, "id": 3, "t": 4}, {"t": 4}),
        ({"big": LARGEST_INTEGER, "small": -LARGEST_INTEGER}, {"big": LARGEST_INTEGER, "small": -LARGEST_INTEGER}),
        ({"huge": 1e300}, {"huge": 1e300}),
        ({}, {}),
    ],
)
def test_every_number_is_a_measure_under_its_path(body, expected):
    found = measures(body)

    assert found == expected
    assert {key: type(value) for key, value in found.items()} == {key: type(value) for key, value in expected.items()}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"t": LARGEST_INTEGER + 1}, "out_of_range"),
        ({"a": {"t": -LARGEST_INTEGER - 1}}, "out_of_range"),
        ({f"n{number}": 1 for number in range(MOST_MEASURES + 1)}, "too_many"),
        ({"list": list(range(MOST_MEASURES + 1))}, "too_many"),
        ({"x" * (LONGEST_MEASURE + 1): 1}, "too_long"),
        ({"a": {"x" * LONGEST_MEASURE: 1}}, "too_long"),
        ({"a\0b": 1}, "nul"),
        ({"a": {"\0": 1}}, "nul"),
        (nested(DEEPEST + 1), "too_deep"),
    ],
)
def test_a_reading_beyond_the_limits_is_refused(body, reason):
    assert refusal(measures_of, body, NOT_IN_BODY).reason == reason


def test_a_reading_at_the_limits_passes():
    assert len(measures({f"n{number}": 1 for number in range(MOST_MEASURES)})) == MOST_MEASURES
    assert measures({"x" * LONGEST_MEASURE: 1})
    assert measures(nested(DEEPEST))


@given(body=st.dictionaries(st.text(max_size=12), FINITE, max_size=5))
def test_every_measure_fits_into_a_column_and_a_json_object(body):
    if (reason := reason_of(lambda: measures(body))) is not None:
        assert reason in REASONS
        return
    found = measures(body)
    assert len(found) <= MOST_MEASURES
    for name, value in found.items():
        assert len(name) <= LONGEST_MEASURE
        assert isinstance(value, float) or abs(value) <= LARGEST_INTEGER
