"""The control link against a real Mosquitto: it carries the server's presence and never waits."""

from __future__ import annotations

import logging

import pytest

from actors.link.control import DROPPED_TOPIC, ControlLink
from actors.link.loop import LinkMailbox, MailboxEmptyError
from actors.link.messages import Publish, Reconnect
from actors.messages import Settled
from actors.runtime import Exit, ExitReason
from tests.link.rig import Recorder, Rig, running
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import Device
from tests.support.wait import eventually


@pytest.fixture
def rig(mosquitto, tmp_path):
    with running(Rig(mosquitto.url, tmp_path, kind="control")) as rig:
        yield rig.until("subscribed")


@pytest.fixture
def device(mosquitto):
    with Device(mosquitto.url) as device:
        yield device


def test_a_message_arrives_live_and_without_a_token(rig, device):
    device.publish("t/1", b"one", qos=1)
    (item,) = rig.wait_items(1)
    assert (item.qos, item.token, item.live, item.retain) == (0, 0, True, False)


def test_a_retained_message_is_not_evidence_of_life(mosquitto, tmp_path, device):
    device.publish("t/kept", b"old", retain=True)
    with running(Rig(mosquitto.url, tmp_path, kind="control")) as rig:
        (item,) = rig.wait_items(1)
        assert (item.retain, item.live) == (True, False)


def test_the_server_greets_on_every_connection_and_says_goodbye(mosquitto, tmp_path, device):
    device.subscribe("server/discovery")
    with running(Rig(mosquitto.url, tmp_path, kind="control")) as rig:
        assert device.next().payload == b"online"
        eventually(lambda: rig.actor._publisher.idle, what="all answers, lest the greeting is sent again")
        rig.ref.tell(Reconnect())
        assert device.next().payload == b"online"
    assert device.next().payload == b"goodbye"
    assert rig.greetings == [True, False]
    assert rig.state == "stopped"


def test_a_killed_link_is_announced_by_its_will(rig, device):
    device.subscribe("server/discovery")
    assert device.next().payload == b"online"
    rig.runtime.kill(rig.ref)
    assert device.next().payload == b"offline"


class ResumingLink(ControlLink):
    """As the edge's: the broker keeps its session for a minute."""

    resume_within = 60


@pytest.fixture
def resuming(mosquitto, tmp_path):
    rig = Rig(mosquitto.url, tmp_path, kind="control")
    rig.control_class = ResumingLink
    with running(rig):
        yield rig.until("subscribed")


def test_a_link_that_comes_back_in_time_has_never_been_away(resuming, device):
    device.subscribe("server/discovery")
    assert device.next().payload == b"online"
    eventually(lambda: resuming.actor._publisher.idle, what="the greeting's answer")
    resuming.actor.sever()
    eventually(lambda: resuming.counters.connections == 2, what="the second connection")
    assert device.next().payload == b"online"
    device.publish("t/1", b"after")
    resuming.wait_items(1)
    resuming.ref.tell(Publish("server/discovery", b"last", qos=1))
    assert device.next().payload == b"last"


def test_a_resuming_link_that_does_not_come_back_is_announced_by_its_will(resuming, device):
    device.subscribe("server/discovery")
    assert device.next().payload == b"online"
    resuming.runtime.kill(resuming.ref)
    assert device.next().payload == b"offline"


def test_a_link_whose_path_is_lost_connects_anew_without_a_word(resuming, device):
    device.subscribe("server/discovery")
    assert device.next().payload == b"online"
    eventually(lambda: resuming.actor._publisher.idle, what="the greeting's answer")
    resuming.ref.tell(Reconnect(path_lost=True))
    assert device.next().payload == b"online"
    assert resuming.counters.connections == 2


def test_a_dead_broker_is_noticed_and_presence_is_published_again(mosquitto, rig):
    mosquitto.kill()
    eventually(lambda: rig.sight.changes == ["regained", "lost"], what="blindness")
    eventually(lambda: rig.board.status.last_error, what="an error to show")
    mosquitto.start()
    rig.until("subscribed")
    with Device(mosquitto.url) as device:
        device.subscribe("server/discovery")
        assert device.next().payload == b"online"
        device.publish("t/1", b"seen again")
        rig.wait_items(1)
    assert rig.sight.changes == ["regained", "lost", "regained"]
    assert rig.board.status.last_error == ""


def test_publications_wait_for_the_broker_with_qos_1_and_are_dropped_with_qos_0(mosquitto, rig):
    mosquitto.stop()
    eventually(lambda: rig.sight.changes[-1] == "lost", what="blindness")
    rig.ref.tell(Publish("out/0", b"gone"))
    rig.ref.tell(Publish("out/1", b"kept", qos=1, retain=True))
    rig.ref.tell(Publish("out/2", b"too late", qos=1, retain=True, expiry=0.01))
    eventually(lambda: rig.counters.publish_link_down == 1, what="the dropped one")
    mosquitto.start()
    rig.until("subscribed")
    with Device(mosquitto.url) as device:
        device.subscribe("out/#")
        assert device.next().topic == "out/1"
        eventually(lambda: rig.counters.publish_expired == 1, what="the expired one")
        assert [message.topic for message in device.received] == ["out/1"]


def test_a_publication_carries_its_expiry_to_the_broker(rig, device):
    device.subscribe("out/#")
    rig.ref.tell(Publish("out/1", b"x", qos=1, expiry=90.0))
    assert 80 <= device.next().properties.MessageExpiryInterval <= 90


def test_a_topic_with_wildcards_is_refused_without_harm(rig, device):
    device.subscribe("out/#")
    rig.ref.tell(Publish("out/#", b"x", qos=1))
    rig.ref.tell(Publish("out/1", b"y", qos=1))
    assert device.next().topic == "out/1"
    assert rig.counters.publish_invalid == 1


