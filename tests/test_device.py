"""The actor of one device, in virtual time beside its real subscribers and supervisor."""

from __future__ import annotations

import pytest

from actors import device
from actors.device_messages import Changed
from actors.link.messages import Publish, Replay
from actors.messages import Deliveries, StoreDevice, StorePresence, StoreSensors
from actors.presence import OfflineAfter
from actors.runtime import GuardedFuture
from tests.support.world import Server, known

PATIENCE = 60.0
"""Seconds of silence that make a Pi offline."""
GRACE = 1.0
"""Seconds within which a verdict is due."""


@pytest.fixture
def server() -> Server:
    return Server()


def change(server: Server, serial: str = "pi-1", **changes):
    future = GuardedFuture()
    server.devices.tell(serial, Changed(changes, future))
    server.run()
    return future


# Discovery


def test_the_first_heartbeat_creates_the_device_and_makes_it_online(server):
    beat = server.beat(ip_address="10.0.0.7")

    record, *after = server.device_writes
    assert (record.serial, record.kind, record.family, record.broker) == ("pi-1", "raspberry_pi", "pi", "local")
    assert (record.first_seen_us, record.presence) == (beat.rx_us, "online")
    assert after[-1].ip_address == "10.0.0.7"
    assert server.transitions == [("online", "heartbeat")]
    assert server.events == [("discovered", "pi-1")]
    assert server.presence() == "online"
    assert isinstance(server.writes[0], StoreDevice), "all writes of a device come after its record"


def test_a_device_of_which_only_a_heartbeat_is_known_is_asked_alone_to_announce_itself(server):
    server.beat()
    server.beat()

    asked = [message for message in server.told["local.control"] if isinstance(message, Publish)]
    assert [(ask.topic, ask.payload) for ask in asked] == [
        ("server/requests", b'{"request":"announce","device_id":"pi-1"}')
    ]


def test_a_device_that_announces_itself_is_not_asked_to(server):
    server.say("devices/announce", {"device_id": "pi-1", "hostname": "pi"})

    assert server.told["local.control"] == []
    assert server.transitions == [("online", "announce")]


def test_a_site_device_gets_kind_label_and_place_from_its_topic(server):
    server.say("plant/datalogger/monstro/1/heartbeat", {"serial_number": "TEST123"})
    server.say("plant/gateway/7/heartbeat", {"serial_number": "GW7"})

    logger, gateway = server.record("TEST123").snapshot, server.record("GW7").snapshot
    assert (logger.kind, logger.label, logger.site, logger.type) == ("datalogger", "monstro/1", "plant", "monstro")
    assert (gateway.kind, gateway.label, gateway.site, gateway.device_id) == ("gateway", "Gateway 7", "plant", "7")


def test_the_first_events_that_the_page_gets_say_online_and_never_unknown(server):
    server.beat()

    assert {view.presence for view, _ in server.shown} == {"online"}


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
        change(server, offline_after=float(seconds))
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


# What is known of it


def test_a_new_address_is_stored_and_the_same_one_is_not(server):
    server.beat(ip_address="10.0.0.1")
    server.forget()
    server.beat(ip_address="10.0.0.1")
    assert server.writes == []

    server.beat(ip_address="10.0.0.2")
    assert [snapshot.ip_address for snapshot in server.device_writes] == ["10.0.0.2"]


def test_an_announcement_fills_the_record(server):
    said = {
        "device_id": "817994ccfe14",
        "ip_address": "192.168.1.100",
        "hostname": "raspberrypi",
        "mac_address": "2c:cf:67:6c:45:f2",
        "device_type": "raspberry_pi",
        "services": {"ssh": {"port": 22, "status": "available"}},
        "system_info": {"uptime_hours": 24.5},
        "timestamp": "2025-08-22T15:30:00Z",
        "more": {"is": ["let", "through"]},
    }
    server.say("devices/announce", said)

    snapshot = server.device_writes[-1]
    assert (snapshot.hostname, snapshot.mac_address, snapshot.label) == (
        "raspberrypi",
        "2c:cf:67:6c:45:f2",
        "raspberrypi",
    )
    assert (snapshot.services, snapshot.system_info) == (
        b'{"ssh":{"port":22,"status":"available"}}',
        b'{"uptime_hours":24.5}',
    )


