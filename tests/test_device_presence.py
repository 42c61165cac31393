"""The presence of one device, in virtual time beside its real subscribers and supervisor: silence, sight, wills."""

from __future__ import annotations

import pytest

from actors import device
from actors.device_messages import Changed
from actors.messages import Deliveries
from tests.support.world import Server, known

PATIENCE = 60.0
"""Seconds of silence that make a Pi offline."""
GRACE = 1.0
"""Seconds within which a verdict is due."""


@pytest.fixture
def server() -> Server:
    return Server()


def change_patience(server: Server, seconds: float) -> None:
    server.devices.tell("pi-1", Changed({"offline_after": seconds}))
    server.run()


# Silence


def test_silence_makes_a_device_offline_once_and_within_a_second_of_its_time(server):
    server.beat()
    heard_at = server.clock.monotonic()

    server.advance(PATIENCE - 0.1)
    assert server.presence() == "online"
    while server.presence() == "online":
        server.advance(0.1)
    assert PATIENCE <= server.clock.monotonic() - heard_at <= PATIENCE + GRACE

    server.advance(10 * PATIENCE)
    assert server.transitions == [("online", "heartbeat"), ("offline", "timeout")]
    assert len(server.fleet) == 1, "the record is kept"


@pytest.mark.parametrize(
    ("topic", "body", "patience"),
    [
        ("plant/datalogger/monstro/1/heartbeat", {"serial_number": "A"}, 30.0),
        ("plant/gateway/7/heartbeat", {"serial_number": "A"}, 30.0),
        ("devices/heartbeat", {"device_id": "A"}, 60.0),
        ("devices/announce", {"device_id": "A", "device_type": "sensor"}, 180.0),
    ],
)
def test_each_kind_of_device_has_its_own_patience(server, topic, body, patience):
    server.say(topic, body)
    server.advance(patience - 0.1)
    assert server.presence("A") == "online"
    server.advance(0.1 + GRACE)
    assert server.presence("A") == "offline"


def test_a_device_that_beats_in_time_stays_online_for_ever(server):
    for _ in range(20):
        server.beat()
        server.advance(PATIENCE / 2)

    assert server.transitions == [("online", "heartbeat")]


def test_a_beating_device_has_one_timer_however_often_its_patience_is_changed(server):
    server.beat()
    for seconds in range(100, 10, -1):
        change_patience(server, float(seconds))
    for _ in range(20):
        server.beat()
        server.advance(10.0)

    assert server.presence() == "online"
    assert len(server.runtime.timers) == 1


def test_a_heartbeat_that_waits_in_the_mailbox_when_the_deadline_comes_prevents_the_verdict(server):
    server.beat()
    server.advance(PATIENCE - 0.2)
    ref = server.devices.get("pi-1")
    late = server.delivery("devices/heartbeat", {"device_id": "pi-1"})
    server.advance(0.2)

    # The deadline is told first, and the watermark has moved: only the second look at the mailbox can save it.
    server.clock.advance(0.25)
    server.runtime.timers.fire_due()
    server.services.get("subscriber.pi").tell(Deliveries("local.control", [late], server.clock.monotonic()))
    turns = [server.runtime.dispatcher._turns.pop() for _ in range(2)]
    server.runtime.dispatcher._turns += turns  # the subscriber's turn comes before the device's
    server.run()

    assert ref.is_alive()
    assert server.transitions == [("online", "heartbeat")]


def test_a_heartbeat_that_the_subscriber_has_not_handled_yet_prevents_the_verdict(server):
    server.beat()
    server.advance(PATIENCE - 1.0)
    server.stalled.add("subscriber.pi")
    beat = server.delivery("devices/heartbeat", {"device_id": "pi-1"})
    server.advance(10.0)
    assert server.presence() == "online"

    server.stalled.clear()
    server.hand(beat)
    server.report()
    server.advance(GRACE)
    assert server.transitions == [("online", "heartbeat")]
    server.advance(PATIENCE)
    assert server.transitions[-1] == ("offline", "timeout")


