"""The simulated fleet: who is in it, what it says, and that it ends with its parent."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from typing import get_args

import psutil
import pytest

from supervisor.demo import demo_process
from supervisor.demo.__main__ import main
from supervisor.demo.device import _break
from supervisor.demo.families import build_device
from supervisor.demo.fleet import PREFIX, SITES, Habit, plan_fleet
from supervisor.demo.payloads import PiState, SiteState, Walk
from supervisor.demo.schedule import Schedule
from supervisor.server.child import ChildProcess
from tests.server.support import alive
from tests.support.mqtt import Device
from tests.support.wait import eventually

ONLY_PIS = ("--dataloggers=0", "--gateways=0", "--stations=0")
PARENT = """
import sys, time
from supervisor.demo import demo_process
demo = demo_process(sys.argv[1])
demo.start()
print(demo.pid, flush=True)
time.sleep(60)
"""


def spec_of(family: str, **changes):
    fleet = plan_fleet(2, 2, 2, 4, seed=1)
    return next(spec for spec in fleet if spec.family == family)._replace(**changes)


# -- the plan ---------------------------------------------------------------------------------------------------------


def test_the_fleet_has_the_size_that_was_asked_for():
    fleet = plan_fleet(6, 4, 3, 4, seed=1)
    assert Counter(spec.family for spec in fleet) == {"pi": 6, "datalogger": 4, "gateway": 3, "sensor": 4}
    assert [spec.number for spec in fleet] == list(range(17))


def test_a_second_run_meets_the_same_devices():
    assert plan_fleet(6, 4, 3, 4, seed=1) == plan_fleet(6, 4, 3, 4, seed=1)
    assert plan_fleet(6, 4, 3, 4, seed=1) != plan_fleet(6, 4, 3, 4, seed=2)


def test_serials_and_names_are_unique_and_fit_the_rules_even_in_a_large_fleet():
    fleet = plan_fleet(200, 200, 200, 200, seed=3)
    serials = [spec.serial for spec in fleet]
    assert len(set(serials)) == len(serials)
    assert all(re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", serial) for serial in serials)
    assert len({(spec.family, spec.name) for spec in fleet}) == len(fleet)


def test_the_default_fleet_has_every_habit_and_both_sites():
    fleet = plan_fleet(6, 4, 3, 4, seed=1)
    assert {spec.habit for spec in fleet} == set(get_args(Habit))
    assert {spec.site for spec in fleet} == {"", *SITES, PREFIX}
    assert any(spec.family == "datalogger" and spec.habit == "silent" for spec in fleet)
    assert any(spec.bound for spec in fleet)


# -- the payloads -----------------------------------------------------------------------------------------------------


def test_an_announcement_has_the_fields_of_a_real_one():
    said = PiState(spec_of("pi"), random.Random(1)).announce()
    assert {
        "device_id",
        "ip_address",
        "hostname",
        "mac_address",
        "device_type",
        "services",
        "system_info",
        "timestamp",
    } <= said.keys()
    assert said["device_type"] == "raspberry_pi"
    assert re.fullmatch(r"2c:cf:67(:[0-9a-f]{2}){3}", said["mac_address"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said["timestamp"])
    assert said["services"]["ssh"] == {"port": 22, "status": "available"}
    assert {"uptime_hours", "load_average", "memory"} <= said["system_info"].keys()
    memory = said["system_info"]["memory"]
    assert 0 < memory["available"] < memory["total"]


def test_heartbeat_status_and_will_name_the_device():
    state = PiState(spec_of("pi", serial="abc"), random.Random(1))
    assert {key: state.heartbeat()[key] for key in ("device_id", "status")} == {"device_id": "abc", "status": "online"}
    assert state.status().keys() > state.heartbeat().keys()
    assert {key: state.goodbye()[key] for key in ("device_id", "status")} == {"device_id": "abc", "status": "offline"}


def test_system_info_varies():
    state = PiState(spec_of("pi"), random.Random(1))
    assert state.announce()["system_info"] != state.announce()["system_info"]


@pytest.mark.parametrize("family", ["datalogger", "gateway"])
def test_inputs_and_outputs_are_a_serial_a_time_and_numbers(family):
    state = SiteState(spec_of(family, serial="S1"), random.Random(1))
    assert state.heartbeat().keys() == {"serial_number", "timestamp"}
    for said in (state.input(), state.output()):
        measures = {key: value for key, value in said.items() if key not in ("serial_number", "timestamp")}
        assert said["serial_number"] == "S1"
        assert measures
        assert all(isinstance(value, float) for value in measures.values())
    assert len(state.input()) >= 5


def test_a_walk_stays_within_its_bounds():
    walk = Walk(0, 1, 5, random.Random(1))
    assert all(0 <= walk.next() <= 1 for _ in range(200))


# -- the schedule -----------------------------------------------------------------------------------------------------


def test_actions_run_in_the_order_of_their_times_and_a_repeated_one_repeats():
    schedule, seen = Schedule(), []

    def tick():
        seen.append("tick")
        if seen.count("tick") == 3:
            schedule.stop()

    schedule.after(0.02, lambda: seen.append("second"))
    schedule.after(0.0, lambda: seen.append("first"))
    schedule.every(0.03, tick)
    schedule.run()
    assert seen == ["first", "second", "tick", "tick", "tick"]


def test_an_action_from_another_thread_wakes_the_schedule():
    schedule = Schedule()
    threading.Timer(0.02, lambda: schedule.after(0, schedule.stop)).start()
    schedule.run()


# -- the whole thing --------------------------------------------------------------------------------------------------


def test_without_a_broker_it_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.delenv("MUSTER_BROKER_URL", raising=False)
    assert main([]) == 2
    assert "--broker" in capsys.readouterr().err


def test_the_fleet_appears_fails_and_returns(mosquitto):
    """At eight times the speed: all of them appear, one breaks off and returns, one talks nonsense."""
    with Device(mosquitto.url) as watcher:
        watcher.subscribe("#")
        demo = demo_process(mosquitto.url, "--speed=8")
        demo.start()
        try:
            spoken = {spec.serial for spec in plan_fleet(6, 4, 3, 4, seed=1)}
            eventually(lambda: spoken <= serials(watcher), timeout=20, what="all devices to appear")
            will = watcher.next("devices/status", timeout=20)
            while will.json["status"] != "offline":
                will = watcher.next("devices/status", timeout=20)
            eventually(lambda: any(broken(m.payload) for m in watcher.received), timeout=20, what="nonsense")
            gone = will.json["device_id"]
            eventually(lambda: returned(watcher, gone), timeout=30, what="the one that broke off to return")
        finally:
            demo.stop()


def test_stations_publish_where_they_are_told_to(mosquitto):
    with Device(mosquitto.url) as server:
        server.subscribe("farm/1/sensor/data")
        demo = demo_process(mosquitto.url, *ONLY_PIS, "--pis=0", "--stations=2", "--prefix=farm/1", "--speed=8")
        demo.start()
        try:
            eventually(lambda: serials(server) == {"soil-north", "soil-south"}, timeout=30, what="both stations")
        finally:
            demo.stop()
        assert all(message.qos == 1 for message in server.received)


def test_pis_answer_the_servers_request_and_only_those_asked(mosquitto):
    with Device(mosquitto.url) as server:
        server.subscribe("devices/#")
        demo = demo_process(mosquitto.url, "--pis=2", *ONLY_PIS, "--processes=1")
        demo.start()
        try:
            first, second = server.next("devices/announce", 20).json, server.next("devices/announce", 20).json
            server.publish("server/requests", {"request": "announce", "device_id": first["device_id"], "spread": 0})
            assert server.next("devices/announce", 20).json["device_id"] == first["device_id"]
            server.publish("server/requests", b"nonsense")
            server.publish("server/requests", {"request": "announce", "spread": 0.1})
            answers = {server.next("devices/announce", 20).json["device_id"] for _ in range(2)}
            assert answers == {first["device_id"], second["device_id"]}
        finally:
            demo.stop()


def test_pis_show_notifications_and_do_what_they_are_told(mosquitto):
    with Device(mosquitto.url) as server:
        server.subscribe("devices/+/receipts")
        server.subscribe("devices/+/responses")
        server.subscribe("devices/announce")
        demo = demo_process(mosquitto.url, "--pis=1", *ONLY_PIS, "--processes=1", "--speed=20")
        demo.start()
        try:
            serial = server.next("devices/announce", 20).json["device_id"]
            mine = f"devices/{serial}"
            server.publish(f"{mine}/notifications", {"id": "n-1", "title": "Hello"})
            receipt = server.next(f"{mine}/receipts", 20).json
            assert (receipt["notification_id"], receipt["state"]) == ("n-1", "displayed")
            server.publish(f"{mine}/commands", {"id": "c-1", "name": "ping"})
            states = [server.next(f"{mine}/responses", 20).json["state"] for _ in range(2)]
            assert states == ["running", "succeeded"]
            server.publish(f"{mine}/commands", {"id": "c-2", "name": "fly"})
            answers = [server.next(f"{mine}/responses", 20).json for _ in range(2)]
            assert [(answer["id"], answer["state"]) for answer in answers] == [("c-2", "running"), ("c-2", "failed")]
        finally:
            demo.stop()


def test_pis_with_a_scanner_scan_articles_each_under_an_id_of_its_own(mosquitto):
    with Device(mosquitto.url) as server:
        server.subscribe("devices/+/scans")
        demo = demo_process(mosquitto.url, "--pis=6", *ONLY_PIS, "--processes=1", "--speed=20")
        demo.start()
        try:
            scans = [server.next(timeout=20) for _ in range(6)]
        finally:
            demo.stop()
        assert all(scan.qos == 1 and scan.topic == f"devices/{scan.json['device_id']}/scans" for scan in scans)
        assert len({scan.json["scan_id"] for scan in scans}) == 6


def test_it_says_goodbye_and_leaves_nothing_running_on_sigterm(mosquitto):
    with Device(mosquitto.url) as watcher:
        watcher.subscribe("devices/#")
        demo = demo_process(mosquitto.url, "--pis=2", "--dataloggers=1", "--gateways=0")
        demo.start()
        watcher.next("devices/announce", timeout=20)
        family = psutil.Process(demo.pid).children(recursive=True)
        demo.stop()
        assert watcher.next("devices/status", 20).json["status"] == "offline"
        assert not any(map(alive, family))


def test_it_ends_when_its_parent_is_killed(mosquitto):
    parent = subprocess.Popen([sys.executable, "-c", PARENT, mosquitto.url], stdout=subprocess.PIPE, text=True)
    demo = psutil.Process(int(parent.stdout.readline()))
    # The trampoline, the demo, and for each of three parts a trampoline and a part.
    family = [demo, *eventually(lambda: at_least(7, demo.children(recursive=True)), 20, "the whole demo")]
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    eventually(lambda: not any(map(alive, family)), timeout=15, what="the demo to end")


def test_nothing_of_it_is_left_when_the_broker_is_gone_too(mosquitto):
    """As after a SIGKILL of the server, which takes its own broker along."""
    demo, family = whole_demo(mosquitto)
    mosquitto.kill()
    demo.stop()
    assert demo.wait() == 0, "nothing of it had to be killed"
    assert not any(map(alive, family))


def test_it_ends_by_itself_when_its_broker_hangs(mosquitto):
    demo, family = whole_demo(mosquitto)
    mosquitto.process.send(signal.SIGSTOP)
    demo.stop()
    assert demo.wait() == 0, "nothing of it had to be killed"
    assert not any(map(alive, family))


@pytest.mark.parametrize("habit", ["silent", "crashing", "leaving"])
def test_a_device_that_goes_away_does_not_wait_for_a_broker_that_hangs(mosquitto, habit):
    """All devices of a process would stand still, and not even obey the order to stop."""
    device = build_device(spec_of("datalogger"), mosquitto.url, Schedule(), speed=1, seed=1)
    device.start()
    client = device._client
    eventually(client.is_connected, what="the connection")
    mosquitto.process.send(signal.SIGSTOP)
    device._publish("plant-1/gateway/1/input", {"a": "reading that nobody acknowledges"}, qos=1)
    away = threading.Thread(target=device._go_away, args=(habit,), daemon=True)
    away.start()
    away.join(10)
    assert not away.is_alive()
    _break(client)


def test_it_can_be_stopped_before_it_has_begun(mosquitto):
    demo = demo_process(mosquitto.url)
    demo.start()
    demo.stop()
    assert demo.wait() in (0, 128 + signal.SIGTERM)


def test_a_part_that_does_not_end_is_told_and_is_a_failure(monkeypatch, capsys):
    """The whole demo is told to stop by the first part that starts."""

    class Deaf:
        running = True

        def __init__(self, name, *_, **__):
            self.name = name

        def start(self):
            os.kill(os.getpid(), signal.SIGTERM)

        def ask_stop(self):
            pass

        stop = ask_stop

        def wait(self):
            return 128 + signal.SIGKILL

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.setattr("supervisor.demo.__main__.ChildProcess", Deaf)
    try:
        assert main(["--broker=mqtt://127.0.0.1:1", "--processes=2"]) == 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert capsys.readouterr().err == "Killed, because it did not end by itself: demo part 0, demo part 1.\n"


def test_the_brokers_password_is_in_no_process_list(mosquitto):
    demo = demo_process(mosquitto.url.replace("mqtt://", "mqtt://ada:s3cret@"))
    demo.start()
    try:
        runner = psutil.Process(demo.pid)
        family = eventually(lambda: at_least(7, runner.children(recursive=True)), 20, "the whole demo")
        assert "s3cret" not in str([process.cmdline() for process in (runner, *family)])
    finally:
        demo.stop()


def whole_demo(mosquitto) -> tuple[ChildProcess, list[psutil.Process]]:
    """Start it at twenty times the speed; return it and its processes when all devices have spoken."""
    with Device(mosquitto.url) as watcher:
        watcher.subscribe("#")
        demo = demo_process(mosquitto.url, "--speed=20")
        demo.start()
        everybody = {spec.serial for spec in plan_fleet(6, 4, 3, 4, seed=1)}
        eventually(lambda: everybody <= serials(watcher), timeout=30, what="all devices to appear")
    return demo, psutil.Process(demo.pid).children(recursive=True)


def at_least(count: int, processes: list) -> list:
    return processes if len(processes) >= count else []


def broken(payload: bytes) -> bool:
    try:
        return not isinstance(json.loads(payload), dict)
    except ValueError:
        return payload not in (b"offline", b"online")


def serials(watcher: Device) -> set[str]:
    found = set()
    for message in list(watcher.received):
        if not broken(message.payload) and message.payload != b"offline":
            body = message.json
            found.add(body.get("device_id") or body.get("serial_number") or body.get("publisher_id"))
    return found


def returned(watcher: Device, serial: str) -> bool:
    """Whether it announced itself after its will."""
    said = [m for m in list(watcher.received) if serial.encode() in m.payload]
    wills = [at for at, message in enumerate(said) if b'"offline"' in message.payload]
    return any("announce" in message.topic for message in said[wills[0] :])
