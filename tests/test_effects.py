"""What follows a commit: receipts, baselines, publications, answers; driven in virtual time."""

from __future__ import annotations

import msgspec
import pytest

from actors.effects import FLOOD, MOST_IN_FLOOD, MOST_PER_TICK, Aftermath, Committed, EffectsActor, Stored
from actors.events import EventRing
from actors.historian import Recall, Recalled
from actors.link.messages import Publish
from actors.messages import StoreDeadLetter, StoreReading
from actors.payloads import RefusedError
from actors.runtime import GuardedFuture
from tests.support.world import Server

TOPIC = "harit-samarth/sensor/data"
SOIL = {"N": 41, "P": 22, "K": 180, "CO2": 420, "Temperature": 21.5, "Moisture": 33, "pH": 6.4}


class Effects:
    """A server in virtual time whose commits are played by the test."""

    def __init__(self):
        self.server = Server()
        self.server.told["historian"] = []
        self.ring = EventRing()
        self.followed = 0
        self.aftermath = Aftermath(
            self.server.runtime,
            self.server.fleet,
            self.server.services,
            self.ring,
            self.server.analysts,
            self.server.statistics,
            default_link="local.control",
            on_committed=self._follow,
        )
        self.server.serve("historian", self.server.told["historian"])
        self.ref = self.server.runtime.launch(EffectsActor(self.aftermath))
        self.server.run()

    def _follow(self):
        self.followed += 1

    def publish(self, serial="soil-1", **fields):
        """Let a sensor publish; return the reading as it goes to the registry."""
        measures = fields.pop("measures", SOIL)
        self.server.say(TOPIC, {"publisher_id": serial, "sensor_readings": measures, **fields})
        return self.server.readings[-1]

    def commit(self, *new, known=(), dead=()):
        self.ref.tell(Committed(list(new), list(known), list(dead)))
        self.server.run()

    def sent(self, topic):
        told = [message for message in self.server.told["local.control"] if isinstance(message, Publish)]
        return [msgspec.json.decode(message.payload) for message in told if message.topic == topic]

    def advance(self, seconds):
        self.server.advance(seconds)


def counted(effects):
    """How many values of a measure the station's baseline rests on."""
    return len(effects.server.record("soil-1").baseline._windows["pH"].values)


@pytest.fixture
def effects():
    return Effects()


def test_an_analysis_is_published_after_the_commit_and_not_before(effects):
    reading = effects.publish(timestamp="2026-11-21T00:00:00Z", id="r1")
    effects.advance(1)
    assert effects.sent("harit-samarth/soil-health/analysis") == []
    effects.commit(reading)
    effects.advance(0.1)
    (analysis,) = effects.sent("harit-samarth/soil-health/analysis")
    assert analysis["publisher_id"] == "soil-1"
    assert analysis["timestamp"] == "2026-11-21T00:00:00.000Z"
    assert 0 <= analysis["health_index"] <= 100
    assert analysis["status"] in ("Excellent", "Good", "Fair", "Poor", "Critical")
    assert analysis["sensor_readings"] == SOIL
    assert analysis["anomalies"] == []
    assert set(analysis["contributions"]) <= set(SOIL)


def test_a_publisher_has_at_most_one_analysis_a_second_and_it_is_the_newest(effects):
    for number in range(10):
        effects.commit(effects.publish(id=f"r{number}"))
    effects.advance(0.2)
    effects.commit(effects.publish(id="last"))
    effects.advance(0.2)
    assert [a["reading"]["id"] for a in effects.sent("harit-samarth/soil-health/analysis")] == ["r9"]
    effects.advance(1)
    assert [a["reading"]["id"] for a in effects.sent("harit-samarth/soil-health/analysis")] == ["r9", "last"]


def test_many_publishers_are_published_in_portions_and_nobody_is_left_out(effects):
    readings = [effects.publish(f"soil-{number}") for number in range(FLOOD - 1)]
    effects.commit(*readings)
    effects.advance(0.06)
    assert len(effects.sent("harit-samarth/soil-health/analysis")) == MOST_PER_TICK
    effects.advance(1)
    published = [a["publisher_id"] for a in effects.sent("harit-samarth/soil-health/analysis")]
    assert published == [f"soil-{number}" for number in range(FLOOD - 1)]


