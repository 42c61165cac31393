from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from actors.link.complaints import MOST_NAMES
from actors.link.messages import DROPPED, Publish, Published
from actors.link.publisher import MAX_ATTEMPTS, QUEUE_LIMIT, Publisher
from actors.link.status import LinkCounters
from actors.payload_keys.envelope import BadKeyError
from actors.runtime import ManualClock


class Client:
    """What a publisher asks of a client; it answers when told to."""

    def __init__(self, *, v5=True):
        self.v5 = v5
        self.answered = []
        self.sent = []

    def publish(self, topic, payload, qos, retain, properties):
        if "+" in topic:
            raise ValueError("no wildcards")
        self.sent.append((topic, qos, getattr(properties, "MessageExpiryInterval", None)))
        return SimpleNamespace(mid=len(self.sent), rc=0)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def counters():
    return LinkCounters()


@pytest.fixture
def publisher(clock, counters):
    return Publisher(clock, counters)


def topics(client):
    return [topic for topic, *_ in client.sent]


def test_what_waited_is_sent_in_order_when_a_connection_comes(publisher, counters):
    for topic in "abc":
        publisher.publish(Publish(topic, b"", qos=1))
    client = Client()
    publisher.attach(client, None, None)
    publisher.pump()
    assert topics(client) == ["a", "b", "c"]
    client.answered += [(1, 0), (2, 0), (3, 0)]
    publisher.pump()
    assert publisher.idle
    assert counters.published == 3


def test_the_window_follows_the_brokers_receive_maximum(publisher):
    client = Client()
    publisher.attach(client, 2, None)
    for topic in "abc":
        publisher.publish(Publish(topic, b"", qos=1))
    assert topics(client) == ["a", "b"]
    client.answered.append((1, 0))
    publisher.pump()
    assert topics(client) == ["a", "b", "c"]


def test_an_older_protocol_gets_the_window_that_old_brokers_have(publisher):
    client = Client(v5=False)
    publisher.attach(client, None, None)
    for number in range(30):
        publisher.publish(Publish(str(number), b"", qos=1))
    assert len(client.sent) == 20


def test_unanswered_publications_are_sent_first_on_the_next_connection(publisher):
    first, second = Client(), Client()
    publisher.attach(first, 1, None)
    publisher.publish(Publish("a", b"", qos=1))
    publisher.publish(Publish("b", b"", qos=1))
    publisher.detach()
    publisher.attach(second, None, None)
    publisher.pump()
    assert topics(second) == ["a", "b"]


def test_a_publication_that_breaks_every_connection_is_given_up(publisher, counters):
    publisher.publish(Publish("poison", b"", qos=1))
    for _ in range(MAX_ATTEMPTS):
        publisher.attach(Client(), None, None)
        publisher.pump()
        publisher.detach()
    assert publisher.idle
    assert counters.publish_abandoned == 1


def test_the_queue_is_bounded(publisher, counters):
    for _ in range(QUEUE_LIMIT + 3):
        publisher.publish(Publish("a", b"", qos=1))
    assert counters.publish_overflow == 3
    assert len(publisher.unsent()) == QUEUE_LIMIT


def test_an_expired_publication_is_not_sent_and_the_time_it_waited_is_taken_off(publisher, counters, clock):
    publisher.publish(Publish("a", b"", qos=1, expiry=5.0))
    publisher.publish(Publish("b", b"", qos=1, expiry=60.0))
    clock.advance(10.0)
    client = Client()
    publisher.attach(client, None, None)
    publisher.pump()
    assert client.sent == [("b", 1, 50)]
    assert counters.publish_expired == 1


def test_a_refusal_by_the_broker_is_counted(publisher, counters):
    client = Client()
    publisher.attach(client, None, None)
    publisher.publish(Publish("a", b"", qos=1))
    client.answered.append((1, 0x87))
    publisher.pump()
    assert counters.publish_refused == 1
    assert publisher.idle


def test_what_no_broker_would_take_is_refused_here(publisher, counters):
    client = Client()
    publisher.attach(client, None, 100)
    publisher.publish(Publish("a", b"x" * 100, qos=1))
    publisher.publish(Publish("a/+", b"", qos=1))
    assert client.sent == []
    assert counters.publish_invalid == 2
    assert publisher.idle


def test_qos_0_is_dropped_without_a_connection_and_qos_2_is_sent_as_such(publisher, counters):
    publisher.publish(Publish("a", b""))
    client = Client()
    publisher.attach(client, None, None)
    publisher.publish(Publish("b", b"", qos=2))
    assert client.sent == [("b", 2, None)]
    assert counters.publish_link_down == 1