@pytest.mark.parametrize(
    ("told", "kind"),
    [("sensor", "sensor"), ("iot-sensor", "sensor"), ("Industrial Controller", "other"), ("controller", "controller")],
)
def test_the_announced_type_decides_the_kind_of_a_device_of_the_shared_family(server, told, kind):
    server.say("devices/announce", {"device_id": "pi-1", "device_type": told})

    assert (server.record().snapshot.kind, server.record().snapshot.type) == (kind, told)


def test_the_first_family_that_a_serial_speaks_fixes_its_kind(server):
    server.say("plant/gateway/7/heartbeat", {"serial_number": "A"})
    server.say("devices/announce", {"device_id": "A", "device_type": "raspberry_pi", "hostname": "a"})
    server.say("plant/datalogger/monstro/1/heartbeat", {"serial_number": "A"})

    snapshot = server.record("A").snapshot
    assert (snapshot.kind, snapshot.family, snapshot.type) == ("gateway", "gateway", "gateway")
    assert (snapshot.device_id, snapshot.site) == ("7", "plant")
    assert snapshot.hostname == "a"


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("plant/datalogger/monstro/2/heartbeat", ("plant", "monstro", "2", "monstro/2")),
        ("plant/datalogger/soil/1/heartbeat", ("plant", "soil", "1", "soil/1")),
        ("field/datalogger/monstro/1/heartbeat", ("field", "monstro", "1", "monstro/1")),
        ("field/datalogger/monstro/1/input", ("field", "monstro", "1", "monstro/1")),
    ],
)
def test_a_serial_that_moves_to_another_id_type_or_site_is_updated(server, topic, expected):
    server.say("plant/datalogger/monstro/1/heartbeat", {"serial_number": "A"})
    server.forget()
    server.say(topic, {"serial_number": "A"})

    (snapshot,) = server.device_writes
    assert (snapshot.site, snapshot.type, snapshot.device_id, snapshot.label) == expected


def test_a_gateway_that_stays_where_it_is_writes_nothing(server):
    server.say("plant/gateway/7/heartbeat", {"serial_number": "A"})
    server.forget()
    server.say("plant/gateway/7/heartbeat", {"serial_number": "A"})

    assert server.writes == []


def test_an_operators_label_stays_when_the_device_moves(server):
    server.say("plant/gateway/7/heartbeat", {"serial_number": "A"})
    change(server, "A", label="the one by the door")
    server.say("plant/gateway/8/heartbeat", {"serial_number": "A"})

    assert server.record("A").snapshot.label == "the one by the door"


def test_an_operators_label_stays_when_the_hostname_changes(server):
    server.say("devices/announce", {"device_id": "pi-1", "hostname": "one"})
    change(server, label="kitchen")
    server.say("devices/announce", {"device_id": "pi-1", "hostname": "two"})

    assert (server.record().snapshot.label, server.record().snapshot.hostname) == ("kitchen", "two")


# Operators


def test_a_change_is_published_stored_and_answered(server):
    server.beat()
    server.forget()
    future = change(server, label="kitchen")

    assert future.get(timeout=0) is None
    assert [snapshot.label for snapshot in server.device_writes] == ["kitchen"]
    assert [(view.snapshot.label, facts) for view, facts in server.shown] == [("kitchen", True)]


def test_a_patience_that_was_shortened_counts_at_once(server):
    server.beat()
    server.advance(10.0)
    change(server, offline_after=5.0)
    server.advance(GRACE)

    assert server.transitions[-1] == ("offline", "timeout")


def test_a_patience_that_was_lengthened_counts_at_once(server):
    server.beat()
    change(server, offline_after=600.0)
    server.advance(599.0)
    assert server.presence() == "online"
    server.advance(1.0 + GRACE)
    assert server.presence() == "offline"


def test_a_move_to_a_site_with_less_patience_counts_at_once():
    server = Server(policy=OfflineAfter(sites={"field": 300.0, "plant": 10.0}))
    server.say("field/gateway/7/heartbeat", {"serial_number": "A"})
    server.say("plant/gateway/7/heartbeat", {"serial_number": "A"})
    server.advance(10.0 + GRACE)

    assert server.presence("A") == "offline"


# What is written how often


