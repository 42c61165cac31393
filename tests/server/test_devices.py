"""The supervisor of all devices: discovery, crashes, quarantine, removal, and its own restart."""

from __future__ import annotations

import json
import logging

import pytest

from actors.device import DeviceActor
from actors.device_messages import Changed
from actors.fleet_pages import find_devices
from actors.messages import DeleteDevice, Deliveries, StoreDevice, StoreReading
from actors.runtime import GuardedFuture
from supervisor import ResumeChild
from supervisor.server import devices
from supervisor.server.devices import CreateDevice, RemoveDevice
from tests.support.world import Server, known

READINGS = "devices/{}/readings"


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Crashes are wanted here; their tracebacks are not."""
    caplog.set_level(logging.CRITICAL, logger="supervisor")


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def fragile(monkeypatch):
    """Make devices fail in a way that nobody foresaw: names of serials, each with the number of times."""
    budget: dict[str, int] = {}
    handle = DeviceActor.on_receive

    def fail(self, message):
        if budget.get(self._serial, 0) > 0 and not isinstance(message, Changed):
            budget[self._serial] -= 1
            raise ZeroDivisionError(f"unforeseen in {self._serial}")
        return handle(self, message)

    monkeypatch.setattr(DeviceActor, "on_receive", fail)
    return budget


def ask(server, message_of):
    """Ask the supervisor and return its answer."""
    future = GuardedFuture()
    server.services.tell("devices", message_of(future))
    server.run()
    return future.get(timeout=0)


def crash(server, fragile, serial, times):
    """Crash a device so often, in quick succession, by readings that are told to it."""
    fragile[serial] = times
    for number in range(times):
        server.say(READINGS.format(serial), {"n": number})
        server.advance(5.0)


def _readings(server, serial, numbers):
    items = [server.delivery(READINGS.format(serial), {"n": number}) for number in numbers]
    return Deliveries("local.data", items, server.clock.monotonic())


# Discovery


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("devices/heartbeat", {"device_id": "A"}),
        ("devices/announce", {"device_id": "A"}),
        ("devices/A/status", b"offline"),
        (READINGS.format("A"), {"t": 1}),
    ],
)
def test_whatever_a_device_says_first_creates_it_once(server, topic, payload):
    first = server.delivery(topic, payload)
    server.hand(first, server.delivery(topic, payload))

    assert server.events == [("discovered", "A")]
    assert len(server.fleet) == 1
    assert server.dead_letters == []


def test_a_thousand_devices_that_speak_at_once_are_all_there_in_one_batch(server):
    beats = [server.delivery("devices/heartbeat", {"device_id": f"pi-{number}"}) for number in range(1_000)]
    server.hand(*beats)

    assert server.fleet.counts() == {"total": 1_000, "online": 1_000, "offline": 0, "unknown": 0}
    assert len(server.devices) == 1_000


@pytest.mark.parametrize("seed", [None, *range(10)])
def test_what_a_device_never_heard_before_says_is_stored_in_order_however_many_batches_it_comes_in(seed):
    server = Server(seed=seed)
    for start in range(0, 1_000, 20):  # each batch while what was told before is still on its way
        server.services.tell("subscriber.pi", _readings(server, "A", range(start, start + 20)))
        server.runtime.dispatcher.step()
    server.run()

    assert [json.loads(reading.measures)["n"] for reading in server.readings] == list(range(1_000))
    assert "A" in server.devices


def test_what_a_device_says_while_it_is_started_again_is_stored_in_order(server, fragile):
    server.beat("A")
    fragile["A"] = 1
    server.beat("A")
    for start in range(0, 1_000, 20):
        server.services.tell("subscriber.pi", _readings(server, "A", range(start, start + 20)))
        server.runtime.dispatcher.step()
        server.clock.advance(0.01)
        server.runtime.timers.fire_due()
    server.advance(5.0)

    assert [json.loads(reading.measures)["n"] for reading in server.readings] == list(range(1_000))
    assert "A" in server.devices


def test_devices_that_are_all_new_are_in_the_directory_when_their_storm_is_over(server):
    for start in range(0, 2_000, 100):
        beats = [server.delivery("devices/heartbeat", {"device_id": f"pi-{start + n}"}) for n in range(100)]
        server.services.tell("subscriber.pi", Deliveries("local.control", beats, server.clock.monotonic()))
        server.runtime.dispatcher.step()
    server.run()

    assert len(server.devices) == 2_000


def test_a_sender_that_invents_serials_is_refused_at_the_limit(monkeypatch):
    monkeypatch.setattr(devices, "MOST_DEVICES", 3)
    server = Server()
    for number in range(5):
        server.beat(f"pi-{number}")

    assert len(server.fleet) == 3
    assert [(letter.reason, letter.serial) for letter in server.dead_letters] == [
        ("fleet_full", "pi-3"),
        ("fleet_full", "pi-4"),
    ]
    server.beat("pi-0", ip_address="10.0.0.1")
    assert server.record("pi-0").snapshot.ip_address == "10.0.0.1", "those that are known go on"


def test_a_device_can_be_declared_before_it_speaks(server):
    assert ask(server, lambda future: CreateDevice(known("A", label="new", broker=""), future)) is True
    assert ask(server, lambda future: CreateDevice(known("A"), future)) is False

    server.beat("A")
    assert (server.record("A").snapshot.label, server.presence("A")) == ("new", "online")
    assert server.events == []


# Crashes


def test_a_device_that_crashes_once_handles_the_message_after_all(server, fragile):
    server.beat("A")
    fragile["A"] = 1
    server.say(READINGS.format("A"), {"t": 1})
    server.advance(1.0)

    assert len(server.readings) == 1
    assert server.dead_letters == []
    assert server.presence("A") == "online"


def test_a_message_that_crashes_its_device_twice_is_dead_lettered_and_the_rest_go_on(server, fragile):
    server.beat("A")
    fragile["A"] = 2
    first = server.delivery(READINGS.format("A"), {"n": 1})
    server.hand(first, server.delivery(READINGS.format("A"), {"n": 2}))
    server.advance(5.0)

    (letter,) = server.dead_letters
    assert (letter.reason, letter.serial, letter.token) == ("crashed", "A", first.token)
    assert "unforeseen" in letter.detail
    assert [json.loads(reading.measures) for reading in server.readings] == [{"n": 2}]


def test_a_crash_of_one_device_is_nobody_elses(server, fragile):
    server.beat("A")
    server.beat("B")
    before = server.devices.get("B")
    crash(server, fragile, "A", 3)

    assert server.devices.get("B") is before
    assert server.services.get("devices").is_alive()


# Quarantine


def quarantined(server, fragile, serial="A"):
    server.beat(serial)
    server.forget()
    crash(server, fragile, serial, 6)
    assert server.record(serial).snapshot.quarantined


def test_a_device_that_keeps_crashing_is_parked_and_marked(server, fragile):
    quarantined(server, fragile)

    assert ("quarantine", "A") in server.events
    assert server.device_writes[-1].quarantined
    assert "A" not in server.devices
    assert [view.snapshot.quarantined for view, facts in server.shown if facts][-1]


def test_the_readings_of_a_parked_device_are_stored_all_the_same(server, fragile):
    quarantined(server, fragile)
    server.forget()
    delivery = server.say(READINGS.format("A"), {"t": 1})
    server.beat("A")

    assert [(reading.serial, reading.token) for reading in server.readings] == [("A", delivery.token)]
    assert server.dead_letters == []


def test_nobody_claims_to_know_the_presence_of_a_parked_device(server, fragile):
    quarantined(server, fragile)

    assert server.fleet.get("A").presence == "unknown"
    assert server.fleet.counts() == {"total": 1, "online": 0, "offline": 0, "unknown": 1}
    assert server.desk.by_reason["undelivered"] == 0
    server.beat("A")
    assert server.desk.by_reason["undelivered"] == 1

    ask(server, lambda future: ResumeChild(child_id="A", reply_to=future))
    server.beat("A")
    assert server.fleet.get("A").presence == "online"


def test_a_parked_device_that_is_resumed_works_again(server, fragile):
    quarantined(server, fragile)
    ask(server, lambda future: ResumeChild(child_id="A", reply_to=future))
    server.beat("A", ip_address="10.0.0.1")

    assert not server.record("A").snapshot.quarantined
    assert ("resume", "A") in server.events
    assert server.record("A").snapshot.ip_address == "10.0.0.1"


def test_a_change_of_a_parked_device_is_refused_with_a_sentence(server, fragile):
    quarantined(server, fragile)
    future = GuardedFuture()
    server.devices.tell("A", Changed({"label": "x"}, future))
    server.run()

    with pytest.raises(LookupError, match="does not run"):
        future.get(timeout=0)


def test_a_device_that_was_parked_before_a_restart_is_parked_after_it_without_a_new_event():
    server = Server(known("A", quarantined=True), known("B"))

    assert "A" not in server.devices
    assert "B" in server.devices
    assert server.writes == []
    ask(server, lambda future: ResumeChild(child_id="A", reply_to=future))
    assert "A" in server.devices


# Removal


def test_a_device_that_is_removed_is_gone_with_its_mail(server):
    server.beat("A")
    server.forget()
    assert ask(server, lambda future: RemoveDevice("A", future)) is True

    assert "A" not in server.fleet
    assert "A" not in server.devices
    assert server.writes == [DeleteDevice("A")]
    assert ask(server, lambda future: RemoveDevice("A", future)) is False


def test_a_removed_device_that_speaks_again_is_a_new_one(server):
    server.beat("A")
    old = server.record("A")
    ask(server, lambda future: RemoveDevice("A", future))
    server.forget()
    server.beat("A")

    assert server.record("A") is not old
    assert server.events == [("discovered", "A")]
    assert server.presence("A") == "online"


def test_mail_that_waited_for_a_crashed_device_is_not_given_to_its_namesake(server, fragile):
    server.beat("A")
    fragile["A"] = 1
    server.say(READINGS.format("A"), {"n": 1})
    ask(server, lambda future: RemoveDevice("A", future))
    server.forget()
    server.beat("A")
    server.advance(5.0)

    assert server.readings == []
    assert server.sensors == []


# Start and restart


def test_known_devices_are_started_in_slices_and_then_the_supervisor_is_ready(monkeypatch):
    monkeypatch.setattr(devices, "SLICE", 10)
    server = Server(*(known(f"pi-{number:02}", presence="online") for number in range(25)))

    assert len(server.devices) == 25
    assert server.services.get("devices") is not None
    assert server.writes == []


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_all_known_devices_are_in_the_directory_before_their_supervisor_is_ready(seed):
    server = Server(*(known(f"pi-{number:04}") for number in range(1_000)), seed=seed)
    server.runtime.kill(server.services.get("devices"))
    server.run()
    while server.services.get("devices") is None:
        if not server.runtime.dispatcher.step():
            server.runtime.clock.advance(0.01)
            server.runtime.timers.fire_due()

    assert all(server.devices.get(name).is_alive() for name in server.devices), "no ref of the incarnation before"
    assert len(server.devices) == 1_000


def test_a_known_device_that_cannot_start_does_not_keep_its_supervisor_from_being_ready(monkeypatch, fragile):
    def fail(self):
        raise ZeroDivisionError(f"unforeseen in {self._serial}")

    monkeypatch.setattr(DeviceActor, "on_start", fail)
    server = Server(known("A"), known("B"))
    server.advance(60.0)

    assert server.services.get("devices") is not None
    assert server.record("A").snapshot.quarantined


def test_others_have_their_turn_while_a_large_fleet_is_started(monkeypatch):
    monkeypatch.setattr(devices, "SLICE", 1)
    server = Server(*(known(f"pi-{number:03}") for number in range(200)))
    order = []
    monkeypatch.setattr(DeviceActor, "on_start", lambda self: order.append(self._serial))
    server.runtime.kill(server.services.get("devices"))
    server.run()
    while server.services.get("devices") is None:
        if not server.runtime.dispatcher.step():
            server.runtime.clock.advance(0.01)
            server.runtime.timers.fire_due()
        elif len(order) == 1:
            adopted = len(server.tree.table.children["devices"].sub.children)

    assert adopted < 100, "the first devices had their turn before the last were adopted"


def test_a_restart_of_the_supervisor_changes_nothing_that_is_known(server, monkeypatch):
    monkeypatch.setattr(devices, "SLICE", 2)
    for number in range(9):
        server.beat(f"pi-{number}")
    server.record("pi-8").snapshot = known("pi-8", presence="online", label="the last one", pinned=True)
    server.forget()

    server.runtime.kill(server.services.get("devices"))
    server.run()
    server.advance(1.0)
    assert len(server.devices) == 9
    assert server.stored(StoreDevice) == []
    assert server.fleet.counts()["online"] == 9


def test_a_device_that_speaks_while_its_supervisor_starts_keeps_its_record(server, monkeypatch):
    monkeypatch.setattr(devices, "SLICE", 1)
    names = [f"pi-{number:02}" for number in range(50)]
    for name in names:
        server.beat(name)
    record = server.record("pi-49")
    future = GuardedFuture()
    server.devices.tell("pi-49", Changed({"label": "the last one", "pinned": True}, future))
    server.run()
    server.forget()

    server.runtime.kill(server.services.get("devices"))
    server.run()
    beat = None
    while server.services.get("devices") is None:  # until its back-off is over, turn by turn
        if not server.runtime.dispatcher.step():
            server.runtime.clock.advance(0.01)
            server.runtime.timers.fire_due()
        adopted = server.tree.table.children["devices"].sub.children
        if beat is None and "pi-00" in adopted and "pi-49" not in adopted:
            beat = _beat(server, "pi-49")
            server.services.tell("subscriber.pi", beat)
    server.run()
    assert beat is not None, "the moment never came"

    assert server.record("pi-49") is record
    assert (record.snapshot.label, record.snapshot.pinned) == ("the last one", True)
    assert server.events == []
    assert [view.snapshot.serial for view in find_devices(server.fleet).devices] == names
    assert record.heard_at == beat.items[0].rx_at, "and is heard"


def _beat(server, serial):
    item = server.delivery("devices/heartbeat", {"device_id": serial})
    return Deliveries("local.control", [item], server.clock.monotonic())


def test_readings_that_come_while_the_supervisor_is_down_are_stored_after_it(server):
    server.beat("A")
    server.runtime.kill(server.services.get("devices"))
    server.say(READINGS.format("A"), {"t": 1})
    server.advance(2.0)

    assert [write.serial for write in server.stored(StoreReading)] == ["A"]


def test_the_same_fault_in_many_devices_is_charged_to_the_code_and_parks_nobody(server, fragile):
    names = [f"pi-{number}" for number in range(30)]
    for name in names:
        server.beat(name)
    for _ in range(8):
        for name in names:
            fragile[name] = 1
            server.say(READINGS.format(name), {"t": 1})
        server.advance(3.0)
    server.advance(10.0)

    assert not any(server.record(name).snapshot.quarantined for name in names)
    assert set(server.devices) == set(names)
