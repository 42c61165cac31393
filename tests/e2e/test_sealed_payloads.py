"""A server and an edge that seal what they say to each other; the broker between them belongs to somebody else."""

from __future__ import annotations

import contextlib
import json
import threading

import pytest

from tests.support.edge import Edge
from tests.support.mqtt import Device
from tests.support.muster import Muster
from tests.support.wait import eventually

KEY = "a-fleet-key-for-the-tests"
CONFIG = """
[edge.payloads]
encrypt = true

[[edge.handlers]]
kind = "file"
path = "{shown}"

[[edge.sensors]]
id = "pi-7"
driver = "simulator"
interval = 0.5
"""


class Eavesdropper:
    """Reads everything that passes the broker."""

    def __init__(self, wire):
        self.heard = []
        self._lock = threading.Lock()
        wire.client.on_message = self._take
        wire.subscribe("#")

    def _take(self, _client, _userdata, message):
        with self._lock:
            self.heard.append((message.topic, message.payload))

    def on(self, tail):
        with self._lock:
            return [payload for topic, payload in self.heard if topic.endswith(tail)]

    def about(self, *words):
        with self._lock:
            return [topic for topic, payload in self.heard if any(word in payload for word in words)]


@pytest.fixture
def server(mosquitto):
    with Muster(mosquitto.url, env={"MUSTER_ENROLMENT_KEY": KEY}) as running:
        yield running


@pytest.fixture
def edge(server, tmp_path):
    """`edge()`: a running edge that seals; `edge("")` one that does not."""
    with contextlib.ExitStack() as stack:

        def start(config=CONFIG, serial="pi-7"):
            path = tmp_path / f"{serial}.toml"
            path.write_text(config.replace("{shown}", str(tmp_path / "shown.jsonl")))
            env = {"MUSTER_CONFIG": str(path), "MUSTER_ENROLMENT_KEY": KEY}
            env["MUSTER_SERVER_URL"] = f"http://{server.address}"
            return stack.enter_context(Edge(serial, env=env))

        yield start


@pytest.fixture
def ear(mosquitto):
    with Device(mosquitto.url) as wire:
        yield Eavesdropper(wire)


def has_key(server, serial="pi-7"):
    answer = server.call("GET", f"/api/devices/{serial}/payload_key")
    return answer.status == 200 and bool(answer.body["key"])


def online(server, pi):
    eventually(lambda: has_key(server), 30, "the server has the key")
    # Before that its readings go over HTTP, which is presence, too.
    eventually(lambda: (pi.status.get("link") or {}).get("state") == "subscribed", 30, "it is connected")
    server.wait_presence("pi-7", "online", 30)


def wait_command(server, command, state="succeeded"):
    def seen():
        found = server.get(f"/api/commands/{command['id']}")
        return found if found["state"] == state else None

    return eventually(seen, 30, f"the command is {state}")


def reasons(server):
    return [letter["reason"] for letter in server.dead_letters()]


def test_who_listens_at_the_broker_learns_that_a_device_is_there_and_nothing_else(server, edge, ear, tmp_path):
    pi = edge()
    online(server, pi)
    shown = tmp_path / "shown.jsonl"
    sent = server.post("/api/notifications", {"device": "pi-7", "title": "The secret title", "body": "and its body"})
    eventually(lambda: server.get(f"/api/notifications/{sent['id']}")["status"] == "displayed", 30, "displayed")
    assert json.loads(shown.read_text().splitlines()[0])["title"] == "The secret title"
    asked = server.post("/api/devices/pi-7/commands", {"name": "ping", "args": {}})
    wait_command(server, asked)
    changed = server.call(
        "PATCH", "/api/devices/pi-7/twin", {"desired": {"heartbeat": 7, "hidden_setting": 1}, "version": 0}
    )
    assert changed.status == 200, changed
    eventually(lambda: server.get("/api/devices/pi-7/twin")["reported"], 30, "the twin is reported")
    eventually(lambda: len(server.readings("pi-7")) > 2, 30, "its readings are stored")
    assert pi.run("scan", "4006381333931")[0] == 0
    eventually(lambda: server.items("/api/scans"), 30, "its scan is stored")

    for tail in ("notifications", "commands", "responses", "twin/desired", "twin/reported", "sensor/data", "scans"):
        # The first readings may have gone over HTTP, before the broker was known.
        eventually(lambda tail=tail: ear.on(f"/{tail}"), 30, f"something went over {tail}")
    told = (
        b"secret title",
        b"hidden_setting",
        b"4006381333931",
        b'"ping"',
        b"Moisture",
        b"sensor_readings",
        b"mac_addr",
    )
    assert ear.about(*told) == []
    for topic, payload in ear.heard:
        if topic.startswith("devices/") and b'{"stored":[' not in payload:
            assert payload.startswith(b'{"muster_sealed":1,'), (topic, payload[:200])
    assert not ear.on("soil-health/analysis"), "what was sealed is not published again"
    assert reasons(server) == []
    device = server.device("pi-7")
    assert device["hostname"], "the server knows what the announcement said"