def test_devices_that_wait_for_a_stalled_subscriber_look_less_and_less_often(server):
    server.beat()
    server.stalled.add("subscriber.pi")
    server.advance(PATIENCE + 10.0)

    looks = 0
    for _ in range(300):
        due = server.runtime.timers.next_at()
        server.advance(0.2)
        looks += server.runtime.timers.next_at() != due
    assert looks <= 60 / device.LONGEST_LOOK + 1


# Sight


def test_nobody_goes_offline_while_the_link_is_blind(server):
    server.beat()
    server.lose()
    server.advance(100 * PATIENCE)

    assert server.transitions == [("online", "heartbeat")]
    assert server.presence() == "unknown"
    assert server.fleet.get("pi-1").reason == "link_lost"


def test_nobody_goes_offline_if_sight_is_lost_between_the_deadline_and_the_verdict(server):
    server.beat()
    server.advance(PATIENCE + 0.2)
    assert server.sights["local"].control.handled_until_at("subscriber.pi") >= server.record().heard_at + PATIENCE
    server.lose()
    server.advance(10.0)

    assert server.transitions == [("online", "heartbeat")]


def test_after_sight_is_regained_a_full_timeout_passes_before_the_verdict(server):
    server.beat()
    server.lose()
    server.advance(PATIENCE * 1.5)
    server.regain()

    server.advance(PATIENCE - 0.1)
    assert server.presence() == "unknown"
    server.advance(0.1 + GRACE)
    assert server.transitions[-1] == ("offline", "timeout")


def test_a_blink_makes_a_device_unknown_until_it_is_heard_again(server):
    server.beat()
    server.lose()
    server.advance(1.0)
    server.regain()
    assert server.presence() == "unknown"

    server.forget()
    server.beat()
    assert server.presence() == "online"
    assert [view.presence for view, _ in server.shown] == ["online"]
    assert server.transitions == [], "nothing was stored: it had never left"


def test_a_device_that_only_measures_is_judged_by_the_data_link(server):
    server.say("devices/pi-1/readings", {"t": 1})
    server.lose("local.control")
    assert server.presence() == "online"

    server.lose("local.data")
    assert server.presence() == "unknown"
    server.regain("local.data")
    server.advance(PATIENCE + GRACE)
    assert server.transitions[-1] == ("offline", "timeout")


def test_a_device_that_beats_is_judged_by_its_beats_though_the_data_link_is_paused(server):
    server.say("devices/pi-1/readings", {"t": 1})
    server.beat()
    server.lose("local.data")
    assert server.presence() == "online"
    server.advance(PATIENCE + GRACE)
    assert server.presence() == "offline"


def test_when_the_process_itself_was_stopped_no_silence_counts_from_before(server):
    server.beat()
    server.advance(PATIENCE - 1.0)
    server.clock.advance(3600.0)  # nothing ran: SIGSTOP
    for sight in server.links.values():
        sight.slept(server.clock.monotonic())
    server.report()

    server.advance(PATIENCE - 0.2)
    assert server.presence() == "online"
    server.advance(0.2 + GRACE)
    assert server.presence() == "offline"


# Start-up


def test_a_device_stored_as_online_is_unknown_at_start_until_it_is_heard():
    server = Server(known(presence="online", since_us=5, reason="heartbeat"))
    assert server.presence() == "unknown"
    assert server.fleet.get("pi-1").reason == "startup"

    server.beat()
    assert server.presence() == "online"
    assert server.record().snapshot.since_us == 5
    assert server.transitions == []


def test_a_device_stored_as_online_goes_offline_after_a_full_timeout_of_sight():
    server = Server(known(presence="online"), sees=False)
    server.advance(PATIENCE * 3)
    server.regain()
    server.advance(PATIENCE - 0.2)
    assert server.presence() == "unknown"
    server.advance(0.2 + GRACE)
    assert server.transitions == [("offline", "timeout")]