class Sealer:
    """Seals what is for `pi-7`, visibly and each time anew; refuses what is for `pi-8`."""

    def __init__(self):
        self.sealed = 0

    def __call__(self, topic, payload, to):
        if "pi-8" in (topic, to):
            raise BadKeyError("the key has ended")
        self.sealed += 1
        return b"%d:" % self.sealed + payload


class Wire(Client):
    """Keeps payloads."""

    def __init__(self):
        super().__init__()
        self.payloads = []

    def publish(self, topic, payload, qos, retain, properties):
        self.payloads.append(payload)
        return super().publish(topic, payload, qos, retain, properties)


def test_what_waits_is_sealed_when_it_is_sent_and_never_twice(clock, counters):
    publisher = Publisher(clock, counters, seal=Sealer())
    publisher.publish(Publish("a", b"x", qos=1))
    assert publisher.unsent()[0].payload == b"x"
    first, second = Wire(), Wire()
    publisher.attach(first, None, None)
    publisher.pump()
    publisher.detach()
    publisher.attach(second, None, None)
    publisher.pump()
    assert first.payloads == [b"1:x"]
    assert second.payloads == [b"2:x"], "anew, and from what was plain"
    assert publisher.unsent()[0].payload == b"x"


def test_the_brokers_limit_is_on_what_is_sealed(clock, counters):
    publisher, wire = Publisher(clock, counters, seal=Sealer()), Wire()
    publisher.attach(wire, None, 18)
    publisher.publish(Publish("a", b"x", qos=1))
    assert (wire.payloads, counters.publish_invalid) == ([], 1)


def test_what_cannot_be_sealed_is_refused_and_told_not_sent_in_plain(clock, counters):
    told = []
    publisher = Publisher(clock, counters, lambda name, what: told.append((name, what)), Sealer())
    wire = Wire()
    publisher.attach(wire, None, None)
    publisher.publish(Publish("a", b"x", qos=1, to="pi-8", reply_to="ledger", token=7))
    publisher.publish(Publish("pi-8", b"x"))
    assert (wire.payloads, counters.publish_invalid) == ([], 2)
    assert told == [("ledger", Published(7, DROPPED, "invalid", "the key has ended"))]


@pytest.fixture
def said(caplog):
    """What was logged since it was asked last."""

    def take():
        lines = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return lines

    with caplog.at_level(logging.WARNING, "actors.link"):
        yield take


def test_what_cannot_be_published_is_logged_once_a_minute_for_each_device_with_a_count(clock, counters, said):
    publisher = Publisher(clock, counters, seal=Sealer())
    publisher.attach(Wire(), None, 100)
    for number in range(500):
        publisher.publish(Publish(f"alerts/{number % 3}", b"x", qos=1, to="pi-8"))
        publisher.publish(Publish(f"devices/pi-9/{number}", b"x" * 200, qos=1))
    first, second = said()
    assert "'alerts/0'" in first
    assert "the key has ended" in first
    assert "'devices/pi-9/0'" in second
    clock.advance(61.0)
    publisher.publish(Publish("alerts/1", b"x", qos=1, to="pi-8"))
    (again,) = said()
    assert again.endswith("(499 more since the line before)")
    clock.advance(61.0)
    publisher.publish(Publish("alerts/1", b"x", qos=1, to="pi-8"))
    assert "more" not in said()[0]
    assert counters.publish_invalid == 1002


def test_refusals_by_the_broker_are_logged_no_oftener(clock, publisher, said):
    client = Client()
    publisher.attach(client, None, None)
    for number in range(1, 51):
        publisher.publish(Publish("devices/pi-7/commands", b"", qos=1))
        client.answered.append((number, 0x87))
        publisher.pump()
    assert len(said()) == 1


def test_a_fleet_of_which_nobody_can_be_told_anything_does_not_fill_the_log(clock, counters, said):
    publisher = Publisher(clock, counters, seal=Sealer())
    publisher.attach(Wire(), None, 100)
    for number in range(3 * MOST_NAMES):
        publisher.publish(Publish(f"devices/pi-{number}/commands", b"x" * 200, qos=1))
    assert len(said()) == MOST_NAMES + 1
    clock.advance(61.0)
    publisher.publish(Publish("devices/pi-new/commands", b"x" * 200, qos=1))
    assert "devices/pi-new" in said()[0], "the minute is over for all of them"
