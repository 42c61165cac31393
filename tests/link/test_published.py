"""What a link tells of its publications: once each, with the broker's own words."""

from __future__ import annotations

import pytest

from actors.link.messages import ACCEPTED, DROPPED, NOBODY_SUBSCRIBED, Publish, Published
from actors.link.publisher import MAX_ATTEMPTS, QUEUE_LIMIT, Publisher
from actors.link.status import LinkCounters
from actors.runtime import ManualClock
from tests.link.rig import Recorder, Rig, running
from tests.link.test_publisher import Client
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import Device
from tests.support.wait import eventually


@pytest.fixture
def told():
    return []


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def publisher(clock, told):
    return Publisher(clock, LinkCounters(), lambda name, message: told.append((name, message)))


def wanted(token, qos=1, topic="a", **fields):
    return Publish(topic, b"x", qos, reply_to="ledger", token=token, **fields)


def drops(told):
    return [(message.token, message.reason, message.cause) for _, message in told]


def test_the_brokers_answer_is_told_to_who_wants_it(publisher, told):
    client = Client()
    publisher.attach(client, None, None)
    publisher.publish(wanted(7))
    publisher.publish(Publish("b", b"", 1))
    assert told == []
    client.answered += [(1, NOBODY_SUBSCRIBED), (2, 0)]
    publisher.pump()
    assert told == [("ledger", Published(7, NOBODY_SUBSCRIBED))]


def test_qos_0_is_told_when_it_is_written_or_dropped(publisher, told):
    publisher.publish(wanted(1, qos=0))
    assert drops(told) == [(1, DROPPED, "link_down")]
    publisher.attach(Client(), None, None)
    publisher.publish(wanted(2, qos=0))
    assert told[1:] == [("ledger", Published(2, ACCEPTED))]


def test_what_expires_is_invalid_or_too_large_is_told(publisher, told, clock):
    publisher.publish(wanted(1, expiry=5.0))
    clock.advance(6.0)
    publisher.attach(Client(), None, 20)
    publisher.pump()
    publisher.publish(wanted(2, topic="x" * 30))
    publisher.publish(wanted(3, topic="+"))
    assert drops(told) == [(1, DROPPED, "expired"), (2, DROPPED, "invalid"), (3, DROPPED, "invalid")]
    assert all(message.detail for _, message in told)


def test_what_the_queue_has_no_room_for_is_told(publisher, told):
    for token in range(QUEUE_LIMIT + 1):
        publisher.publish(wanted(token))
    assert drops(told) == [(QUEUE_LIMIT, DROPPED, "overflow")]


def test_what_breaks_every_connection_is_told(publisher, told):
    publisher.publish(wanted(1))
    for _ in range(MAX_ATTEMPTS):
        publisher.attach(Client(), None, None)
        publisher.pump()
        publisher.detach()
    assert drops(told) == [(1, DROPPED, "abandoned")]


# Before a real broker


class Asker(Recorder):
    """Who is told."""

    @property
    def answers(self):
        return {message.token: message.reason for message in self.told}


@pytest.fixture
def linked(shared_mosquitto, tmp_path):
    rig = Rig(shared_mosquitto.url, tmp_path, kind="control", instance="published")
    asker = Asker()
    rig.directory.publish("ledger", asker)
    with running(rig):
        rig.until("subscribed")
        yield rig, asker


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_broker_has_taken_what_somebody_subscribed_to(linked, shared_mosquitto, qos):
    rig, asker = linked
    with Device(shared_mosquitto.url) as device:
        device.subscribe(f"published/{qos}", qos=2)
        rig.ref.tell(Publish(f"published/{qos}", b"x", qos, reply_to="ledger", token=qos + 1))
        assert device.next(f"published/{qos}").qos == qos
    eventually(lambda: asker.answers == {qos + 1: ACCEPTED}, what="the answer")


@pytest.mark.parametrize("qos", [1, 2])
def test_a_broker_says_when_nobody_has_subscribed(linked, qos):
    rig, asker = linked
    rig.ref.tell(Publish("published/alone", b"x", qos, reply_to="ledger", token=5))
    eventually(lambda: asker.answers, what="the answer")
    assert asker.answers[5] in (NOBODY_SUBSCRIBED, ACCEPTED) if qos == 2 else asker.answers == {5: NOBODY_SUBSCRIBED}


def test_properties_reach_the_subscriber(linked, shared_mosquitto):
    rig, asker = linked
    with Device(shared_mosquitto.url) as device:
        device.subscribe("published/asked")
        message = Publish(
            "published/asked",
            b"{}",
            1,
            reply_to="ledger",
            token=1,
            expiry=60.0,
            response_topic="devices/pi-1/responses",
            correlation=b"c1",
            content_type="application/json",
        )
        rig.ref.tell(message)
        properties = device.next("published/asked").properties
    assert (properties.ResponseTopic, properties.CorrelationData) == ("devices/pi-1/responses", b"c1")
    assert properties.ContentType == "application/json"
    assert 0 < properties.MessageExpiryInterval <= 60
    eventually(lambda: asker.answers == {1: ACCEPTED}, what="the answer")


def test_a_refusal_of_the_permissions_is_told(tmp_path):
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite server/#\ntopic read #\ntopic read $SYS/#\n")
    with Mosquitto(config=[f"acl_file {rules}"]) as broker:
        rig = Rig(broker.url, tmp_path, kind="control", instance="refused")
        asker = Asker()
        rig.directory.publish("ledger", asker)
        with running(rig):
            rig.until("subscribed")
            for token, qos in ((1, 1), (2, 2)):
                rig.ref.tell(Publish("forbidden/topic", b"x", qos, reply_to="ledger", token=token))
            eventually(lambda: asker.answers == {1: 0x87, 2: 0x87}, what="both answers")
