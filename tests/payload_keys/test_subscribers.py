"""What subscribers make of sealed payloads, and of plain ones in the name of a device that seals."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.payload_keys.envelope import new_private_key
from actors.payloads import REASONS
from tests.payload_keys.test_book import Pi
from tests.support.world import Server

DATA = "harit-samarth/sensor/data"
SITE = "plant/gateway/7/input"
READINGS = "devices/pi-7/readings"


@pytest.fixture
def server():
    server, own = Server(), new_private_key()
    server.intake.keys.load(lambda: own, {})
    return server


@pytest.fixture
def pi(server):
    return Pi(server.intake.keys, "pi-7")


def reasons(server):
    return [letter.reason for letter in server.dead_letters]


def test_a_sealed_reading_is_stored_as_a_plain_one_is(server, pi):
    server.say(READINGS, pi.seal(READINGS, b'{"id": "r1", "Moisture": 11.5}'))
    (reading,) = server.readings
    assert (reading.serial, reading.sender_id) == ("pi-7", "r1")
    assert json.loads(reading.measures) == {"Moisture": 11.5}
    assert server.dead_letters == []


def test_a_sealed_reading_of_a_station_is_stored_and_kept_from_others(server, pi):
    body = json.dumps({"publisher_id": "pi-7-soil", "sensor_readings": {"pH": 6.4}}).encode()
    server.say(DATA, pi.seal(DATA, body))
    assert [reading.serial for reading in server.readings] == ["pi-7-soil"]
    assert server.intake.keys.is_private("pi-7-soil")


@pytest.mark.parametrize(
    ("topic", "body"),
    [
        (READINGS, {"id": "r1", "Moisture": 11.5}),
        (READINGS, {"id": "r1", "Moisture": 11.5, "device_id": "pi-8"}),
        (READINGS, {"id": "r1", "timestamp": "yesterday"}),
        (DATA, {"id": "r1", "publisher_id": "pi-7", "sensor_readings": {"pH": 6.4}}),
        (DATA, {"id": "r1", "publisher_id": "pi-7", "sensor_readings": {"pH": 99}}),
        (SITE, {"id": "r1", "serial_number": "pi-7", "t": 1}),
        (SITE, {"id": "r1", "serial_number": "pi-7"}),
        ("devices/announce", {"id": "r1", "device_id": "pi-7", "hostname": "evil"}),
        ("devices/pi-7/scans", {"scan_id": "r1", "code": ""}),
        ("devices/pi-7/heartbeat", {"id": "r1", "device_id": "pi-8"}),
        ("devices/pi-7/heartbeat", {"device_id": "pi-7", "status": "online", "ip_address": "10.6.6.6"}),
        ("devices/pi-7/status", b"online"),
        ("devices/heartbeat", {"device_id": "pi-7"}),
    ],
)
def test_whatever_is_wrong_with_a_plain_message_in_its_name_the_reason_is_that_it_is_plain(server, pi, topic, body):
    server.say(topic, body)
    assert reasons(server) == ["not_encrypted"]
    assert server.readings == []


@pytest.mark.parametrize("will", [{"device_id": "pi-7", "status": "offline", "ip_address": "10.6.6.6"}, b"offline"])
def test_a_last_will_is_believed_plain(server, pi, will):
    topic = "devices/pi-7/heartbeat"
    server.say(topic, pi.seal(topic, b'{"device_id": "pi-7", "ip_address": "10.0.0.7"}'))
    assert server.presence("pi-7") == "online"
    server.say("devices/pi-7/status", will)
    assert server.presence("pi-7") == "offline"
    assert server.record("pi-7").snapshot.ip_address == "10.0.0.7"
    assert server.dead_letters == []


def test_what_a_device_has_sealed_badly_is_refused_by_what_is_wrong_with_it(server, pi):
    server.say(READINGS, pi.seal(READINGS, b'{"id": "r1", "timestamp": "yesterday", "t": 1}'))
    (letter,) = server.dead_letters
    assert (letter.reason, letter.serial) == ("bad_timestamp", "pi-7")
    assert b'"r1"' in letter.payload, "its sender is told by its id that it will never be stored"


def test_what_one_device_seals_in_the_name_of_another_stays_closed(server, pi):
    Pi(server.intake.keys, "pi-8")
    body = b'{"id": "r1", "publisher_id": "pi-8", "sensor_readings": {"pH": 6.4}}'
    server.say(DATA, pi.seal(DATA, body))
    (letter,) = server.dead_letters
    assert letter.reason == "unbound"
    assert b"pi-8" not in letter.payload


def test_other_devices_are_none_the_worse_for_it(server, pi):
    server.say("devices/pi-9/readings", {"Moisture": 11.5})
    server.say("devices/pi-9/readings", {"timestamp": "yesterday"})
    assert [reading.serial for reading in server.readings] == ["pi-9"]
    assert "not_encrypted" not in reasons(server)


@given(st.binary(max_size=200), st.sampled_from([READINGS, DATA, SITE, "devices/pi-7/status", "devices/announce"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_that_are_sealed_or_look_so_crash_a_subscriber(server, pi, noise, topic):
    for payload in (pi.seal(topic, noise), b'{"muster_sealed":1' + noise, b'{"muster_sealed"' + noise):
        server.say(topic, payload)
    assert set(reasons(server)) <= set(REASONS)


def test_a_bogus_envelope_crashes_nobody_and_what_comes_behind_it_is_heard(server, pi):
    server.say(READINGS, b'{"muster_sealed":1,"x":' + b"[" * 100_000)
    server.say(READINGS, pi.seal(READINGS, b'{"id": "r1", "Moisture": 11.5}'))
    assert reasons(server) == ["not_decipherable"]
    assert [reading.sender_id for reading in server.readings] == ["r1"]
