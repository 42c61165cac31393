"""An edge with all its actors, beside a real broker and in place of a server this test."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from actors.link.messages import Publish
from actors.messages import Deliveries
from edge import link as link_module
from edge import tree as tree_module
from edge.boot import EdgeProcess
from edge.client import ask, queue_scan, read_state
from edge.commands.status import describe
from edge.home import Home, home_of
from edge.link import Goodbye
from edge.nodes import nodes
from edge.scans import make_scan, new_scan
from edge.settings import BrokerSettings, EdgeSettings, FindSettings, SensorSettings
from edge.state import describe_edge
from edge.wire import Request
from supervisor import TreeView
from tests.support.mqtt import Device
from tests.support.registrar import KEY, Registrar
from tests.support.wait import eventually, throughout

DEADLINE = 30.0


class Edge:
    """One edge in this process, and what the broker's other clients hear of it."""

    def __init__(self, tmp_path, broker, **settings):
        self.settings = EdgeSettings(
            device_id="pi-7",
            data_dir=str(tmp_path),
            broker=BrokerSettings(url=broker.url),
            find=FindSettings(mdns=False, scan=False),
            **settings,
        )
        self.home = Home(self.settings.home)
        self.process = EdgeProcess(self.settings, self.home, {"MUSTER_RUNTIME_DIR": str(tmp_path / "run")})
        self.parts = self.process.parts
        self.server = Device(broker.url)

    def __enter__(self):
        self.server.__enter__()
        self.server.subscribe("devices/pi-7/#")
        self.server.subscribe("+/sensor/data")
        return self

    def __exit__(self, *exc_info):
        with contextlib.suppress(Exception):
            self.process.stop()
        self.home.close()
        self.server.__exit__(*exc_info)

    def start(self):
        self.process.start()
        self.heard("announce")
        return self

    def bodies(self, topic):
        """All that was said on a topic."""
        return [message.json for message in list(self.server.received) if message.topic.endswith(f"/{topic}")]

    def heard(self, topic, wanted=lambda _body: True, timeout=DEADLINE):
        """The first body on a topic that is as wanted."""
        return eventually(
            lambda: next(filter(wanted, self.bodies(topic)), None), timeout, f"{topic} of the edge is heard"
        )

    def node(self, path):
        return TreeView(self.parts.tree).describe(f"edge/{path}")


@pytest.fixture
def edge(tmp_path, mosquitto):
    with contextlib.ExitStack() as stack:

        def make(**settings):
            return stack.enter_context(Edge(tmp_path, mosquitto, **settings))

        yield make


def has_crashed(path):
    def judge(status):
        found = [node for node in nodes(status.get("supervision", {})) if node.get("path") == path]
        return bool(found) and found[0]["last_exception"] is not None and found[0]["state"] == "running"

    return judge


def test_it_says_who_it_is_and_in_the_end_goodbye(edge):
    one = edge().start()
    status = one.heard("status", lambda body: body["status"] == "online")
    assert {child["id"] for child in status["supervision"]["children"]} == {
        "outbox",
        "control",
        "presence",
        "contact",
        "inbox",
        "scanners",
        "sensors",
        "network",
        "locator",
        "certifier",
        "payload_keys",
        "updater",
        "reporter",
    }
    one.process.stop()
    goodbye = one.heard("status", lambda body: body["status"] == "offline")
    assert (goodbye["reason"], goodbye["session"]) == ("goodbye", status["session"])
    assert len([body for body in one.bodies("status") if body["status"] == "offline"]) == 1


def test_scans_that_could_not_be_kept_are_shown(edge):
    one = edge()
    assert not [line for line in describe(describe_edge(one.parts) | {"running": True}) if line.startswith("  scans")]
    board = one.parts.boards.scanners
    board.saved, board.not_kept, board.last_error = 7, 2, "the outbox is full"
    board.unsaved.append(make_scan("pi-7", "1", now_us=1))
    state = describe_edge(one.parts)
    assert state["scans"] == {"saved": 7, "waiting": 1, "not_kept": 2, "error": "the outbox is full"}
    lines = list(describe(state | {"running": True}))
    assert "  scans     1 wait in memory, 2 refused (the outbox is full)" in lines


