"""Injected exceptions and killed threads in a server at work: healed, visible, nobody else notices, nothing lost."""

from __future__ import annotations

import json
import os

import pytest

import actors.device
from actors.device_messages import Beaten, Measured
from actors.subscriber import SubscriberActor
from tests.e2e.inside import Inside
from tests.e2e.payloads import datalogger, gateway, site_beat
from tests.runtime.support import throw_into
from tests.support.killing import streaming
from tests.support.mqtt import Device
from tests.support.muster import walk
from tests.support.wait import eventually


class InjectedError(Exception):
    """A fault of ours."""


class Killed(BaseException):
    """What ends a thread wherever it stands; nobody catches it by mistake."""


@pytest.fixture
def inside(tmp_path, broker, monkeypatch):
    monkeypatch.setenv("MUSTER_RUNTIME_DIR", os.environ.get("MUSTER_RUNTIME_DIR", ""))
    with Inside(tmp_path, broker.url) as server:
        yield server


@pytest.fixture
def crash_on(monkeypatch):
    """`crash_on(Measured, predicate)`: device actors raise `InjectedError` on such messages until `crash_on.off()`."""

    class Fault:
        on = True

        def __call__(self, kind, predicate):
            handle = actors.device._HANDLERS[kind]

            def handler(actor, message, record):
                if self.on and predicate(message):
                    raise InjectedError(f"on {message.serial}")
                handle(actor, message, record)

            monkeypatch.setitem(actors.device._HANDLERS, kind, handler)

    return Fault()


def restarted(server):
    return {node["id"]: node["restarts"] for node in walk(server.tree()) if node["restarts"]}


def values(server, serial):
    return sorted(reading["measures"]["n"] for reading in server.readings(serial))


def test_a_device_that_crashes_on_a_message_goes_on_with_the_next(inside, wire, crash_on):
    crash_on(Measured, lambda message: '"n":13' in message.reading.measures)
    wire.publish(gateway(1), site_beat("BYSTANDER"))
    before = inside.wait_presence("BYSTANDER", "online")
    for number in range(10, 20):
        wire.publish(datalogger(1, "input"), {"serial_number": "UNLUCKY", "n": number})
    eventually(lambda: values(inside, "UNLUCKY") == [10, 11, 12, *range(14, 20)], what="all the others are stored")
    (letter,) = eventually(inside.dead_letters, what="the dead letter")
    assert (letter["reason"], letter["serial"]) == ("crashed", "UNLUCKY")
    assert "InjectedError" in letter["detail"]
    node = inside.node("devices/UNLUCKY")
    assert (node["state"], node["restarts"]) == ("running", 2)
    assert node["last_exception"]["error"] == "InjectedError: on UNLUCKY"
    assert "raise InjectedError" in node["last_exception"]["traceback"]
    assert inside.device("UNLUCKY")["presence"] == "online", "a crash changes no presence"
    assert inside.device("BYSTANDER") == before
    assert restarted(inside) == {"UNLUCKY": 2}
    inside.wait_settled()


def test_a_device_that_crashes_again_and_again_is_quarantined_and_can_be_resumed(inside, wire, crash_on):
    crash_on(Measured, lambda message: message.serial == "BROKEN")
    wire.publish(gateway(1), site_beat("FINE"))
    for number in range(30):
        wire.publish(datalogger(1, "input"), {"serial_number": "BROKEN", "n": number})
    eventually(lambda: (inside.device("BROKEN") or {}).get("quarantined"), 15, "it is quarantined")
    node = inside.node("devices/BROKEN")
    assert node["state"] == "quarantined"
    assert node["last_exception"]["error"] == "InjectedError: on BROKEN"

    def crashed():
        letters = [letter for letter in inside.dead_letters() if letter["reason"] == "crashed"]
        return [json.loads(letter["payload"])["n"] for letter in letters]

    def missing():
        return sorted({*range(30)} - {*values(inside, "BROKEN"), *crashed()})

    eventually(lambda: not missing(), what="all others are stored, unanalysed")
    assert 1 <= len(crashed()) <= 4, "what crashed it twice"
    wire.publish(datalogger(1, "input"), {"serial_number": "BROKEN", "n": 30})
    eventually(lambda: 30 in values(inside, "BROKEN"), what="and so is what it sends now")
    assert inside.presence("FINE") == "online"

    crash_on.on = False
    inside.supervise("devices/BROKEN", "resume")
    assert inside.device("BROKEN")["quarantined"] is False
    wire.publish(datalogger(1, "input"), {"serial_number": "BROKEN", "n": 31})
    eventually(lambda: 31 in values(inside, "BROKEN"), what="it works again")
    assert inside.node("devices/BROKEN")["state"] == "running"
    events = [event["kind"] for event in inside.items("/api/devices/BROKEN/events")]
    assert events.index("resume") < events.index("quarantine"), "newest first"