def test_while_a_flood_comes_in_few_are_published_and_the_others_after_it(effects):
    readings = [effects.publish(f"soil-{number}") for number in range(FLOOD)]
    effects.commit(*readings)
    effects.advance(0.06)
    assert len(effects.sent("harit-samarth/soil-health/analysis")) == MOST_IN_FLOOD
    effects.advance(1)
    assert len(effects.sent("harit-samarth/soil-health/analysis")) == FLOOD


def test_a_message_with_an_id_gets_a_receipt_each_time_it_is_stored_or_known(effects):
    reading = effects.publish(id="r1")
    effects.commit(reading, effects.publish(id="r2"), effects.publish())
    effects.advance(0.1)
    effects.commit(known=[reading])
    effects.advance(0.1)
    receipts = effects.sent("devices/soil-1/receipts")
    assert [receipt["stored"] for receipt in receipts] == [["r1", "r2"], ["r1"]]
    assert [receipt["refused"] for receipt in receipts] == [{}, {}]


def test_a_refused_message_gets_a_receipt_that_says_why(effects):
    effects.publish()
    payload = b'{"publisher_id":"soil-1","id":"r7","sensor_readings":{"pH":15}}'
    effects.commit(dead=[StoreDeadLetter("beyond_physics", "`pH`", "local.data", TOPIC, payload, 1)])
    effects.advance(0.1)
    (receipt,) = effects.sent("devices/soil-1/receipts")
    assert (receipt["stored"], receipt["refused"]) == ([], {"r7": "beyond_physics"})


def test_an_id_that_is_longer_than_any_is_not_sent_back(effects):
    long = "x" * 60_000
    dead = [
        StoreDeadLetter("too_long", "", "local.data", topic, msgspec.json.encode({name: told}), 1, "soil-1")
        for name, topic in (("scan_id", "devices/soil-1/scans"), ("id", "devices/soil-1/readings"))
        for told in (long, long + "y", "z" * 128)
    ]
    effects.commit(dead=dead)
    effects.advance(0.1)
    (receipt,) = effects.sent("devices/soil-1/receipts")
    assert receipt["refused"] == {"z" * 128: "too_long"}


def test_what_cannot_be_read_gets_no_receipt(effects):
    effects.publish()
    effects.commit(dead=[StoreDeadLetter("not_json", "", "local.data", TOPIC, b"\xff{", 1)])
    effects.advance(0.1)
    assert effects.sent("devices/soil-1/receipts") == []


def test_only_new_readings_become_part_of_what_is_usual(effects):
    reading = effects.publish(timestamp="2026-11-21T00:00:00Z")
    effects.commit(reading)
    assert counted(effects) == 1
    effects.commit(known=[reading])
    assert counted(effects) == 1


def test_a_device_known_from_before_gets_its_history_from_the_table_first(effects):
    effects.publish(timestamp="2026-11-21T00:10:00Z")
    record = effects.server.record("soil-1")
    record.is_new = False
    first = effects.server.readings[-1]
    second = effects.publish(timestamp="2026-11-21T00:11:00Z")
    effects.commit(first)
    effects.commit(second)
    assert effects.server.told["historian"] == [Recall("soil-1")], "asked once"
    assert record.baseline is None
    past = [(first.ts_us - 60_000_000 * ago, SOIL) for ago in range(30, -1, -1)]
    effects.ref.tell(Recalled("soil-1", past))
    effects.server.run()
    assert counted(effects) == len(past) + 1, "the one that was in both is counted once"


def test_a_history_that_could_not_be_read_is_asked_for_again(effects):
    reading = effects.publish()
    effects.server.record("soil-1").is_new = False
    effects.commit(reading)
    effects.ref.tell(Recalled("soil-1", None))
    effects.commit(effects.publish(timestamp="2026-11-21T00:11:00Z"))
    assert effects.server.told["historian"] == [Recall("soil-1")] * 2


def test_who_posted_a_reading_learns_whether_it_was_new(effects):
    first, second = GuardedFuture(), GuardedFuture()
    reading = effects.publish()
    effects.commit(msgspec.structs.replace(reading, reply_to=first))
    effects.commit(known=[msgspec.structs.replace(reading, reply_to=second)])
    assert first.get(timeout=1) == Stored(reading, is_new=True)
    assert second.get(timeout=1) == Stored(reading, is_new=False)


