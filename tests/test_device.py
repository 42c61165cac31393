"""The actor of one device, in virtual time beside its real subscribers and supervisor."""

from __future__ import annotations

import pytest

from actors import device
from actors.device_messages import Changed
from actors.link.messages import Publish, Replay
from actors.messages import StoreDevice, StorePresence, StoreSensors
from actors.presence import OfflineAfter
from actors.runtime import GuardedFuture
from tests.support.world import Server

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
