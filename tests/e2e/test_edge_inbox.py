"""An operator and an edge, with a real server between them."""

from __future__ import annotations

import contextlib
import json
import signal

import pytest

from tests.support.edge import Edge
from tests.support.wait import eventually

CONFIG = """
[[edge.handlers]]
kind = "file"
path = "{shown}"

[edge.programs.greet]
command = ["/bin/echo", "hello"]
arguments = 1
"""


@pytest.fixture
def edge(tmp_path):
    """`edge("pi-7", up)`: a running edge of the same user as a server, with a handler and a program."""
    (tmp_path / "edge.toml").write_text(CONFIG.format(shown=tmp_path / "shown.jsonl"))
    with contextlib.ExitStack() as stack:

        def start(device_id, up):
            env = {"MUSTER_CONFIG": str(tmp_path / "edge.toml")}
            return stack.enter_context(Edge(device_id, runtime_dir=up.directory / "run", env=env))

        yield start


def shown(tmp_path):
    path = tmp_path / "shown.jsonl"
    return [json.loads(line)["title"] for line in path.read_text().splitlines()] if path.exists() else []


def wait_command(up, command_id, state, timeout=30):
    def seen():
        found = up.get(f"/api/commands/{command_id}")
        return found if found["state"] == state else None

    return eventually(seen, timeout, f"{command_id} is {state}")


def test_a_notification_is_displayed_and_the_ledger_knows(muster_up, edge, tmp_path):
    up = muster_up()
    edge("pi-7", up)
    up.wait_presence("pi-7", "online")
    sent = up.post("/api/notifications", {"device": "pi-7", "title": "Temperature alert", "priority": "high"})
    eventually(
        lambda: up.get(f"/api/notifications/{sent['id']}")["status"] == "displayed", 20, "the ledger has it displayed"
    )
    assert shown(tmp_path) == ["Temperature alert"]


def test_commands_are_executed_or_refused_with_a_reason(muster_up, edge):
    up = muster_up()
    pi = edge("pi-7", up)
    up.wait_presence("pi-7", "online")
    done = up.post("/api/devices/pi-7/commands", {"name": "run", "args": {"program": "greet", "arguments": ["you"]}})
    assert wait_command(up, done["id"], "succeeded")["result"]["output"] == "hello you\n"
    refused = up.post("/api/devices/pi-7/commands", {"name": "format_disk"})
    assert "there is no command" in wait_command(up, refused["id"], "failed")["reason"]
    eventually(lambda: pi.status["outbox"]["items"] == 0, what="the server has confirmed the answers")


def test_a_command_that_was_cancelled_while_the_edge_slept_is_not_executed(muster_up, edge):
    up = muster_up()
    pi = edge("pi-7", up)
    up.wait_presence("pi-7", "online")
    pi.process.send(signal.SIGSTOP)
    asked = up.post("/api/devices/pi-7/commands", {"name": "run", "args": {"program": "greet"}})
    wait_command(up, asked["id"], "sent")
    assert up.call("POST", f"/api/commands/{asked['id']}/cancel", {}).status == 200
    pi.process.send(signal.SIGCONT)
    eventually(lambda: "afterwards" in up.get(f"/api/commands/{asked['id']}")["reason"], 30, "the edge has answered")
    row = up.get(f"/api/commands/{asked['id']}")
    assert (row["state"], row["result"]) == ("cancelled", None)
    assert row["reason"].endswith("it was cancelled before it began")


def test_a_restart_is_done_and_answered_by_the_next_run(muster_up, edge):
    up = muster_up()
    pi = edge("pi-7", up)
    up.wait_presence("pi-7", "online")
    before = eventually(lambda: pi.status, what="its status")["started"]
    asked = up.post("/api/devices/pi-7/commands", {"name": "restart", "timeout": 60})
    wait_command(up, asked["id"], "succeeded", 60)
    assert pi.process.running
    assert pi.status["started"] > before
    assert "message dropped" not in pi.log
    up.wait_presence("pi-7", "online")


