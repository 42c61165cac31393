"""The identity of a reading, from the bytes that arrive to the row that is stored."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.identity import DIGEST_SIZE, BadTimestampError, timestamp_us
from tests.support.world import Server

NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.text("abcdef", min_size=1, max_size=4)
BODIES = st.dictionaries(NAMES, NUMBERS | st.dictionaries(NAMES, NUMBERS | st.text(max_size=3), max_size=3), max_size=5)
STAMP = {"timestamp": "2025-10-17T10:00:00Z"}


@pytest.fixture(scope="module")
def server() -> Server:
    return Server()


def identity(server, body, topic="plant/gateway/7/input"):
    """Serial, time and digest of the reading that these bytes become."""
    payload = body if isinstance(body, bytes) else json.dumps({"serial_number": "A", **STAMP, **body}).encode()
    server.forget()
    server.say(topic, payload)
    assert server.dead_letters == []
    (reading,) = server.readings
    return reading.serial, reading.ts_us, reading.digest


def shuffled(body, spell):
    """The same body with every object in the opposite order and every number spelled by `spell`."""
    if isinstance(body, dict):
        return {key: shuffled(body[key], spell) for key in reversed(body)}
    return spell(body) if isinstance(body, int | float) else body


@given(body=BODIES)
def test_the_order_of_keys_and_the_spelling_of_numbers_do_not_matter(server, body):
    spelled = shuffled(body, lambda number: float(number) if float(number) == number else number)

    assert identity(server, spelled) == identity(server, body)


def test_white_space_escapes_and_exponents_do_not_matter(server):
    plain = b'{"serial_number":"A","timestamp":"2025-10-17T10:00:00Z","t":100,"n":"ab"}'
    odd = b' { "n" : "\\u0061b" , "t" : 1.00e2 , "timestamp":"2025-10-17T10:00:00Z", "serial_number":"A" } '

    assert identity(server, odd) == identity(server, plain)


@pytest.mark.parametrize(
    "spelling",
    [
        "2025-10-17T10:00:00Z",
        "2025-10-17T10:00:00+00:00",
        "2025-10-17T10:00:00.000000Z",
        "2025-10-17 10:00:00Z",
        "2025-10-17T12:00:00+02:00",
        "20251017T100000Z",
        "2025-10-17T10:00:00",
        1760695200,
        1760695200.0,
        1760695200000,
    ],
)
def test_however_a_moment_is_spelled_it_is_the_same_reading(server, spelling):
    assert identity(server, {"t": 1, "timestamp": spelling}) == identity(server, {"t": 1})


@pytest.mark.parametrize(
    "other",
    [
        {"t": 2},
        {"t": 1.5},
        {"t": "1"},
        {"t": [1]},
        {"t": {"t": 1}},
        {"u": 1},
        {"t": 1, "u": 1},
        {"t": 1, "note": "x"},
        {"t": None},
        {},
        {"t": 1, "timestamp": "2025-10-17T10:00:00.000001Z"},
        {"t": 1, "serial_number": "B"},
        {"t": 1, "id": "x"},
    ],
)
def test_another_reading_has_another_identity(server, other):
    assert identity(server, other) != identity(server, {"t": 1})


@given(one=BODIES, other=BODIES)
def test_two_bodies_have_one_identity_only_if_they_are_equal(server, one, other):
    assert (identity(server, one) == identity(server, other)) == (one == other)


def test_input_and_output_of_the_same_numbers_are_two_readings(server):
    there, back = (identity(server, {"t": 1}, f"plant/gateway/7/{verb}") for verb in ("input", "output"))

    assert there != back


def test_the_senders_id_tells_readings_apart_whatever_is_in_them(server):
    assert identity(server, {"id": "x", "t": 1}) == identity(server, {"id": "x", "t": 2})
    assert identity(server, {"id": "x", "t": 1}) != identity(server, {"id": "y", "t": 1})
    assert identity(server, {"id": 7, "t": 1}) == identity(server, {"id": "7", "t": 2})


def test_an_empty_id_is_none(server):
    assert identity(server, {"id": "", "t": 1}) == identity(server, {"t": 1})
    assert identity(server, {"id": "", "t": 1}) != identity(server, {"id": "", "t": 2})


def test_what_describes_the_sender_is_not_part_of_the_reading(server):
    told = {"t": 1, "clock": "ntp", "device_id": "A", "publisher_id": "p"}

    assert identity(server, told) == identity(server, {"t": 1})


def test_a_digest_is_short(server):
    assert len(identity(server, {"t": 1})[2]) == DIGEST_SIZE == 16


@pytest.mark.parametrize("body", [{"t": 1}, {"t": 1, "id": "x"}])
def test_without_a_timestamp_the_time_of_receipt_stands_in_and_the_row_says_so(server, body):
    server.forget()
    delivery = server.say("plant/gateway/7/input", {"serial_number": "A", **body})

    (reading,) = server.readings
    assert (reading.ts_us, reading.stamped, reading.token) == (delivery.rx_us, True, delivery.token)


def test_with_a_timestamp_the_row_is_not_stamped(server):
    server.forget()
    server.say("plant/gateway/7/input", {"serial_number": "A", "t": 1, **STAMP})

    assert not server.readings[0].stamped


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31, 23)), st.integers(-23, 23))  # noqa: DTZ001
def test_every_microsecond_is_exact_in_every_zone(naive, hours):
    moment = naive.replace(tzinfo=UTC)
    exact = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    try:
        elsewhere = moment.astimezone(timezone(timedelta(hours=hours)))
    except OverflowError:
        return

    assert timestamp_us(moment.isoformat()) == exact
    assert timestamp_us(elsewhere.isoformat()) == exact


def test_a_naive_time_is_read_in_the_configured_zone():
    berlin = ZoneInfo("Europe/Berlin")

    assert timestamp_us("2025-07-01T12:00:00", berlin) == timestamp_us("2025-07-01T10:00:00Z")
    assert timestamp_us("2025-01-01T12:00:00", berlin) == timestamp_us("2025-01-01T11:00:00Z")
    assert timestamp_us("2025-07-01T12:00:00Z", berlin) == timestamp_us("2025-07-01T12:00:00Z")


@pytest.mark.parametrize(
    "told",
    [
        "",
        "now",
        "2025-13-01T00:00:00Z",
        "1969-12-31T23:59:59.5Z",
        "0001-01-01T00:00:00",
        -1,
        -0.001,
        1e300,
        10**300,
        True,
        None,
        [],
        {},
    ],
)
def test_what_is_no_time_from_1970_on_is_refused(told):
    with pytest.raises(BadTimestampError):
        timestamp_us(told)


@given(st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_any_timestamp_at_all_is_read_or_refused(told):
    with contextlib.suppress(BadTimestampError):
        assert 0 <= timestamp_us(told) < 253_402_300_800_000_000


def test_what_is_stored_of_the_numbers_is_spelled_one_way(server):
    server.forget()
    server.say("plant/gateway/7/input", b'{"serial_number":"A","b":1.0,"a":{"x":2e0,"y":true},"c":"text"}')

    assert msgspec.json.decode(server.readings[0].measures) == {"b": 1, "a.x": 2, "a.y": 1}
    assert "1.0" not in server.readings[0].measures