def test_it_beats(edge):
    one = edge(heartbeat=0.5).start()
    first = one.heard("heartbeat")
    assert (first["device_id"], first["status"], first["clock"]) == ("pi-7", "online", first["clock"])
    eventually(lambda: len(one.bodies("heartbeat")) >= 3, DEADLINE)


def test_a_crash_of_any_actor_is_healed_and_told(edge):
    one = edge().start()
    one.parts.directory.tell("presence", Deliveries("link", None, 0.0))
    one.heard("status", has_crashed("edge/presence"))
    one.parts.directory.tell("uplink", Deliveries("link", None, 0.0))
    one.heard("status", has_crashed("edge/contact/uplink"))


def test_an_actor_that_hangs_is_replaced_and_the_server_is_told(edge, monkeypatch):
    monkeypatch.setattr(tree_module, "HANG_AFTER", 1.0)
    one = edge()
    stuck, release = threading.Event(), threading.Event()

    def read():
        if not stuck.is_set():
            stuck.set()
            release.wait(DEADLINE)
        return {}

    monkeypatch.setattr(type(one.parts.vitals), "read", lambda _self: read())
    try:
        one.start()
        assert stuck.wait(DEADLINE)
        one.heard(
            "status",
            lambda body: any(
                node["path"] == "edge/reporter" and (node["last_exception"] or {}).get("reason") == "hung"
                for node in nodes(body.get("supervision", {}))
            ),
        )
    finally:
        release.set()


def test_a_scan_goes_out_and_leaves_the_outbox_with_the_receipt(edge):
    one = edge().start()
    queue_scan(one.settings, new_scan("4006381333931", now_us=1_790_000_000_000_000))
    scan = one.heard("scans")
    assert (scan["device_id"], scan["code"], scan["symbology"]) == ("pi-7", "4006381333931", "EAN-13")
    one.server.publish("devices/pi-7/receipts", {"stored": [scan["scan_id"]], "refused": {}})
    eventually(lambda: read_state(one.home)["outbox"]["items"] == 0, DEADLINE, "the receipt is noted")


class NoMuster(Registrar):
    """Says 200 to everything that is posted, and cannot prove anything."""

    def _post(self, _body, _authorization):
        return 200, "ok"


def test_whoever_takes_the_port_of_a_dead_server_gets_neither_token_nor_scans(edge, mosquitto):
    with Registrar() as server:
        one = edge(server_url=server.url, enrolment_key=KEY).start()
        eventually(lambda: one.parts.bearings.server() is not None, DEADLINE)
    with NoMuster(port=server.port, key="another-key-than-that-of-the-fleet") as stranger:
        mosquitto.stop()
        queue_scan(one.settings, new_scan("4006381333931", now_us=1_790_000_000_000_000))
        eventually(lambda: one.parts.boards.uplink.status.mode == "api", 60, "HTTP is tried")
        eventually(lambda: one.parts.bearings.state == "refused", 60, "the stranger was asked for a proof")
        throughout(1.0, lambda: not stranger.secrets_seen and not stranger.posted, "nothing is sent there")
        eventually(lambda: read_state(one.home)["outbox"]["items"] == 1, DEADLINE, "it is kept")


def test_its_stations_publish_under_its_own_name(edge):
    one = edge(sensors=(SensorSettings(interval=0.2), SensorSettings(id="field-2", interval=0.2))).start()
    eventually(lambda: {body["publisher_id"] for body in one.bodies("sensor/data")} == {"pi-7", "field-2"}, DEADLINE)
    assert not one.parts.speaks_for_itself()


def test_a_sensor_that_cannot_be_made_keeps_nothing_else_from_running(edge, tmp_path):
    sensors = (
        SensorSettings(id="bad", driver="nothing-like-it", interval=0.2),
        SensorSettings(id="late", driver="replay", file=str(tmp_path / "later.csv"), interval=0.2),
        SensorSettings(id="good", interval=0.2),
    )
    one = edge(sensors=sensors).start()
    eventually(lambda: "good" in {body["publisher_id"] for body in one.bodies("sensor/data")}, DEADLINE)

    def shown(name):
        return next(sensor["error"] for sensor in read_state(one.home)["sensors"] if sensor["id"] == name)

    eventually(lambda: "there is no driver `nothing-like-it`" in shown("bad"), DEADLINE)
    eventually(lambda: "later.csv" in shown("late"), DEADLINE)
    assert shown("good") == ""
    (tmp_path / "later.csv").write_text("N,P,K\n1,2,3\n")
    eventually(lambda: "late" in {body["publisher_id"] for body in one.bodies("sensor/data")}, DEADLINE)