def test_who_has_the_devices_password_can_say_nothing_in_its_name(server, edge, mosquitto):
    pi = edge("[edge.payloads]\nencrypt = true\n")
    online(server, pi)
    reading = {"Moisture": 11.5, "timestamp": "2026-01-01T00:00:00Z"}
    with Device(mosquitto.url) as thief:
        thief.publish("devices/pi-7/readings", reading)
        thief.publish("harit-samarth/sensor/data", {"publisher_id": "pi-7", **reading})
        thief.publish("devices/pi-7/scans", {"scan_id": "s-1", "code": "4006381333931"})
        thief.publish("devices/announce", {"device_id": "pi-7", "hostname": "evil"})
        forged = {"muster_sealed": 1, "to": "server", "device": "pi-7", "key": "0" * 16, "nonce": "AAAA", "ct": "AAAA"}
        thief.publish("devices/pi-7/readings", json.dumps(forged, separators=(",", ":")).encode())
        eventually(lambda: len(reasons(server)) == 5, 20, "all of it is refused")
    assert sorted(reasons(server)) == ["not_decipherable", *["not_encrypted"] * 4]
    assert server.rows == []
    assert server.items("/api/scans") == []
    assert server.device("pi-7")["hostname"] != "evil"
    assert server.metric("muster_sealed_payloads_total", event="not_encrypted") == 4
    assert pi.process.running


def test_the_brokers_owner_cannot_command_a_device(server, edge, mosquitto):
    pi = edge("[edge.payloads]\nencrypt = true\n")
    online(server, pi)
    with Device(mosquitto.url) as owner:
        owner.publish("devices/pi-7/commands", {"id": "c-1", "name": "restart", "args": {}})
        owner.publish("devices/pi-7/receipts", {"stored": ["a", "b"]})
        eventually(lambda: pi.status["payloads"]["counters"].get("refused", 0) >= 2, 20, "both are refused")
    wait_command(server, server.post("/api/devices/pi-7/commands", {"name": "ping"}))
    pi.kill()
    pi.start()
    online(server, pi)
    wait_command(server, server.post("/api/devices/pi-7/commands", {"name": "ping"}))
    assert "refused" not in pi.status["payloads"]["counters"], "what was refused was acknowledged, and came no more"


def test_what_was_recorded_and_is_sent_again_counts_once(server, edge, ear, mosquitto):
    pi = edge('[edge.payloads]\nencrypt = true\n\n[edge.programs.note]\ncommand = ["/bin/echo", "done"]\n')
    online(server, pi)
    assert pi.run("scan", "4006381333931")[0] == 0
    eventually(lambda: len(server.items("/api/scans")) == 1, 30, "its scan is stored")
    wait_command(server, server.post("/api/devices/pi-7/commands", {"name": "run", "args": {"program": "note"}}))
    for version in (0, 1):
        body = {"desired": {"heartbeat": 20 + version}, "version": version}
        assert server.call("PATCH", "/api/devices/pi-7/twin", body).status == 200
        eventually(lambda version=version: pi.status["inbox"]["twin_version"] == version + 1, 20, "the twin is applied")
    recorded = {tail: ear.on(f"pi-7/{tail}")[0] for tail in ("scans", "commands", "twin/desired")}
    answered = len(ear.on("pi-7/responses"))
    duplicates = pi.status["inbox"]["duplicates"]
    with Device(mosquitto.url) as owner:
        for tail, payload in recorded.items():
            owner.publish(f"devices/pi-7/{tail}", payload, retain=tail == "twin/desired")
        eventually(lambda: pi.status["inbox"]["duplicates"] >= duplicates + 2, 20, "command and twin are known")
        eventually(lambda: len(ear.on("pi-7/receipts")) > 1, 20, "the server has seen the scan again")
    assert len(server.items("/api/scans")) == 1
    assert pi.status["inbox"]["twin_version"] == 2
    assert pi.status["inbox"]["commands"] == 1
    assert answered
    # And after the edge was away, when the broker says that the old one is what is retained.
    pi.kill()
    pi.start()
    online(server, pi)
    assert pi.status["inbox"]["twin_version"] == 2


