"""The terminal beside a real server and broker: devices come and go, the server is killed and comes back."""

from __future__ import annotations

import json
import sys

import pytest

from tests.e2e.payloads import announcement
from tests.support.terminal import Terminal
from tests.support.wait import eventually


@pytest.fixture
def server(muster):
    return muster(offline_after=2)


def terminal(server, *arguments, **options):
    """`muster` of the same user, which finds the server by its runtime directory alone."""
    env = {"MUSTER_RUNTIME_DIR": server.env["MUSTER_RUNTIME_DIR"], "MUSTER_CONFIG": "/dev/null"}
    blank = dict.fromkeys(("MUSTER_API_TOKEN", "MUSTER_SERVER_URL"), "")
    return Terminal(sys.executable, "-m", "supervisor.cli", *arguments, env=env | blank, columns=120, **options)


def line_of(screen, serial):
    return next((line for line in screen.splitlines() if line.startswith(serial)), "")


def test_a_device_appears_goes_offline_and_returns_before_ones_eyes(server, device):
    with terminal(server, "devices", "--watch") as screen:
        assert "No devices." in screen.wait_for("live")
        pi = device()
        pi.publish("devices/announce", announcement("pi-1"))
        for presence in ("online", "offline", "online"):
            if presence == "online":
                pi.publish("devices/announce", announcement("pi-1"))
            eventually(lambda wanted=presence: wanted in line_of(screen.screen, "pi-1"), 20, f"pi-1 is {presence}")
        assert screen.interrupt() == 0
        assert screen.raw.rstrip().endswith("\x1b[?1049l")


def test_a_server_that_is_killed_is_found_again(server, device):
    with (
        terminal(server, "status", "--watch") as status,
        terminal(server, "tail", "--kinds", "device,presence") as tail,
    ):
        eventually(lambda: server.metric("muster_event_streams") >= 2, 20, "both listen")
        device().publish("devices/announce", announcement("pi-2"))
        tail.wait_for("pi-2  online")
        server.kill()
        status.wait_for("reconnecting, stale since")
        tail.wait_for("reconnecting: ")
        server.restart()
        eventually(lambda: status.screen.splitlines()[0].endswith("live"), 30, "the status is live again")
        tail.wait_for("live again", 30)
        tail.wait_for("some events were missed here")
        assert (status.interrupt(), tail.interrupt()) == (0, 0)
        assert "Traceback" not in status.text + tail.text


def test_an_actor_that_is_killed_is_seen_to_heal(server):
    with terminal(server, "tree", "--watch", lines=60) as tree, terminal(server, "tail", "--json") as tail:
        tree.wait_for("live")
        eventually(lambda: server.metric("muster_event_streams") >= 2, 20, "both listen")
        server.supervise("subscribers/subscriber.pi", "restart")
        tree.wait_for("1 restart")
        tail.wait_for('"path":"server/subscribers/subscriber.pi"')
        event = next(json.loads(line) for line in tail.text.splitlines() if "subscriber.pi" in line)
        assert (event["kind"], event["data"]["restarts"]) == ("supervision", 1)
        assert (tree.interrupt(), tail.interrupt()) == (0, 0)


def test_a_paused_link_is_told_first(server):
    server.post("/api/links/local.data/pause")
    eventually(lambda: "link local.data is paused by an operator" in server.run("status")[1], 20, "it is told")
    code, out = server.run("status")
    assert code == 0
    assert out.startswith("warning   link local.data is paused by an operator for ")