def test_the_followers_of_the_table_are_woken_by_new_rows_only(effects):
    reading = effects.publish()
    effects.commit(reading)
    effects.commit(known=[reading])
    assert effects.followed == 1


def test_live_pages_are_told_of_a_stations_reading(effects):
    effects.commit(effects.publish(measures=SOIL | {"pH": 3.2}))
    effects.advance(0.1)
    (event,) = effects.ring.since(0).events
    assert (event.kind, event.key) == ("reading", "soil-1")
    assert b'"implausible"' in event.frame


def test_live_pages_are_told_of_any_devices_numbers_an_analysis_comes_first(effects):
    effects.server.say("plant/datalogger/soil/1/input", {"serial_number": "DL", "wind": 6.5})
    plain = effects.server.readings[-1]
    effects.commit(plain)
    effects.advance(0.1)
    (event,) = effects.ring.since(0).events
    told = msgspec.json.decode(event.frame.split(b"data: ")[1])
    assert (told["serial"], told["kind"], told["measures"]) == ("DL", "datalogger", {"wind": 6.5})
    assert (told["health_index"], told["status"], told["anomalies"]) == (None, "", [])
    effects.advance(2)
    effects.commit(effects.publish(), msgspec.structs.replace(plain, serial="soil-1"))
    effects.advance(0.1)
    assert b'"health_index":null' not in effects.ring.since(0).events[-1].frame


def test_the_figures_tell_what_was_received_processed_known_and_failed(effects):
    reading = effects.publish()
    effects.commit(reading)
    effects.commit(known=[reading])
    effects.server.say(TOPIC, b"{")
    effects.advance(0.1)
    figures = effects.server.statistics.as_dict()
    assert {name: figures[name] for name in ("received", "processed", "duplicates", "failed", "published")} == {
        "received": 2,
        "processed": 1,
        "duplicates": 1,
        "failed": 1,
        "published": 1,
    }
    assert figures["by_reason"] == {"not_json": 1}


def test_a_dataloggers_readings_have_no_analysis_and_no_publication(effects):
    effects.server.say("plant/datalogger/soil/1/input", {"serial_number": "DL", "pH": 6.5})
    (reading,) = effects.server.readings
    effects.commit(reading)
    effects.advance(2)
    assert reading.health_index is None
    assert isinstance(reading, StoreReading)
    assert not [m for m in effects.server.told["local.control"] if isinstance(m, Publish) and "analysis" in m.topic]


def test_a_publisher_that_was_never_accepted_learns_why_too(effects):
    payload = b'{"publisher_id":"never-seen","id":"r1","sensor_readings":{"pH":15}}'
    effects.commit(dead=[StoreDeadLetter("beyond_physics", "`pH`", "local.data", TOPIC, payload, 1)])
    effects.advance(0.1)
    assert [receipt["refused"] for receipt in effects.sent("devices/never-seen/receipts")] == [{"r1": "beyond_physics"}]


def test_who_posted_a_reading_that_the_database_refuses_learns_it(effects):
    future = GuardedFuture()
    effects.commit(dead=[StoreDeadLetter("refused_by_database", "why", "", TOPIC, b"{}", 1, reply_to=future)])
    with pytest.raises(RefusedError) as refused:
        future.get(timeout=1)
    assert refused.value.reason == "refused_by_database"


@pytest.mark.parametrize("reason", ["not_encrypted", "not_decipherable"])
def test_who_cannot_be_told_from_a_stranger_is_told_nothing(effects, reason):
    payload = b'{"publisher_id": "soil-1", "id": "r7"}'
    effects.commit(dead=[StoreDeadLetter(reason, "why", "local.data", TOPIC, payload, 1, serial="soil-1")])
    effects.advance(1)
    assert effects.sent("devices/soil-1/receipts") == [], "the device would forget r7, which it has never sent so"


def test_the_analysis_of_what_a_device_seals_is_published_nowhere(effects):
    effects.aftermath.is_private = {"soil-1"}.__contains__
    effects.commit(effects.publish("soil-1"), effects.publish("soil-2"))
    effects.advance(1)
    assert [told["publisher_id"] for told in effects.sent("harit-samarth/soil-health/analysis")] == ["soil-2"]
