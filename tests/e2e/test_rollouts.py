"""Rollouts against a real server: a bad release is stopped by its canaries, and a killed server goes on."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections import Counter

import pytest

from supervisor.release.keys import PrivateKey
from tests.release.support import make_release, make_wheel
from tests.support.mqtt import Device
from tests.support.muster import MusterUp
from tests.support.wait import eventually

EDGES = 200
CANARIES = 10
WAVES = [{"share": 0.05, "success": 1.0, "wait": 0.0}, {"share": 1.0, "success": 0.9, "wait": 0.0}]


class Edge:
    """One simulated edge: it asks, and reports as an edge does."""

    def __init__(self, server, serial, token):
        self.serial, self.version = serial, "1.0"
        self._server, self._token = server, token
        self.offered = None

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection(self._server.address, timeout=15)
        try:
            connection.request(method, path, json.dumps(body), {"Authorization": f"Bearer {self._token}"})
            answer = connection.getresponse()
            raw = answer.read()
            assert answer.status == 200, (answer.status, raw)
            return json.loads(raw)
        finally:
            connection.close()

    def ask(self):
        """Whether there is an update; remembers it."""
        self.offered = self.call("GET", f"/api/ota/check_update?version={self.version}")
        return self.offered["update"]

    def report(self, state, **fields):
        told = {"state": state, "version": self.offered["version"], "rollout": self.offered["rollout"], **fields}
        return self.call("POST", "/api/ota/update_status", told)["commit"]

    def update(self):
        """The whole way, all going well; whether it was touched."""
        if not self.ask():
            return False
        for state in ("downloading", "verifying", "installing", "restarting"):
            assert not self.report(state)
        self.finish()
        return True

    def finish(self):
        assert self.report("confirming", nonce="n")
        self.version = self.offered["version"]
        self.report("succeeded")


def upload(server, path):
    """Put a release on the server and return its version."""
    raw = path.read_bytes()
    body = {"size": len(raw), "sha256": hashlib.sha256(raw).hexdigest(), "name": path.name}
    made = server.post("/api/releases/uploads", body, expect=201)
    connection = http.client.HTTPConnection(server.address, timeout=15)
    headers = {"Authorization": f"Bearer {server.token}", "Upload-Offset": str(made["offset"])}
    connection.request("PATCH", f"/api/releases/uploads/{made['id']}", raw, headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    connection.close()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """A server with two releases and 200 edges that have tokens of their own."""
    directory = tmp_path_factory.mktemp("release")
    key = PrivateKey.generate("tests")
    with MusterUp() as server:
        (server.data / "release-keys").mkdir(exist_ok=True)
        (server.data / "release-keys" / "tests.pub").write_text(key.public.line)
        for version in ("2.0", "3.0"):
            wheel = make_wheel(directory, version=version)
            upload(server, make_release(directory, key, wheels=[wheel], version=version))
        edges = {}
        for number in range(EDGES):
            serial = f"edge-{number:03}"
            server.post("/api/devices", {"serial": serial, "kind": "raspberry_pi"}, expect=201)
            token = server.post("/api/tokens", {"name": serial, "role": "device", "serial": serial}, expect=201)
            edges[serial] = Edge(server, serial, token["token"])
        yield server, edges


def start(server, **body):
    return server.post("/api/rollouts", {"waves": WAVES, **body}, expect=201)


def states(server, rollout):
    items = server.items(f"/api/rollouts/{rollout['id']}/devices")
    return {item["device"]: item["state"] for item in items}


def test_a_bad_release_touches_its_canaries_alone(fleet):
    server, edges = fleet
    bad = start(server, release="2.0", all=True)
    assert (bad["devices"], bad["counts"]) == (EDGES, {"offered": CANARIES, "pending": EDGES - CANARIES})
    begun = [edge for edge in edges.values() if edge.ask()]
    touched = [edge.serial for edge in begun]
    assert len(touched) == CANARIES
    for edge in begun:
        edge.report("restarting")
    for edge in begun:
        edge.report("rolled_back", reason="starts")
    shown = server.get(f"/api/rollouts/{bad['id']}")
    assert (shown["status"], shown["wave"]) == ("halted", 1)
    assert shown["reason"] == "1 of 10 devices of wave 1 failed, rolled back or fell silent"
    assert not any(edge.update() for edge in edges.values())
    after = states(server, bad)
    assert {serial for serial, state in after.items() if state == "rolled_back"} == set(touched)
    assert Counter(after.values())["pending"] == EDGES - CANARIES
    assert {edge.version for edge in edges.values()} == {"1.0"}
    assert server.metric("muster_rollout_devices", state="pending") == EDGES - CANARIES
    status, refusal = server.call("POST", "/api/rollouts", {"release": "3.0", "device": touched[0]})
    assert (status, refusal["error"]["details"]["rollout"]) == (409, bad["id"])
    server.post(f"/api/rollouts/{bad['id']}/cancel", expect=200)
    untouched = next(serial for serial in edges if serial not in touched)
    assert start(server, release="2.0", devices=[touched[0], untouched])["counts"] == {"skipped": 1, "offered": 1}


def test_a_good_release_reaches_everybody_though_the_server_is_killed_in_the_middle(fleet):
    server, edges = fleet
    for rollout in server.items("/api/rollouts", status="running"):
        server.post(f"/api/rollouts/{rollout['id']}/cancel", expect=200)
    good = start(server, release="3.0", all=True)
    canaries = [edge for edge in edges.values() if edge.ask()]
    assert len(canaries) == CANARIES
    on_its_way = canaries[0]
    on_its_way.report("restarting")
    for edge in canaries[1:]:
        assert edge.update()
    server.kill()
    server.restart()
    assert states(server, good)[on_its_way.serial] == "restarting"
    on_its_way.finish()
    others = [edge for edge in edges.values() if edge.version != "3.0"]
    assert len(others) == EDGES - CANARIES
    for number, edge in enumerate(others):
        if number == len(others) // 2:
            server.kill()
            server.restart()
        assert edge.update(), edge.offered
    shown = server.get(f"/api/rollouts/{good['id']}")
    assert (shown["status"], shown["counts"]) == ("completed", {"succeeded": EDGES})
    assert not any(edge.ask() for edge in edges.values())


def test_a_deleted_device_leaves_its_rollout(fleet):
    server, edges = fleet
    rollout = start(server, release="2.0", devices=["edge-000", "edge-001"], force=True)
    assert server.call("DELETE", "/api/devices/edge-000").status == 204
    eventually(lambda: server.get(f"/api/rollouts/{rollout['id']}")["devices"] == 1, what="it has left")
    assert list(states(server, rollout)) == ["edge-001"]
    assert edges["edge-001"].ask()


def test_a_device_that_is_online_is_told_to_ask_when_its_wave_begins(fleet):
    server, edges = fleet
    del edges
    with Device(server.broker_url) as wire:
        wire.subscribe("devices/+/commands")
        for serial, state in (("edge-010", "idle"), ("edge-011", "off")):
            wire.publish("devices/announce", {"device_id": serial, "services": {"update": state, "slot": "a"}})
            server.wait_presence(serial, "online")
        rollout = start(server, release="2.0", devices=["edge-010", "edge-011"], force=True, waves=[{"share": 1}])
        asked = wire.next("devices/edge-010/commands").json
        assert (asked["name"], asked["args"]) == ("update", {})
        wire.publish("devices/edge-010/responses", {"id": asked["id"], "state": "succeeded"})
        eventually(lambda: server.get(f"/api/commands/{asked['id']}")["state"] == "succeeded", what="it is answered")
        counted = "muster_rollout_calls_total"
        eventually(lambda: server.metric(counted, outcome="called") == 1, what="it is counted")
    assert server.items("/api/devices/edge-011/commands") == []
    server.post(f"/api/rollouts/{rollout['id']}/cancel", expect=200)


def test_a_revoked_release_halts_its_rollout(fleet):
    server, edges = fleet
    server.post("/api/releases/2.0/revoke", expect=200)
    (rollout,) = eventually(lambda: server.items("/api/rollouts", status="halted"), what="it is halted")
    assert rollout["reason"] == "the release is revoked"
    assert not edges["edge-001"].ask()