def rival(one):
    """What the link reads when another client has come with its client id."""
    one.server.publish("server/markers/pi-7", f"claim another {2**53}".encode())
    eventually(lambda: one.parts.boards.link.status.state.value == "taken_over", DEADLINE)


def test_an_edge_whose_connection_was_taken_over_comes_back_by_itself(edge, monkeypatch):
    monkeypatch.setattr(link_module, "RIVAL_FLOOR", 0.3)
    monkeypatch.setattr(link_module, "RIVAL_CAP", 0.4)
    one = edge().start()
    eventually(lambda: one.parts.boards.link.claimed_ms, DEADLINE, "its own claim")
    one.server.publish("server/markers/pi-7", f"claim another {2**53}".encode())
    eventually(lambda: one.parts.boards.link.counters.connections == 2, DEADLINE)
    eventually(lambda: one.parts.boards.link.status.state.value == "subscribed", DEADLINE)


def test_announce_brings_a_link_back_that_was_taken_over(edge):
    one = edge().start()
    eventually(lambda: one.parts.boards.link.claimed_ms, DEADLINE, "its own claim")
    rival(one)
    eventually(lambda: "Trying again in" in one.parts.boards.link.status.last_error, DEADLINE)
    assert ask(one.home, Request("announce")).ok
    eventually(lambda: one.parts.boards.link.status.state.value == "subscribed", DEADLINE)


def test_a_request_of_the_server_is_answered(edge):
    one = edge().start()
    one.server.received.clear()
    one.server.publish("server/requests", {"request": "announce", "device_id": "pi-7"})
    one.heard("announce")


def test_each_connection_has_a_session_of_its_own(edge, mosquitto):
    one = edge().start()
    first = one.heard("announce")["session"]
    mosquitto.restart()
    eventually(lambda: one.parts.boards.line.session != first and not one.parts.boards.sight.blind, DEADLINE)


def test_nothing_is_said_after_the_goodbye(edge):
    one = edge().start()
    for message in (Goodbye(), Publish("devices/pi-7/late", b"{}"), Publish("devices/pi-7/late", b"{}", qos=1)):
        one.parts.directory.tell("link", message)
    one.heard("status", lambda body: body["status"] == "offline")
    one.process.stop()
    assert one.bodies("late") == []


def test_new_bearings_are_no_absence(edge):
    """The hub was found, say: the link is made anew, and nobody has been away."""
    one = edge().start()
    session = one.parts.boards.line.session
    one.parts.found()
    one.heard("announce", lambda body: body["session"] != session)
    assert one.node("contact")["restarts"] == 1
    assert [body for body in one.bodies("status") if body["status"] == "offline"] == []


def test_the_state_outlives_the_process(edge):
    one = edge().start()
    eventually(lambda: read_state(one.home)["link"]["state"] == "subscribed", DEADLINE)
    one.process.stop()
    one.home.close()
    state = read_state(home_of(one.settings.home.parent))
    assert (state["device_id"], state["phase"], state["running"]) == ("pi-7", "stopped", False)


def test_what_is_counted_is_shown(edge):
    one = edge(sensors=(SensorSettings(id="field-2", interval=0.2),)).start()
    queue_scan(one.settings, new_scan("4006381333931", now_us=1_790_000_000_000_000))
    scan = one.heard("scans")
    one.server.publish("devices/pi-7/receipts", {"stored": [scan["scan_id"]], "refused": {}})
    one.server.publish("devices/pi-7/receipts", "no receipt")
    counters = eventually(
        lambda: (told := read_state(one.home)["uplink"]["counters"])["bad_receipts"] and told, DEADLINE, "both came"
    )
    assert counters["confirmed_mqtt"] == 1
    one.parts.directory.undelivered += 1
    state = read_state(one.home)
    assert state["undelivered"] == 1
    assert state["hub"]["counters"]["reports_refused"] == 0
    (sensor,) = state["sensors"]
    assert (sensor["left_out"], sensor["not_kept"]) == (0, 0)


# The command


def run(*arguments, text="", **env):
    command = [sys.executable, "-m", "edge", *arguments]
    env.setdefault("MUSTER_CONFIG", os.devnull)
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False, env=env)
    return done.returncode, done.stdout, done.stderr


