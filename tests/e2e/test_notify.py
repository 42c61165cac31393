"""`muster notify` in a terminal: to a real edge and to a plain subscriber, and a bulk that outlives its server."""

from __future__ import annotations

import json
import sys

from tests.support.edge import Edge
from tests.support.mqtt import Device
from tests.support.processes import Process
from tests.support.wait import eventually

BULK = 2_000


def ledger(server, serial):
    """The state of the newest notification to a device, and the time of its change."""
    (newest, *_) = server.items("/api/notifications", device=serial)
    (delivery,) = server.get(f"/api/notifications/{newest['id']}")["deliveries"]
    return delivery["state"]


def test_an_edge_and_a_plain_subscriber_get_it_and_the_ledger_tells_the_difference(muster_up):
    up = muster_up()
    up.post("/api/devices", {"serial": "plain-1"}, expect=201)
    with Edge("pi-7", runtime_dir=up.directory / "run"), Device(up.broker_url) as plain:
        plain.subscribe("devices/plain-1/notifications", qos=1)
        up.wait_presence("pi-7", "online")
        for serial in ("pi-7", "plain-1"):
            code, said = up.run("notify", serial, "Temperature alert", "85 °C", "--priority", "high")
            assert code == 0, said
            assert serial in said
        assert plain.next("devices/plain-1/notifications").json["title"] == "Temperature alert"
        eventually(lambda: ledger(up, "pi-7") in ("received", "displayed"), 20, "the edge has given a receipt")
        assert ledger(up, "plain-1") == "accepted"


def test_a_bulk_from_a_terminal_outlives_its_server(muster_up):
    up = muster_up()
    path = up.directory / "alerts.jsonl"
    items = [{"topic": f"crowd/{number}", "payload": {"title": "Hot", "value": number}} for number in range(BULK)]
    path.write_text("".join(f"{json.dumps(item)}\n" for item in items))
    env = up.env | {"MUSTER_HTTP": "", "MUSTER_API_TOKEN": up.token, "MUSTER_SERVER_URL": f"http://{up.address}"}
    with Device(up.broker_url) as wire:
        wire.subscribe("crowd/#", qos=1)
        command = (sys.executable, "-m", "supervisor.cli", "notify", "--bulk", str(path), "--json")
        with Process(*command, env=env, cwd=up.directory, log=up.directory / "notify.log") as notify:
            eventually(lambda: wire.received, 30, "the first has come")
            up.kill()
            up.restart()
            assert notify.wait(60) == 0, notify.describe()
        told = json.loads((up.directory / "notify.log").read_text())
    assert [found["counts"] for found in told["found"]] == [{"accepted": BULK}]
    assert len(up.items("/api/notifications")) == BULK
