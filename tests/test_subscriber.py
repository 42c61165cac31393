"""Subscribers: from bytes to a device's message or a dead letter, and nothing in between."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors import subscriber
from actors.dead_letters import KEPT_BYTES, QUOTA
from actors.device_messages import Changed
from actors.messages import StoreDeadLetter, StoreReading
from actors.payloads import LARGEST_ANNOUNCEMENT, LARGEST_PAYLOAD, MOST_MEASURES, REASONS, RefusedError
from actors.runtime import GuardedFuture
from actors.subscriber import Ingest
from tests.support.world import Server
from tests.test_payloads import FIELDS, JSON, nested

INPUT = "plant/gateway/7/input"
DATA = "harit-samarth/sensor/data"
TOPICS = [
    "devices/announce",
    "devices/heartbeat",
    "devices/status",
    "devices/A/announce",
    "devices/A/heartbeat",
    "devices/A/status",
    "devices/A/readings",
    "devices/A/scans",
    "plant/gateway/7/heartbeat",
    INPUT,
    DATA,
    "plant/datalogger/monstro/1/output",
]
ELSEWHERE = {
    "undelivered",
    "quota",
    "crashed",
    "stuck",
    "unknown_command",
    "unrouted",
    "fleet_full",
    "refused_by_database",
    "quarantined",
    "unknown_device",
    "not_encrypted",
}
"""Reasons that a subscriber does not give by itself."""

REFUSED = [
    ("not_utf8", "devices/heartbeat", b'{"device_id":"\xff"}'),
    ("not_json", "devices/heartbeat", b"online"),
    ("not_json", "devices/status", b"offline"),
    ("not_json", "devices/A/status", b"Offline"),
    ("not_json", INPUT, b""),
    ("not_an_object", INPUT, b"[1]"),
    ("not_decipherable", INPUT, b'{"muster_sealed":1}'),
    ("missing_field", "devices/announce", b"{}"),
    ("missing_field", INPUT, b'{"t":1}'),
    ("wrong_type", INPUT, b'{"serial_number":7}'),
    ("wrong_type", INPUT, b'{"serial_number":"A","id":[1]}'),
    ("wrong_type", INPUT, b'{"serial_number":"A","id":true}'),
    ("wrong_type", "devices/announce", b'{"device_id":"A","services":1}'),
    ("too_long", "devices/announce", b'{"device_id":"A","hostname":"' + b"x" * 300 + b'"}'),
    ("too_long", INPUT, b'{"serial_number":"A","id":"' + b"x" * 129 + b'"}'),
    ("too_large", INPUT, b" " * (LARGEST_PAYLOAD + 1)),
    ("too_large", "devices/heartbeat", b" " * (LARGEST_ANNOUNCEMENT + 1)),
    ("too_deep", INPUT, json.dumps({"serial_number": "A", "x": nested(30)}).encode()),
    ("too_deep", INPUT, b'{"serial_number":"A","x":' + b"[" * 5_000 + b"]" * 5_000 + b"}"),
    ("too_many", INPUT, json.dumps({"serial_number": "A", "x": [1] * (MOST_MEASURES + 1)}).encode()),
    ("not_finite", INPUT, b'{"serial_number":"A","x":NaN}'),
    ("beyond_physics", DATA, b'{"publisher_id":"A","sensor_readings":{"pH":15}}'),
    ("wrong_type", DATA, b'{"publisher_id":"A","sensor_readings":{"pH":"6"}}'),
    ("missing_field", DATA, b'{"publisher_id":"A"}'),
    ("bad_serial", DATA, b'{"publisher_id":"not a serial","sensor_readings":{"pH":6}}'),
    ("out_of_range", INPUT, b'{"serial_number":"A","x":18446744073709551616}'),
    ("out_of_range", INPUT, b'{"serial_number":"A","x":1e999}'),
    ("out_of_range", INPUT, b'{"serial_number":"A","x":' + b"9" * 5_000 + b"}"),
    ("nul", "devices/announce", b'{"device_id":"A","hostname":"a\\u0000b"}'),
    ("nul", INPUT, b'{"serial_number":"A","a\\u0000b":1}'),
    ("bad_id", "devices/A/scans", b'{"code":"1","scan_id":"a b"}'),
    ("bad_serial", "devices/heartbeat", b'{"device_id":"not a serial"}'),
    ("bad_topic", "devices/A B/heartbeat", b'{"device_id":"A"}'),
    ("bad_topic", "plant/gateway//input", b'{"serial_number":"A"}'),
    ("bad_timestamp", INPUT, b'{"serial_number":"A","timestamp":"yesterday"}'),
    ("bad_timestamp", INPUT, b'{"serial_number":"A","timestamp":[]}'),
    ("unbound", "devices/A/heartbeat", b'{"device_id":"B"}'),
    ("unbound", "devices/A/readings", b'{"device_id":"B","t":1}'),
]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.mark.parametrize(("reason", "topic", "payload"), REFUSED)
def test_what_cannot_be_processed_is_a_dead_letter_with_its_reason_and_nothing_else(server, reason, topic, payload):
    delivery = server.say(topic, payload)

    (letter,) = server.writes
    assert isinstance(letter, StoreDeadLetter)
    assert (letter.reason, letter.payload, letter.token) == (reason, payload[:KEPT_BYTES], delivery.token)
    assert letter.detail
    assert len(server.fleet) == 0, "no half-written record"
    assert server.desk.by_reason == {reason: 1}
    assert server.services.get("subscriber.pi").is_alive()


def test_every_reason_can_be_reached():
    assert {reason for reason, _, _ in REFUSED} == set(REASONS) - ELSEWHERE


@pytest.mark.parametrize("topic", ["devices/announce", "devices/heartbeat", "devices/status"])
def test_with_the_shared_topics_switched_off_a_device_speaks_only_for_itself(topic):
    server = Server(shared_topics=False)
    server.say(topic, {"device_id": "A"})
    assert [letter.reason for letter in server.dead_letters] == ["unbound"]

    server.say("devices/A/heartbeat", {"device_id": "A"})
    assert server.presence("A") == "online"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(topic=st.sampled_from(TOPICS) | st.text(max_size=30), payload=st.binary(max_size=100))
def test_any_bytes_on_any_topic_are_taken_or_refused(any_server, topic, payload):
    assert_taken_or_refused(any_server, topic, payload)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(topic=st.sampled_from(TOPICS), body=st.dictionaries(FIELDS, JSON, max_size=6), names=st.booleans())
def test_any_json_on_any_topic_is_taken_or_refused(any_server, topic, body, names):
    serials = {"device_id": "A", "serial_number": "A"} if names else {}
    assert_taken_or_refused(any_server, topic, json.dumps(body | serials).encode())


@pytest.fixture(scope="module")
def any_server() -> Server:
    return Server()


def assert_taken_or_refused(server, topic, payload):
    """One delivery has one end: a message to a device, whose reading is whole, or a dead letter."""
    server.forget()
    handled, refused = sum(server.intake.counts.values()), sum(server.desk.by_reason.values())
    delivery = server.say(topic, payload)
    ends = sum(server.intake.counts.values()) - handled, sum(server.desk.by_reason.values()) - refused

    if ends == (0, 1):
        for letter in server.dead_letters:
            assert (letter.payload, letter.token, letter.reason in REASONS) == (payload, delivery.token, True)
        assert server.readings == []
    else:
        assert ends == (1, 0)
        for reading in server.readings:
            assert isinstance(json.loads(reading.measures), dict)
            assert reading.serial in ("A", "harit-samarth")  # a sensor that says no name is called by its prefix
            assert (reading.token, len(reading.digest)) == (delivery.token, 16)
    for name in ("subscriber.pi", "subscriber.site"):
        assert server.services.get(name) is not None, "no subscriber crashes"
    for serial in ("A",):
        assert serial not in server.fleet or serial in server.devices, "no device crashes"
    server.desk._kept.clear()


# What a message means


@pytest.mark.parametrize(
    ("topic", "payload", "presence"),
    [
        ("devices/A/status", b"online", "online"),
        ("devices/A/status", {"status": "online"}, "online"),
        ("devices/A/status", {"status": "degraded"}, "online"),
        ("devices/A/announce", {"ip_address": "10.0.0.1"}, "online"),
        ("devices/A/heartbeat", {}, "online"),
        ("devices/A/readings", {"t": 1}, "online"),
        ("devices/A/status", b"offline", "offline"),
        ("devices/A/status", {"status": "offline"}, "offline"),
        ("devices/A/heartbeat", {"status": "offline"}, "offline"),
        ("devices/status", {"device_id": "A", "status": "offline"}, "offline"),
    ],
)
def test_a_message_tells_whether_its_device_is_there(server, topic, payload, presence):
    server.say(topic, payload)

    assert server.dead_letters == []
    assert server.presence("A") == presence


def test_a_reading_carries_what_its_delivery_knows(server):
    delivery = server.say(INPUT, {"serial_number": "A", "t": 1, "clock": "ntp"}, dup=True)

    (reading,) = server.readings
    assert (reading.serial, reading.channel, reading.clock, reading.source) == ("A", "input", "ntp", "mqtt")
    assert (reading.link, reading.token, reading.dup, reading.rx_us) == (
        "local.data",
        delivery.token,
        True,
        delivery.rx_us,
    )


@pytest.mark.parametrize("clock", ["sundial", 7, None, [1], {"a": 1}, [], True])
def test_a_clock_quality_that_nobody_knows_is_none(server, clock):
    server.say(INPUT, {"serial_number": "A", "t": 1, "clock": clock})

    assert [reading.clock for reading in server.readings] == [""]


def test_messages_are_counted_by_verb(server):
    server.beat("A")
    server.beat("B")
    server.say(INPUT, {"serial_number": "C"})
    server.say(INPUT, b"?")

    assert server.intake.counts == {"heartbeat": 2, "input": 1}


def test_a_dead_letter_on_a_bound_topic_is_filed_under_its_device(server):
    server.say("devices/A/heartbeat", b"?")
    server.say(INPUT, b"?")

    assert [letter.serial for letter in server.dead_letters] == ["A", ""]


# Watermarks


def test_the_watermark_moves_after_the_batch_was_handed_on(server):
    marks = []
    tell = server.devices.tell
    server.devices.tell = lambda serial, message: (
        marks.append(server.sights["local"].control.handled_until_at("subscriber.pi")),
        tell(serial, message),
    )
    before = server.sights["local"].control.handled_until_at("subscriber.pi")
    server.clock.advance(1.0)
    server.beat()

    assert marks == [before]
    assert server.sights["local"].control.handled_until_at("subscriber.pi") == server.clock.monotonic()


def test_an_empty_batch_moves_only_the_watermark(server):
    server.clock.advance(1.0)
    server.report()

    assert server.sights["local"].data.handled_until_at("subscriber.site") == server.clock.monotonic()
    assert server.writes == []


def test_a_batch_of_a_link_that_is_not_known_any_more_is_handled_all_the_same(server):
    server.say("devices/heartbeat", {"device_id": "A"}, link="gone.control")

    assert "A" in server.fleet


# Crashes


@pytest.fixture
def poison(monkeypatch):
    """Make the decoding of one payload fail in a way that nobody foresaw, as often as it is told to."""
    budget = [0]
    decode = subscriber.decode_beat

    def fail(payload):
        if b"poison" in payload and budget[0]:
            budget[0] -= 1
            raise ZeroDivisionError("unforeseen")
        return decode(payload)

    monkeypatch.setattr(subscriber, "decode_beat", fail)
    return budget


def batch(server):
    return [server.delivery("devices/heartbeat", {"device_id": name}) for name in ("A", "B", "poison", "C", "D")]


def test_after_a_crash_the_culprit_is_tried_alone_and_the_rest_follows(server, poison):
    poison[0] = 1
    server.hand(*batch(server))
    assert sorted(server.devices) == ["A", "B"]

    server.advance(1.0)
    assert sorted(server.devices) == ["A", "B", "C", "D", "poison"]
    assert [serial for _, serial in server.events] == ["A", "B", "poison", "C", "D"], "in order, each once"
    assert server.dead_letters == []


def test_a_message_that_crashes_its_subscriber_twice_is_dead_lettered_alone(server, poison):
    poison[0] = 100
    server.hand(*batch(server))
    server.advance(5.0)

    assert [(letter.reason, json.loads(letter.payload)["device_id"]) for letter in server.dead_letters] == [
        ("crashed", "poison")
    ]
    assert "unforeseen" in server.dead_letters[0].detail
    assert poison[0] == 98
    assert [serial for _, serial in server.events] == ["A", "B", "C", "D"]


def test_nobody_is_judged_by_what_a_crashed_subscriber_had_not_handled(server, poison):
    server.beat("poison")
    server.advance(59.0)
    poison[0] = 1
    beat = server.delivery("devices/heartbeat", {"device_id": "poison"})
    server.hand(beat)
    server.advance(10.0)

    assert server.presence("poison") == "online"
    assert server.transitions == [("online", "heartbeat")]


def test_the_watermark_does_not_go_back_for_a_culprit_that_is_tried_alone(server, poison):
    server.advance(10.0)
    control = server.sights["local"].control
    before = control.handled_until_at("subscriber.pi")
    poison[0] = 1
    server.hand(server.delivery("devices/heartbeat", {"device_id": "poison"}))
    server.advance(0.3)

    assert control.handled_until_at("subscriber.pi") >= before > 0


def test_what_waited_behind_a_crashed_batch_is_handled_in_order(server, poison):
    poison[0] = 1
    deliveries = batch(server)
    server.tell_subscribers("local.control", [])
    server.services.get("subscriber.pi").tell(_deliveries(server, deliveries[:3]))
    server.services.get("subscriber.pi").tell(_deliveries(server, deliveries[3:]))
    server.run()
    server.advance(1.0)

    assert [serial for _, serial in server.events] == ["A", "B", "poison", "C", "D"]


def _deliveries(server, items):
    from actors.messages import Deliveries

    return Deliveries("local.control", items, server.clock.monotonic())


def test_readings_of_a_batch_keep_their_order(server):
    server.hand(*(server.delivery(INPUT, {"serial_number": "A", "n": number}) for number in range(100)))

    assert [json.loads(write.measures)["n"] for write in server.writes if isinstance(write, StoreReading)] == list(
        range(100)
    )


# Sensors

SOIL = {"N": 41, "pH": 6.5}


def post(server, body, **fields):
    future = GuardedFuture()
    server.services.tell("subscriber.sensor", Ingest(server.delivery(DATA, body, qos=0), future, **fields))
    server.run()
    return future


def test_a_sensor_is_a_device_of_its_own_kind_at_the_site_of_its_prefix(server):
    server.say(DATA, {"publisher_id": "soil-1", "sensor_readings": SOIL})
    snapshot = server.record("soil-1").snapshot
    assert (snapshot.kind, snapshot.family, snapshot.site, snapshot.device_id) == (
        "sensor",
        "sensor",
        "harit-samarth",
        "soil-1",
    )
    assert server.presence("soil-1") == "online"
    (reading,) = server.readings
    assert (reading.channel, json.loads(reading.measures)) == ("data", SOIL)
    assert reading.health_index is not None


def test_a_sensor_that_goes_on_changes_nothing_but_when_it_was_seen(server):
    server.say(DATA, {"publisher_id": "soil-1", "sensor_readings": SOIL})
    server.forget()
    server.say(DATA, {"publisher_id": "soil-1", "sensor_readings": SOIL})
    assert server.device_writes == []
    assert server.shown == []


def test_a_sensor_that_also_beats_is_offline_after_its_silence(server):
    server.say(DATA, {"publisher_id": "soil-1", "sensor_readings": SOIL})
    server.beat("soil-1")
    server.advance(185)
    assert server.presence("soil-1") == "offline"


def test_without_a_publisher_the_prefix_has_published(server):
    server.say("farm/north/sensor/data", SOIL)
    assert server.readings[0].serial == "farm.north"


def test_a_prefix_that_cannot_be_a_serial_number_needs_a_publisher(server):
    server.say("a b/sensor/data", SOIL)
    (letter,) = server.dead_letters
    assert (letter.reason, "publisher_id" in letter.detail) == ("missing_field", True)


def test_a_reading_that_is_posted_takes_the_same_way_and_has_the_same_identity(server):
    body = {"publisher_id": "soil-1", "timestamp": "2026-11-21T00:00:00Z", "sensor_readings": SOIL}
    server.say(DATA, body)
    future = post(server, body, idempotency_key="k")
    over_mqtt, over_http = server.readings
    assert (over_mqtt.serial, over_mqtt.ts_us, over_mqtt.digest) == (
        over_http.serial,
        over_http.ts_us,
        over_http.digest,
    )
    assert (over_http.source, over_http.idempotency_key, over_http.token) == ("http", "k", 0)
    assert over_http.reply_to is future


def test_a_post_that_is_refused_is_answered_and_leaves_no_dead_letter(server):
    future = post(server, {"publisher_id": "soil-1", "sensor_readings": {"pH": 15}})
    with pytest.raises(RefusedError) as refused:
        future.get(timeout=1)
    assert refused.value.reason == "beyond_physics"
    assert server.dead_letters == []
    assert server.statistics.as_dict()["by_reason"] == {"beyond_physics": 1}


NUMBERS = st.dictionaries(
    st.sampled_from(["N", "P", "pH", "Temperature", "extra"]),
    st.one_of(st.integers(0, 13), st.integers(), st.floats(0, 13, allow_nan=False), st.sampled_from([1.0, 1e3, 2.5])),
    min_size=1,
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(numbers=NUMBERS, told=st.sampled_from([{}, {"id": "r"}, {"id": 7}, {"clock": "ntp"}, {"clock": "sundial"}]))
def test_the_quick_way_of_a_known_station_gives_the_same_reading_as_the_careful_one(server, numbers, told):
    body = {"publisher_id": "soil-1", "timestamp": "2026-11-21T00:00:00Z", "sensor_readings": numbers} | told
    server.say(DATA, {"publisher_id": "soil-1", "sensor_readings": dict.fromkeys(numbers, 1)})
    server.forget()
    server.say(DATA, body)  # known: its names were seen before
    post(server, body, serial="soil-1")  # bound to its serial: always careful
    kept = [(r.ts_us, r.digest, r.measures, r.sender_id, r.clock) for r in server.readings]
    refused = [letter.reason for letter in server.dead_letters]
    assert len(kept) + len(refused) in (1, 2)
    assert len(set(kept)) + len(refused) == 1


def test_a_devices_token_speaks_for_that_device_alone(server):
    future = post(server, {"publisher_id": "soil-1", "sensor_readings": SOIL}, serial="soil-2")
    with pytest.raises(RefusedError) as refused:
        future.get(timeout=1)
    assert refused.value.reason == "unbound"
    assert server.readings == []


def test_one_bad_station_does_not_use_up_the_quota_of_the_others(server):
    for number in range(QUOTA + 5):
        server.say(DATA, {"publisher_id": "bad", "sensor_readings": {"pH": 15 + number}})
    server.say(DATA, {"publisher_id": "other", "sensor_readings": {"pH": 15}})
    assert [letter.serial for letter in server.dead_letters] == ["bad"] * QUOTA + ["other"]


def test_a_letter_over_the_quota_is_told_of_so_that_its_sender_has_an_answer(server):
    unkept = []
    server.desk.on_unkept = unkept.append
    for number in range(QUOTA + 1):
        server.say(DATA, {"publisher_id": "bad", "id": str(number), "sensor_readings": {"pH": 15}})
    assert [(letter.serial, letter.reason) for letter in unkept] == [("bad", "beyond_physics")]


def test_a_number_that_is_too_large_is_named(server):
    server.say(DATA, b'{"publisher_id":"A","sensor_readings":{"N":1e999}}')
    assert "`sensor_readings.N`" in server.dead_letters[0].detail


def test_a_site_that_an_operator_gave_a_sensor_stays(server):
    server.say(DATA, {"publisher_id": "soil-1", "sensor_readings": SOIL})
    server.devices.tell("soil-1", Changed({"site": "field 7"}))
    server.say(DATA, {"publisher_id": "soil-1", "sensor_readings": SOIL})
    assert server.record("soil-1").snapshot.site == "field 7"