def test_one_fault_in_many_devices_is_charged_to_the_code_and_not_to_the_devices(inside, wire, crash_on):
    crash_on(Beaten, lambda message: message.serial.startswith("SAME"))
    for _ in range(4):
        for number in range(30):
            wire.publish(gateway(number), site_beat(f"SAME-{number}"))
    wire.publish(gateway(99), site_beat("OTHER"))
    inside.wait_presence("OTHER", "online")
    (breaker,) = eventually(lambda: inside.node("devices")["breakers"], 15, "the breaker trips")
    assert breaker["type"] == "InjectedError"
    crash_on.on = False
    eventually(lambda: inside.node("devices")["counts"] == {"running": 31}, 20, "all run, none is quarantined")
    for number in range(30):
        wire.publish(gateway(number), site_beat(f"SAME-{number}"))
    eventually(lambda: inside.health()["devices"]["online"] == 31, 10, "all are heard again")


POISONED = [60, 61, 100]


def test_a_subscriber_that_crashes_loses_only_what_crashes_it(inside, wire, monkeypatch):
    decode = SubscriberActor._decode

    def faulty(self, delivery):
        if b"poison" in delivery.payload:
            raise InjectedError("poisoned")
        return decode(self, delivery)

    monkeypatch.setattr(SubscriberActor, "_decode", faulty)
    for number in range(200):
        extra = {"note": "poison"} if number in POISONED else {}
        message = {"serial_number": "DL", "n": number, **extra}
        wire.client.publish(datalogger(1, "input"), json.dumps(message), 1)
    eventually(lambda: values(inside, "DL") == [n for n in range(200) if n not in POISONED], 20, "the others")
    inside.wait_settled()
    letters = inside.dead_letters()
    assert {letter["reason"] for letter in letters} == {"crashed"}
    assert sorted(json.loads(letter["payload"])["n"] for letter in letters) == POISONED
    node = inside.node("subscribers/subscriber.site")
    assert node["last_exception"]["error"] == "InjectedError: poisoned"
    assert restarted(inside) == {"subscriber.site": 2 * len(POISONED)}


@pytest.mark.timeout(90)
@pytest.mark.parametrize("name", ["registry", "local.data"])
def test_a_killed_thread_is_replaced_under_load_and_nothing_is_lost(inside, broker, name):
    with streaming(inside, broker.url, messages=6000, rate=3000) as stream:
        for number in range(2):
            stream.wait_stored(500 + 1500 * number)
            victim = inside.thread(name)
            throw_into(victim, Killed)
            eventually(lambda: not victim.is_alive(), what="the thread is dead")  # noqa: B023 - waited for here
            eventually(lambda: inside.actor(name), what="there is another")
        stream.finish()
        outcome = stream.compare()
        assert outcome.kept, outcome
    node = next(node for node in walk(inside.tree()) if node["id"] == name)
    assert (node["state"], node["restarts"]) == ("running", 2)
    assert "Killed" in node["last_exception"]["error"]
    assert restarted(inside) == {name: 2}
    eventually(lambda: inside.health()["status"] == "ok", what="all is well")


def test_a_killed_thread_that_sleeps_is_noticed_at_its_next_step(inside, wire):
    victim = inside.thread("reader.0")
    throw_into(victim, Killed)

    def read():
        return inside.call("GET", "/api/devices", limit=1).status == 200 and inside.call("GET", "/api/dead-letters")

    eventually(lambda: read() and not victim.is_alive(), what="it is dead")
    eventually(lambda: inside.node("readers/reader.0")["restarts"] == 1, what="it is replaced")
    eventually(lambda: inside.call("GET", "/api/dead-letters").status == 200, what="it reads")


def test_presences_survive_the_death_of_the_control_link(tmp_path, mosquitto, monkeypatch):
    monkeypatch.setenv("MUSTER_RUNTIME_DIR", str(tmp_path / "run"))
    with Inside(tmp_path, mosquitto.url, MUSTER_OFFLINE_AFTER="5") as server, Device(mosquitto.url) as wire:
        wire.publish(gateway(1), site_beat("GW"))
        server.wait_presence("GW", "online")
        victim = server.thread("local.control")
        throw_into(victim, Killed)
        eventually(lambda: not victim.is_alive(), what="the thread is dead")
        eventually(lambda: server.node("links/local.control")["restarts"] == 1, what="there is another")
        eventually(lambda: server.health()["broker"]["connected"], what="it is connected again")
        assert server.presence("GW") == "unknown"
        wire.publish(gateway(1), site_beat("GW"))
        server.wait_presence("GW", "online")
        kinds = [(e["data"]["presence"]) for e in server.items("/api/devices/GW/events") if e["kind"] == "presence"]
        assert kinds == ["online"], "no false farewell"