def test_a_device_stored_as_offline_stays_so_with_its_old_since_and_no_event():
    server = Server(known(presence="offline", since_us=5, reason="timeout"))
    server.advance(PATIENCE * 2)

    view = server.fleet.get("pi-1")
    assert (view.presence, view.since_us, view.reason) == ("offline", 5, "timeout")
    assert server.writes == []


# Last wills and sessions


def test_the_will_of_the_current_session_counts(server):
    server.beat(session="two")
    server.say("devices/status", {"device_id": "pi-1", "status": "offline", "session": "two"})

    assert server.transitions[-1] == ("offline", "will")


def test_the_will_of_a_connection_that_was_replaced_says_nothing(server):
    server.beat(session="one")
    server.beat(session="two")
    server.say("devices/status", {"device_id": "pi-1", "status": "offline", "session": "one"})

    assert server.presence() == "online"


def test_a_will_without_a_session_counts_and_the_next_live_message_revokes_it(server):
    server.beat(session="two")
    server.say("devices/pi-1/status", b"offline")
    assert server.presence() == "offline"

    server.beat(session="two")
    assert server.transitions == [("online", "heartbeat"), ("offline", "will"), ("online", "heartbeat")]
    server.advance(PATIENCE + GRACE)
    assert server.transitions[-1] == ("offline", "timeout")


def test_a_goodbye_is_told_from_a_will(server):
    server.beat()
    server.say("devices/status", {"device_id": "pi-1", "status": "offline", "reason": "goodbye"})

    assert server.transitions[-1] == ("offline", "goodbye")


def test_will_and_heartbeat_of_one_batch_are_taken_in_their_order(server):
    server.beat()
    will = server.delivery("devices/pi-1/status", b"offline")
    beat = server.delivery("devices/heartbeat", {"device_id": "pi-1"})
    server.hand(will, beat)
    assert server.presence() == "online"

    beat = server.delivery("devices/heartbeat", {"device_id": "pi-1"})
    server.hand(beat, server.delivery("devices/pi-1/status", b"offline"))
    assert server.presence() == "offline"


# Evidence


@pytest.mark.parametrize("topic", ["devices/heartbeat", "devices/announce", "devices/pi-1/status"])
def test_a_retained_message_of_an_unknown_device_creates_nothing(server, topic):
    server.say(topic, {"device_id": "pi-1"}, retain=True)

    assert len(server.fleet) == 0
    assert server.writes == []


def test_a_retained_message_is_no_evidence_of_life_and_no_news():
    server = Server(known(ip_address="10.0.0.1"))
    server.say("devices/announce", {"device_id": "pi-1", "ip_address": "10.0.0.2"}, retain=True)
    server.say("devices/heartbeat", {"device_id": "pi-1", "ip_address": "10.0.0.2"}, retain=True)

    assert server.presence() == "offline"
    assert server.record().snapshot.ip_address == "10.0.0.1"


def test_a_retained_will_does_not_make_a_device_offline(server):
    server.beat()
    server.say("devices/pi-1/status", b"offline", retain=True)

    assert server.presence() == "online"


def test_the_backlog_is_stored_but_is_no_evidence_of_life():
    server = Server(known())
    server.say("devices/pi-1/readings", {"t": 21.5}, live=False)

    assert [reading.measures for reading in server.readings] == ['{"t":21.5}']
    assert server.presence() == "offline"
    assert server.transitions == []


def test_a_retained_reading_is_stored_but_is_no_evidence_of_life():
    server = Server(known())
    server.say("devices/pi-1/readings", {"t": 21.5}, retain=True)

    assert len(server.readings) == 1
    assert server.presence() == "offline"


def test_a_reading_that_a_link_tells_again_does_not_bring_back_a_device_that_has_gone(server):
    reading = server.say("devices/pi-1/readings", {"t": 1})
    server.advance(PATIENCE + GRACE)
    server.hand(reading)

    assert server.transitions == [("online", "data"), ("offline", "timeout")]
    assert len(server.readings) == 2, "the registry tells that it knows it"
