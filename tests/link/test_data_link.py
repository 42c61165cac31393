"""The data link against a real Mosquitto: nothing is acknowledged before it is settled, nothing is lost."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from actors.link.messages import PauseOrResume, Publish, Reconnect, Replay
from actors.link.status import LinkState
from actors.messages import Settled, StoreDeadLetter
from tests.link.rig import Rig, running
from tests.support.mqtt import Device
from tests.support.wait import eventually


@pytest.fixture
def rig(mosquitto, tmp_path):
    with running(Rig(mosquitto.url, tmp_path, kind="data")) as rig:
        rig.until_live()
        yield rig


@pytest.fixture
def device(mosquitto):
    with Device(mosquitto.url) as device:
        yield device


def test_a_message_is_delivered_with_all_its_fields(rig, device):
    device.publish("t/1", b"one", qos=1)
    (item,) = rig.wait_items(1)
    assert (item.link, item.topic, item.payload) == ("local.data", "t/1", b"one")
    assert (item.qos, item.retain, item.dup, item.live) == (1, False, False, True)
    assert item.token & 0xFFFF
    assert item.token >> 24 == rig.actor._connection.epoch


def test_an_acknowledged_message_does_not_come_again(mosquitto, tmp_path, rig, device):
    device.publish("t/1", b"one")
    rig.settle(rig.wait_items(1))
    eventually(lambda: rig.counters.acknowledged, what="the acknowledgement")
    rig.ref.tell(Reconnect())
    eventually(lambda: rig.counters.connections == 2, what="the second connection")
    rig.until_live()
    device.publish("t/2", b"two")
    eventually(lambda: b"two" in rig.subscriber.payloads, what="the second message")
    assert rig.subscriber.payloads == [b"one", b"two"]


def test_a_killed_link_gets_what_was_not_settled_again_with_dup_set(rig, device):
    device.publish("t/1", b"one")
    (first,) = rig.wait_items(1)
    rig.runtime.kill(rig.ref)
    rig.start()
    _, again = rig.wait_items(2)
    assert (again.payload, again.dup, again.live) == (b"one", True, False)
    assert again.token != first.token


def test_a_settlement_of_an_earlier_connection_acknowledges_nothing(rig, device):
    device.publish("t/1", b"one")
    (first,) = rig.wait_items(1)
    rig.ref.tell(Reconnect())
    rig.wait_items(2)
    rig.settle([first])
    eventually(lambda: rig.counters.settled_void, what="the void settlement")
    assert rig.counters.acknowledged == 0
    assert rig.counters.voided == 1


def test_a_retained_message_is_not_live(mosquitto, tmp_path, device):
    device.publish("t/kept", b"old", retain=True)
    with running(Rig(mosquitto.url, tmp_path, kind="data")) as rig:
        (item,) = rig.wait_items(1)
        assert (item.retain, item.live) == (True, False)


def test_a_resumed_session_gets_no_retained_message_again(rig, device):
    device.publish("t/kept", b"old", retain=True)
    rig.settle(rig.wait_items(1))
    eventually(lambda: rig.counters.acknowledged, what="the acknowledgement")
    rig.ref.tell(Reconnect())
    eventually(lambda: rig.counters.connections == 2, what="the second connection")
    rig.until_live()
    assert len(rig.subscriber.items) == 1


def test_a_backlog_is_not_live_until_the_marker_has_come_back(mosquitto, tmp_path, device):
    rig = Rig(mosquitto.url, tmp_path, kind="data")
    with running(rig):
        rig.until_live()
    for number in range(50):
        device.publish(f"t/{number}", b"late")
    with running(rig):
        rig.until_live()
        device.publish("t/now", b"fresh")
        items = rig.wait_items(51)
        assert [item.live for item in items] == [False] * 50 + [True]


def test_a_dead_broker_is_noticed_and_the_link_returns_with_its_session(mosquitto, rig, device):
    mosquitto.stop()
    eventually(lambda: rig.sight.changes[-1] == "lost", what="blindness")
    mosquitto.start()
    rig.until_live()
    assert rig.sight.changes == ["regained", "lost", "regained"]
    assert rig.board.status.reconnects == 1
    with Device(mosquitto.url) as other:
        other.publish("t/after", b"back")
    rig.wait_items(1)


def test_the_link_stops_reading_when_its_ledger_is_full_and_resumes(mosquitto, tmp_path, device):
    rig = Rig(mosquitto.url, tmp_path, kind="data", limit_bytes=20_000)
    with running(rig):
        rig.until_live()
        for number in range(40):
            device.publish(f"t/{number}", b"x" * 2000)
        rig.until("congested")
        assert rig.sight.changes == ["regained", "lost"]
        settled = 0
        while settled < 40:
            items = rig.wait_items(settled + 1)
            rig.settle(items[settled:])
            settled = len(items)
        rig.until_live()
        assert [item.topic for item in rig.subscriber.items] == [f"t/{number}" for number in range(40)]
        assert rig.counters.congestions >= 1
        eventually(lambda: rig.counters.acknowledged == 40, what="all acknowledgements")


@pytest.fixture
def narrow(mosquitto, tmp_path):
    """A link that stops reading with the first delivery."""
    with running(Rig(mosquitto.url, tmp_path, kind="data", limit_bytes=100)) as made:
        yield made.until_live()


def test_a_congested_link_can_still_reconnect(narrow, device):
    device.publish("t/1", b"one")
    narrow.until("congested")
    narrow.ref.tell(Reconnect())
    eventually(lambda: narrow.counters.connections == 2, what="the second connection")
    narrow.until("congested")


def test_a_link_that_may_read_again_sees_nothing_before_it_is_connected_again(narrow, device, monkeypatch):
    monkeypatch.setattr("actors.link.connection.compute_backoff", lambda *_args, **_kwargs: 2.0)
    looks = []
    narrow.sight.on_change = lambda sight: looks.append((sight.blind, narrow.actor._connection.state.value))
    device.publish("t/1", b"one")
    items = narrow.wait_items(1)
    narrow.until("congested")
    narrow.actor.sever()
    narrow.settle(items)  # its acknowledgement finds the connection broken
    narrow.until("backing_off")
    eventually(lambda: narrow.counters.connections == 2, what="the second connection")
    narrow.settle(narrow.wait_items(2)[1:])
    narrow.until_live()

    assert {state for blind, state in looks if not blind} == {"subscribed"}


def test_settlements_are_acknowledged_while_congested(narrow, device):
    device.publish("t/1", b"one")
    items = narrow.wait_items(1)
    narrow.until("congested")
    narrow.settle(items)
    eventually(lambda: narrow.counters.acknowledged == 1, what="the acknowledgement")


def test_an_operator_pauses_a_link_and_the_broker_queues_until_it_is_resumed(rig, device):
    rig.pause()
    rig.until("paused")
    device.publish("t/1", b"while paused")
    assert rig.sight.changes == ["regained", "lost"]
    rig.resume()
    (item,) = rig.wait_items(1)
    assert not item.live
    rig.until_live()
    assert rig.sight.changes == ["regained", "lost", "regained"]


def test_what_was_not_settled_when_a_link_was_paused_comes_again(rig, device):
    device.publish("t/1", b"one")
    (before,) = rig.wait_items(1)
    rig.pause()
    rig.until("paused")
    rig.settle([before])  # it was stored meanwhile, and cannot be acknowledged any more
    rig.resume()
    rig.until_live()
    (_, again) = rig.wait_items(2)
    assert (again.payload, again.dup) == (b"one", True)
    rig.settle([again])
    eventually(lambda: rig.counters.acknowledged == 1, what="the acknowledgement")


def test_a_paused_link_connects_for_nothing_but_a_resume(rig):
    rig.pause()
    rig.until("paused")
    rig.ref.tell(Reconnect())
    rig.ref.tell(PauseOrResume())  # said twice
    rig.settle([])
    eventually(rig.actor.actor_inbox.empty, what="all of it is handled")
    assert rig.state == "paused"
    assert rig.counters.connections == 1
    rig.resume()
    rig.until("subscribed")
    assert rig.counters.connections == 2


def test_a_link_that_crashed_while_it_was_paused_stays_paused(rig, device):
    rig.pause()
    rig.until("paused")
    rig.actor.each_round = lambda _now: 1 / 0
    eventually(lambda: not rig.ref.is_alive(), what="the crash")
    rig.start()
    device.publish("t/1", b"while paused")
    eventually(lambda: rig.board.status.state is LinkState.PAUSED, what="the new incarnation's word")
    assert rig.counters.connections == 1
    rig.resume()
    rig.wait_items(1)


def test_a_link_is_paused_between_two_attempts(mosquitto, rig):
    mosquitto.stop()
    rig.until("backing_off")
    rig.pause()
    rig.until("paused")
    assert rig.board.status.last_error == ""
    mosquitto.start()
    rig.resume()
    rig.until_live()


def test_a_replay_tells_what_is_unresolved_in_order(rig, device):
    for number in range(5):
        device.publish(f"t/{number}", b"x")
    items = rig.wait_items(5)
    rig.settle([items[1], items[3]])
    rig.ref.tell(Replay("somebody else"))
    rig.ref.tell(Replay("sub"))
    again = rig.wait_items(8)[5:]
    assert again == [items[0], items[2], items[4]]


def test_that_nothing_is_unresolved_is_shown_at_once_and_never_late(mosquitto, tmp_path, device, monkeypatch):
    monkeypatch.setattr("actors.link.link.STATUS_EVERY", 3600.0)
    with running(Rig(mosquitto.url, tmp_path, kind="data")) as rig:
        rig.until_live()
        device.publish("t/1", b"one")
        items = rig.wait_items(1)
        eventually(lambda: rig.board.status.unresolved == 1, what="one is unresolved")
        rig.settle(items)
        eventually(lambda: rig.board.status.unresolved == 0, what="none is unresolved")


def test_what_nothing_settles_is_dead_lettered_as_stuck_and_then_acknowledged(mosquitto, tmp_path, device):
    rig = Rig(mosquitto.url, tmp_path, kind="data", stuck_after=0.2)
    with running(rig):
        rig.until_live()
        device.publish("t/1", b"forgotten")
        (item,) = rig.wait_items(1)
        (letter,) = eventually(lambda: rig.registry.dead_letters, what="the dead letter")
        assert isinstance(letter, StoreDeadLetter)
        assert (letter.reason, letter.token, letter.payload) == ("stuck", item.token, b"forgotten")
        rig.ref.tell(Settled([letter.token]))
        eventually(lambda: rig.counters.acknowledged == 1, what="the acknowledgement")


def test_filters_no_longer_wanted_are_unsubscribed_and_their_backlog_is_dead_lettered(mosquitto, tmp_path, device):
    with running(Rig(mosquitto.url, tmp_path, kind="data", filters=("t/#", "old/#"))) as before:
        before.until_live()
    device.publish("old/1", b"nobody wants me")
    rig = Rig(mosquitto.url, tmp_path, kind="data", filters=("t/#",))
    with running(rig):
        rig.until_live()
        (letter,) = eventually(lambda: rig.registry.dead_letters, what="the dead letter")
        assert (letter.reason, letter.topic) == ("unrouted", "old/1")
        rig.ref.tell(Settled([letter.token]))
        eventually(
            lambda: json.loads(rig.filters_file.read_text()) == ["t/#"],
            what="the remembered filters",
        )
        device.publish("old/2", b"unsubscribed")
        device.publish("t/1", b"wanted")
        rig.wait_items(1)
        assert rig.counters.unrouted == 1


def test_the_watermark_advances_although_nothing_arrives(rig):
    for _ in range(3):
        before = rig.sight.handled_until_at("sub")
        eventually(lambda before=before: rig.sight.handled_until_at("sub") > before, what="a later watermark")
    assert not rig.subscriber.told


def test_a_subscriber_with_work_to_do_is_told_the_watermark_behind_it(rig, device):
    device.publish("t/1", b"one")
    eventually(lambda: len(rig.subscriber.told) >= 3, what="watermarks")
    first, *rest = rig.subscriber.told
    assert [len(message.items) for message in (first, *rest)] == [1] + [0] * len(rest)
    marks = [message.handled_until_at for message in rig.subscriber.told]
    assert marks == sorted(marks)
    assert [message.number for message in rig.subscriber.told] == list(range(1, len(marks) + 1))


def test_thousands_of_messages_arrive_in_batches_in_order_and_are_acknowledged(rig, device):
    for number in range(3000):
        device.client.publish("t/n", str(number), 1)
    items = rig.wait_items(3000, timeout=20)
    assert [int(item.payload) for item in items] == list(range(3000))
    rig.settle(items)
    eventually(lambda: rig.counters.acknowledged == 3000, what="all acknowledgements")
    eventually(lambda: rig.board.status.unresolved == 0, what="an empty ledger")
    assert all(a.rx_us < b.rx_us for a, b in pairwise(items))


def test_a_large_message_arrives_whole(rig, device):
    device.publish("t/big", bytes(range(256)) * 8192)
    assert rig.wait_items(1)[0].payload == bytes(range(256)) * 8192


def test_publications_go_out_through_a_data_link_too(rig, device):
    device.subscribe("out/#")
    rig.ref.tell(Publish("out/1", b"hello", qos=1))
    assert device.next("out/#").payload == b"hello"