def test_what_is_sent_to_a_sleeping_edge_arrives_when_it_wakes_or_is_too_late(muster_up, edge, tmp_path):
    up = muster_up()
    pi = edge("pi-7", up)
    up.wait_presence("pi-7", "online")
    pi.kill()
    up.wait_presence("pi-7", "offline")
    sent = up.post("/api/notifications", {"device": "pi-7", "title": "Wake up", "priority": "urgent"})
    late = up.post("/api/devices/pi-7/commands", {"name": "ping", "timeout": 1})
    kept = up.post("/api/devices/pi-7/commands", {"name": "ping", "timeout": 120})
    wait_command(up, late["id"], "timed_out")
    pi.start()
    wait_command(up, kept["id"], "succeeded")
    eventually(lambda: up.get(f"/api/notifications/{sent['id']}")["status"] == "displayed", 20, "displayed")
    assert shown(tmp_path) == ["Wake up"]
    assert up.get(f"/api/commands/{late['id']}")["state"] == "timed_out"


def test_a_twin_is_applied_and_reported(muster_up, edge):
    up = muster_up()
    edge("pi-7", up)
    up.wait_presence("pi-7", "online")
    version = up.get("/api/devices/pi-7/twin")["desired_version"]
    answer = up.call("PATCH", "/api/devices/pi-7/twin", {"version": version, "desired": {"heartbeat": 11}})
    assert answer.status == 200, answer.body

    def in_force():
        twin = up.get("/api/devices/pi-7/twin")
        return twin if twin["reported"].get("heartbeat") == 11 else None

    twin = eventually(in_force, 20, "the twin is reported")
    assert twin["reported_version"] == twin["desired_version"]
    assert "heartbeat" not in twin["difference"]


@pytest.mark.slow
def test_power_cuts_lose_nothing_and_execute_nothing_twice(tmp_path, mosquitto, device):
    executed = tmp_path / "executed"
    (tmp_path / "edge.toml").write_text(
        f"""
        [[edge.handlers]]
        kind = "file"
        path = "{tmp_path / "shown.jsonl"}"
        [edge.programs.note]
        command = ["/bin/sh", "-c", 'echo "$1" >> {executed}', "note"]
        arguments = 1
        """
    )
    env = {"MUSTER_CONFIG": str(tmp_path / "edge.toml"), "MUSTER_BROKER_URL": mosquitto.url}
    with Edge("pi-7", env=env) as pi:
        server = device()
        server.subscribe("devices/pi-7/#")
        server.next("devices/pi-7/announce")
        for cut in range(5):
            answered = len(said(server, "responses"))
            for number in range(cut * 20, cut * 20 + 20):
                args = {"program": "note", "arguments": [str(number)]}
                server.publish("devices/pi-7/commands", {"id": f"c-{number}", "name": "run", "args": args})
                server.publish("devices/pi-7/notifications", {"id": f"n-{number}", "title": str(number)})
            eventually(lambda seen=answered: len(said(server, "responses")) > seen + 3, what="it works")
            pi.kill()
            pi.start()
        eventually(lambda: len(ends(server)) == 100, 60, "every command is answered")
        eventually(lambda: len(displayed(server)) == 100, 60, "every notification is displayed")
        runs = executed.read_text().split()
        succeeded = {item_id for item_id, states in ends(server).items() if states == {"succeeded"}}
        assert len(runs) == len(set(runs)), "nothing is executed twice"
        assert {f"c-{number}" for number in runs} >= succeeded, "what is said to be done is done"
        assert all(len(states) == 1 for states in ends(server).values()), "each has one end"
        assert len(succeeded) >= 95, "a cut interrupts one command at most"


def said(server, topic):
    return [message.json for message in list(server.received) if message.topic == f"devices/pi-7/{topic}"]


def ends(server):
    """The final states that were told of each command."""
    found = {}
    for body in said(server, "responses"):
        if body["state"] != "running":
            found.setdefault(body["id"], set()).add(body["state"])
    return found


def displayed(server):
    return {body["notification_id"] for body in said(server, "receipts") if body["state"] == "displayed"}