def test_last_seen_of_a_device_that_goes_on_is_written_every_five_minutes_at_most(server):
    server.beat()
    server.forget()
    for _ in range(61):
        server.advance(10.0)
        server.beat()

    times = [at for _, at in server.seen]
    assert len(times) == 2
    assert times[1] - times[0] >= 300_000_000


def test_last_seen_is_written_although_every_message_changes_something(server):
    server.beat()
    server.forget()
    for load in range(40):
        server.advance(10.0)
        server.say("devices/status", {"device_id": "pi-1", "system_info": {"load": load}})

    assert len(server.seen) == 1


def test_figures_that_change_all_the_time_are_shown_at_once_and_stored_seldom(server):
    server.say("devices/status", {"device_id": "pi-1", "system_info": {"load": -1}})
    server.advance(1.0)
    server.forget()
    for load in range(40):
        server.say("devices/status", {"device_id": "pi-1", "system_info": {"load": load}})
        server.advance(10.0)

    assert len(server.device_writes) == 1
    assert len([view for view, facts in server.shown if facts]) == 40
    assert server.record().snapshot.system_info == b'{"load":39}'


def test_a_number_that_appears_for_the_first_time_is_listed_once(server):
    server.say("devices/pi-1/readings", {"t": 1, "deep": {"er": 2}})
    server.say("devices/pi-1/readings", {"t": 2, "h": 3})
    server.say("devices/pi-1/readings", {"t": 2})

    assert server.sensors == [("pi-1", ["deep.er", "t"]), ("pi-1", ["h"])]


def test_a_device_that_invents_names_has_a_bounded_list(server):
    for start in range(0, 2 * device.MOST_SENSORS, 200):
        server.say("devices/pi-1/readings", {f"n{number}": 1 for number in range(start, start + 200)})

    assert len(server.record().sensors) == device.MOST_SENSORS
    assert sum(len(names) for _, names in server.sensors) == device.MOST_SENSORS
    assert len(server.readings) == 10, "its readings are stored all the same"


def test_every_reading_is_stored_after_its_device_and_its_sensors(server):
    server.say("plant/datalogger/monstro/1/input", {"serial_number": "A", "t": 1})

    kinds = [type(write) for write in server.writes]
    assert kinds.index(StoreDevice) < kinds.index(StoreSensors) < kinds.index(type(server.readings[0]))
    assert server.transitions == [("online", "data")]


# Crashes


def test_a_crash_keeps_the_presence_and_does_not_put_off_the_verdict(server):
    server.beat()
    server.advance(PATIENCE - 1.0)
    server.kill("pi-1")
    server.advance(0.5)
    assert server.presence() == "online"
    assert server.devices.get("pi-1").is_alive()

    server.advance(0.5 + GRACE)
    assert server.transitions == [("online", "heartbeat"), ("offline", "timeout")]


def test_messages_that_came_during_a_crash_are_handled_after_it(server):
    server.beat()
    server.runtime.kill(server.devices.get("pi-1"))
    server.beat(ip_address="10.0.0.9")
    server.advance(1.0)

    assert server.record().snapshot.ip_address == "10.0.0.9"


def test_a_subscriber_that_starts_asks_the_data_links_for_what_its_predecessor_left(server):
    server.forget()
    server.kill("subscriber.pi")
    server.advance(1.0)

    assert server.told["local.data"] == [Replay("subscriber.pi")]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_in_which_actors_take_turns_changes_nothing_that_is_stored(seed):
    server = Server(seed=seed)
    for second in range(100):
        if second < 40:
            server.beat(f"pi-{second % 3}")
        server.advance(1.0)

    assert sorted(write.serial for write in server.stored(StorePresence)) == sorted(["pi-0", "pi-1", "pi-2"] * 2)
    assert server.fleet.counts() == {"total": 3, "online": 0, "offline": 3, "unknown": 0}


def test_a_device_that_changes_its_broker_is_judged_by_the_new_one():
    server = Server(brokers=("local", "far"))
    server.beat()
    server.say("devices/heartbeat", {"device_id": "pi-1"}, link="far.control")
    assert server.device_writes[-1].broker == "far"

    server.lose("local.control", "local.data")
    assert server.presence() == "online"
    server.lose("far.control")
    assert server.presence() == "unknown"
    assert server.fleet.counts() == {"total": 1, "online": 0, "offline": 0, "unknown": 1}