def test_a_new_key_takes_the_place_of_the_old_one_without_loss(server, edge, ear):
    pi = edge()
    online(server, pi)
    eventually(lambda: len(server.readings("pi-7")) > 1, 30, "its readings are stored")
    before = server.get("/api/devices/pi-7/payload_key")
    code, told = pi.run("payload-key")
    assert (code, before["key_id"] in told) == (0, True)
    assert json.loads(pi.run("payload-key", "--json")[1])["key"] == before["key_id"]
    assert pi.run("payload-key", "--renew")[0] == 0
    eventually(lambda: server.get("/api/devices/pi-7/payload_key")["key"] != before["key"], 30, "there is another key")
    known = len(server.readings("pi-7"))
    eventually(lambda: len(server.readings("pi-7")) > known, 30, "readings go on")
    wait_command(server, server.post("/api/devices/pi-7/commands", {"name": "ping"}))
    assert server.get("/api/devices/pi-7/payload_key")["server_key"] == before["server_key"]


def test_keys_survive_both_sides_being_killed(server, edge, ear):
    pi = edge()
    online(server, pi)
    first = server.get("/api/devices/pi-7/payload_key")
    server.kill()
    pi.kill()
    server.restart()
    pi.start()
    online(server, pi)
    wait_command(server, server.post("/api/devices/pi-7/commands", {"name": "ping"}))
    assert server.get("/api/devices/pi-7/payload_key") == first
    assert not set(reasons(server)) - {"not_decipherable"}
    assert (server.data / "payload.key").stat().st_mode & 0o777 == 0o600
    assert (pi.home / "payload-key.json").stat().st_mode & 0o777 == 0o600


def test_a_device_that_is_revoked_is_believed_neither_plain_nor_by_its_old_key(server, edge, mosquitto):
    pi = edge("[edge.payloads]\nencrypt = true\n")
    online(server, pi)
    assert server.call("DELETE", "/api/enrolments/pi-7").status == 204
    assert not has_key(server)
    assert pi.run("scan", "4006381333931")[0] == 0
    eventually(lambda: "not_decipherable" in reasons(server), 30, "its old key is refused")
    with Device(mosquitto.url) as thief:
        thief.publish("devices/pi-7/scans", {"scan_id": "s-1", "code": "4006381333931"})
        eventually(lambda: "not_encrypted" in reasons(server), 20, "plain is refused, too")
    assert server.items("/api/scans") == []
    assert server.call("POST", "/api/enrolments/pi-7/approve").status == 200
    pi.run("announce")
    eventually(lambda: has_key(server), 60, "it has enrolled again, and given its key")
    eventually(lambda: len(server.items("/api/scans")) == 1, 60, "what has waited is stored")


def test_an_edge_that_does_not_seal_says_so_and_has_no_key_to_renew(server, edge):
    pi = edge("")
    server.wait_presence("pi-7", "online", 30)
    assert pi.run("payload-key") == (0, "Payloads are not sealed.\n")
    code, told = pi.run("payload-key", "--renew")
    assert (code, "there is no command" in told) == (1, True)
    assert not (pi.home / "payload-key.json").exists()


def test_an_operator_may_want_a_device_sealed_before_it_ever_was(server, mosquitto):
    with Device(mosquitto.url) as pi:
        pi.publish("devices/pi-9/readings", {"Moisture": 1.5, "timestamp": "2026-01-01T00:00:00Z"})
        eventually(lambda: len(server.readings("pi-9")) == 1, 20, "plain is taken")
        assert server.call("POST", "/api/devices/pi-9/payload_key/require").status == 200
        pi.publish("devices/pi-9/readings", {"Moisture": 2.5, "timestamp": "2026-01-01T00:01:00Z"})
        eventually(lambda: reasons(server) == ["not_encrypted"], 20, "plain is refused")
        assert server.call("DELETE", "/api/devices/pi-9/payload_key").status == 204
        pi.publish("devices/pi-9/readings", {"Moisture": 3.5, "timestamp": "2026-01-01T00:02:00Z"})
        eventually(lambda: len(server.readings("pi-9")) == 2, 20, "plain is taken again")