def test_every_command_is_told_by_help():
    code, out, _ = run("--help")
    assert code == 0
    for command in ("run", "status", "announce", "scan", "scan-test", "install", "uninstall"):
        assert f"\n  {command} " in out


@pytest.mark.parametrize("arguments", [(), ("dance",), ("scan",), ("status", "--dance")])
def test_wrong_usage_is_told(arguments):
    code, out, error = run(*arguments)
    assert (code, out) == (2, "")
    assert "usage: muster-edge" in error


def test_without_an_edge_the_commands_say_so(tmp_path):
    for command in ("status", "announce"):
        code, _, error = run(command, "--data-dir", str(tmp_path))
        assert code == 1
        assert str(tmp_path) in error
        assert error.count("\n") == 1


def test_a_scan_by_hand_is_kept_without_an_edge(tmp_path):
    env = {"MUSTER_DATA_DIR": str(tmp_path), "MUSTER_DEVICE_ID": "pi-7"}
    code, out, _ = run("scan", "--json", "4006381333931", "40063813", **env)
    assert code == 0
    assert [json.loads(line)["code"] for line in out.splitlines()] == ["4006381333931", "40063813"]
    code, _, error = run("scan", "", **env)
    assert code == 1
    assert error.count("\n") == 1


def test_blank_lines_are_no_codes(tmp_path):
    env = {"MUSTER_DATA_DIR": str(tmp_path), "MUSTER_DEVICE_ID": "pi-7"}
    code, out, _ = run("scan", "-", text="4006381333931\n\n  \r\n40063813\n", **env)
    assert (code, out.count("\n")) == (0, 2)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("before", ["data", "data/edge"])
def test_what_root_queues_belongs_to_the_owner_of_the_directory(before):
    # Not below `tmp_path`, which others may not enter.
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        base.chmod(0o755)
        (base / before).mkdir(parents=True)
        os.chown(base / before, 12_345, 12_346)
        code, _, error = run("scan", "1", MUSTER_DATA_DIR=str(base / "data"), MUSTER_DEVICE_ID="pi-7")
        assert (code, error) == (0, "")
        made = {(path.stat().st_uid, path.stat().st_gid) for path in (base / "data/edge").rglob("*")}
        assert made == {(12_345, 12_346)}


AS_MEMBER = """
import os, shutil, sys, tomllib
from edge.commands import scan
os.setgroups([])
os.setgid(12_346)
os.setuid(12_345)
sys.exit(scan.main(sys.argv[1:]))
"""
"""The interpreter may lie where another user cannot start it."""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_member_of_the_group_scans_under_the_name_of_the_running_edge():
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        base.chmod(0o755)
        data = base / "data"
        data.mkdir(mode=0o755)
        env = {"MUSTER_DATA_DIR": str(data), "MUSTER_RUNTIME_DIR": str(base / "run"), "PATH": os.environ["PATH"]}
        env["MUSTER_CONFIG"] = os.devnull
        with subprocess.Popen([sys.executable, "-m", "edge", "run"], env=env, stderr=subprocess.DEVNULL) as process:
            try:
                status = eventually(lambda: (s := read_state(home_of(data))) and s["running"] and s, DEADLINE)
                (data / "edge/identity.json").chmod(0o600)
                for path in (data / "edge", data / "edge/control.sock"):
                    os.chown(path, 0, 12_346)
                scan = [sys.executable, "-c", AS_MEMBER, "--json", "1"]
                done = subprocess.run(scan, env=env, capture_output=True, text=True, timeout=60, check=False)
            finally:
                process.terminate()
                process.wait(DEADLINE)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["device_id"] == status["device_id"]


def test_a_running_edge_is_shown(edge, tmp_path):
    edge().start()
    code, out, _ = run("status", "--data-dir", str(tmp_path))
    assert code == 0
    assert out.startswith("pi-7 (configured): running since")


def test_the_edge_loads_neither_the_web_face_nor_a_database_nor_what_only_a_child_needs():
    code = "import sys, edge.boot; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stdout.split())
    unwanted = {"asyncio", "bottle", "cheroot", "click", "cryptography", "evdev", "peewee", "prometheus_client", "rich"}
    assert not loaded & (unwanted | {"zeroconf", "web", "supervisor.server", "supervisor.cli", "importlib.metadata"})