def test_a_payload_beyond_the_brokers_limit_does_not_cost_the_connection(tmp_path):
    with (
        Mosquitto(config=["max_packet_size 1000"]) as broker,
        running(Rig(broker.url, tmp_path, kind="control")) as rig,
    ):
        rig.until("subscribed")
        rig.ref.tell(Publish("out/big", b"x" * 2000, qos=1))
        eventually(lambda: rig.counters.publish_invalid == 1, what="the refusal")
        assert rig.counters.connections == 1


def test_the_brokers_count_of_dropped_messages_is_watched(rig, device):
    eventually(lambda: rig.actor._dropped_last is not None, what="the broker's own count")
    rig.actor._dropped_last, rig.actor._dropped_total = None, 0
    for count in (b"5", b"8", b"not a number", b"2"):
        rig.actor.handle_own((DROPPED_TOPIC, count, 0, False, False, 0))
    eventually(lambda: rig.board.status.dropped_by_broker == 5, what="3 before and 2 after the broker's restart")


def test_a_topic_that_somebody_watches_is_heard_and_told_to_no_subscriber(mosquitto, tmp_path, device):
    heard = []
    watched = {"homeassistant/status": heard.append}
    with running(Rig(mosquitto.url, tmp_path, kind="control", watched=watched)) as rig:
        rig.until("subscribed")
        device.publish("homeassistant/status", b"online")
        eventually(lambda: heard == [b"online"], what="the birth message")
        device.publish("t/1", b"one")
        (item,) = rig.wait_items(1)
        assert item.topic == "t/1"


def test_a_message_the_link_does_not_understand_is_counted_and_harmless(rig, device):
    rig.ref.tell("nonsense")
    rig.ref.tell(Settled([1]))
    eventually(lambda: rig.counters.unexpected == 2, what="the count")
    device.publish("t/1", b"still here")
    rig.wait_items(1)


def test_a_crash_is_told_with_what_was_not_published_and_leaves_no_socket(mosquitto, tmp_path, device):
    monitor = Recorder()
    rig = Rig(mosquitto.url, tmp_path, kind="control")
    rig.start(monitor=monitor)
    rig.until("subscribed")
    mosquitto.stop()
    eventually(lambda: rig.sight.changes[-1] == "lost", what="blindness")
    rig.ref.tell(Publish("out/1", b"kept", qos=1))
    eventually(lambda: not rig.actor._publisher.idle, what="the queue")
    rig.actor.each_round = lambda _now: 1 / 0
    (end,) = eventually(lambda: [item for item in monitor.told if isinstance(item, Exit)], what="the end")
    assert end.reason is ExitReason.CRASHED
    assert isinstance(end.error, ZeroDivisionError)
    assert [envelope.message.topic for envelope in end.pending] == ["out/1"]
    assert rig.state == "backing_off"


def test_a_severed_link_connects_anew(rig):
    rig.actor.sever()
    eventually(lambda: rig.counters.connections == 2, what="the second connection")
    rig.until("subscribed")


def test_an_empty_mailbox_ends_the_turn_and_forgets_the_last_message():
    inbox = LinkMailbox()
    inbox.budget = 1
    with pytest.raises(MailboxEmptyError):
        inbox.get()
    assert inbox.current is None


def test_repeated_failures_are_logged_once(tmp_path, caplog, mosquitto):
    mosquitto.stop()
    with caplog.at_level(logging.WARNING), running(Rig(mosquitto.url, tmp_path, kind="control")) as rig:
        eventually(lambda: rig.board.status.last_error, what="a failure")
        eventually(lambda: rig.actor._connection._failures >= 3, what="three failures")
    assert sum("cannot connect" in record.message for record in caplog.records) == 1


def test_a_paused_link_says_goodbye_and_is_greeted_again_when_it_is_resumed(mosquitto, rig, device):
    device.subscribe("server/discovery")
    assert device.next("server/discovery").payload == b"online"
    rig.pause()
    rig.until("paused")
    assert device.next("server/discovery").payload == b"goodbye"
    assert rig.sight.blind
    rig.resume()
    rig.until("subscribed")
    eventually(lambda: device.next("server/discovery").payload == b"online", what="the greeting")
    assert rig.greetings == [True, False]


def test_what_is_published_with_qos_1_while_a_link_is_paused_waits(rig, device):
    device.subscribe("out/#")
    rig.pause()
    rig.until("paused")
    rig.ref.tell(Publish("out/0", b"lost"))
    rig.ref.tell(Publish("out/1", b"kept", qos=1))
    eventually(lambda: rig.counters.publish_link_down == 1, what="the count of what was dropped")
    rig.resume()
    assert device.next("out/#").payload == b"kept"


def test_the_broker_tells_its_own_figures_with_their_units_and_when_they_were_heard(rig):
    before = rig.runtime.clock.time()
    figures = eventually(
        lambda: rig.board.figures if len(rig.board.figures) > 20 else None, 20, "the figures of the broker"
    )
    assert figures["version"].value.startswith("mosquitto version 2")
    assert isinstance(figures["clients_connected"].value, int)
    assert (figures["uptime"].unit, figures["bytes_received"].unit) == ("s", "B")
    assert all(before - 1 <= figure.heard <= rig.runtime.clock.time() for figure in figures.values())
    assert not rig.board.figures_refused


def test_figures_of_a_connection_before_are_forgotten(mosquitto, rig):
    eventually(lambda: rig.board.figures, 20, "the figures of the broker")
    rig.actor._board.figures = {"old": None}
    rig.ref.tell(Reconnect())
    eventually(lambda: rig.board.figures and "old" not in rig.board.figures, 20, "figures of the new connection")
