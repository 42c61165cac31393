"""The programs in `examples/`, beside a real server; and that a flow is what Node-RED imports."""

from __future__ import annotations

import json
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import Device
from tests.support.processes import Process
from tests.support.wait import eventually

EXAMPLES = Path(__file__).parents[2] / "examples"
FILTER = "harit-samarth/soil-health/analysis"


def program(path, *arguments):
    return Process(sys.executable, str(EXAMPLES / path), *arguments)


def status(server, notification):
    return server.get(f"/api/notifications/{notification}")["status"]


def test_the_subscriber_is_on_the_roll_shows_a_notification_and_says_goodbye(site, broker):
    with program("python_subscriber/subscriber.py", broker.url, "ex-1") as subscriber:
        site.wait_presence("ex-1", "online")
        sent = site.post("/api/notifications", {"device": "ex-1", "title": "Hot", "body": "85 °C", "priority": "high"})
        subscriber.wait_for_line(r"^\[high\] Hot: 85 °C$", 20)
        eventually(lambda: status(site, sent["id"]) == "displayed", 20, "its receipt is in the ledger")
        subscriber.send(signal.SIGINT)
        assert subscriber.wait(20) == 0
    site.wait_presence("ex-1", "offline")


def test_the_subscriber_gets_what_was_sent_while_it_was_away_and_survives_what_is_no_notification(site, broker, wire):
    with program("python_subscriber/subscriber.py", broker.url, "ex-2") as subscriber:
        site.wait_presence("ex-2", "online")
        wire.publish("devices/ex-2/notifications", b"[1]")
        subscriber.wait_for_line(r"not a notification", 20)
        subscriber.send(signal.SIGINT)
        subscriber.wait(20)
    sent = site.post("/api/notifications", {"device": "ex-2", "title": "While away"})
    with program("python_subscriber/subscriber.py", broker.url, "ex-2") as subscriber:
        subscriber.wait_for_line(r"While away", 20)
        eventually(lambda: status(site, sent["id"]) == "displayed", 20, "its receipt is in the ledger")


def test_two_workers_share_so_that_each_message_reaches_one_of_them(broker):
    with (
        Device(broker.url) as publisher,
        program("shared_worker/worker.py", broker.url, FILTER, "one") as one,
        program("shared_worker/worker.py", broker.url, FILTER, "two") as two,
    ):
        for worker in (one, two):
            worker.wait_for_line(r"Granted QoS 1", 20)
        for number in range(20):
            publisher.publish(FILTER, {"number": number})

        def numbers(worker):
            return [int(found) for found in re.findall(r'"number": (\d+)', worker.output)]

        eventually(lambda: len(numbers(one) + numbers(two)) >= 20, 20, "all have come")
        assert sorted(numbers(one) + numbers(two)) == list(range(20))
        assert numbers(one)
        assert numbers(two)


@pytest.mark.parametrize(
    ("path", "arguments"),
    [("python_subscriber/subscriber.py", ["ex-3"]), ("shared_worker/worker.py", [FILTER, "one"])],
)
def test_a_program_that_is_started_before_its_broker_waits_for_it_and_says_so(path, arguments):
    broker = Mosquitto()
    with program(path, broker.url, *arguments) as waiting:
        waiting.wait_for_line(r"nobody answers at 127\.0\.0\.1", 20)
        with broker, Device(broker.url) as wire:
            wire.subscribe("devices/ex-3/announce")
            if arguments == ["ex-3"]:
                eventually(lambda: wire.received, 20, "it announces itself")
            else:
                waiting.wait_for_line(r"Granted QoS 1", 20)
            waiting.send(signal.SIGINT)
            assert waiting.wait(20) == 0


@pytest.mark.parametrize("flow", sorted(EXAMPLES.rglob("flow.json")), ids=lambda path: path.parent.name)
def test_a_flow_is_complete(flow):
    nodes = json.loads(flow.read_text(encoding="utf-8"))
    known = {node["id"]: node for node in nodes}
    assert len(known) == len(nodes)
    for node in nodes:
        assert {"id", "type"} <= set(node)
        assert {wire for output in node.get("wires", ()) for wire in output} <= set(known)
        assert known[node["z"]]["type"] == "tab" if "z" in node else True
        assert known[node["broker"]]["type"] == "mqtt-broker" if node["type"] == "mqtt in" else True


def test_every_example_has_a_readme_that_the_list_names():
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    folders = [path.name for path in EXAMPLES.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert len(folders) == 6
    for name in folders:
        assert (EXAMPLES / name / "README.md").is_file()
        assert f"({name}/README.md)" in listed
