"""Alarms of a whole server: a storm of silence over real MQTT, news to a real webhook and a real topic, restarts."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.mqtt import Device
from tests.support.muster import Muster
from tests.support.wait import eventually, throughout

OFFLINE_AFTER = 2.0
CONFIG = """
[alarms]
defaults = false

[[alarms.rules]]
name = "silent"
kind = "offline_for"
lasts = 1.0
group_wait = 2.0

[alarms.channels.hook]
webhook = "{hook}"
headers = {{ Authorization = "Bearer of-the-hook" }}

[alarms.channels.floor]
topic = "factory/floor-3/alerts"
"""


class Hook:
    """A webhook that fails as often as it is told to."""

    def __init__(self):
        self.got, self.failures = [], 0
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                failing = hook.failures > 0
                hook.failures -= failing
                if not failing:
                    hook.got.append((dict(self.headers), body))
                self.send_response(503 if failing else 204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook?team=ops"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def hook():
    hook = Hook()
    yield hook
    hook.close()


@pytest.fixture
def server(mosquitto, hook):
    server = Muster(mosquitto.url, offline_after=OFFLINE_AFTER)
    (server.directory / "muster.toml").write_text(CONFIG.format(hook=hook.url))
    with server:
        yield server


def beat(wire, site, devices):
    wire.publish(f"{site}/gateway/7/heartbeat", {"serial_number": f"{site}-gw"})
    for number in range(devices):
        wire.publish(f"{site}/datalogger/meter/{number}/heartbeat", {"serial_number": f"{site}-{number}"})


def open_alarms(server):
    return server.items("/api/alarms", state="open")


def ended(server, number):
    """Whether all news of an alarm have arrived, as far as the database knows."""
    return all(notice["ended"] for notice in server.get(f"/api/alarms/{number}")["notices"])


@pytest.mark.slow
def test_five_hundred_devices_behind_two_gateways_go_dark_and_two_alarms_tell_of_it(server, mosquitto, hook):
    hook.failures = 1
    with Device(mosquitto.url) as floor, Device(mosquitto.url) as wire:
        floor.subscribe("factory/floor-3/alerts")
        for site in ("north", "south"):
            beat(wire, site, 249)
        eventually(lambda: server.health()["devices"]["total"] == 500, what="all are known")
        eventually(lambda: server.health()["devices"]["offline"] == 500, what="all are offline")
        told = {floor.next("factory/floor-3/alerts").json["data"]["subject"] for _ in range(2)}
        assert told == {"gateway:north-gw", "gateway:south-gw"}
        eventually(lambda: [alarm["count"] for alarm in open_alarms(server)] == [250, 250], what="all are in them")
        eventually(lambda: len(hook.got) == 2, 40, what="the news are at the hook")
    eventually(lambda: all(ended(server, alarm["id"]) for alarm in open_alarms(server)), what="that is on disk")
    headers, body = hook.got[0]
    assert (headers["Authorization"], body["event"], body["state"]) == ("Bearer of-the-hook", "raised", "open")
    assert "with 249 devices behind it" in body["summary"]
    for serial in ("north-7", "north-gw"):
        assert [alarm["subject"] for alarm in server.items("/api/alarms", device=serial)] == ["gateway:north-gw"]
    first, second = (alarm["id"] for alarm in open_alarms(server))
    server.post(f"/api/alarms/{first}/acknowledge", {}, expect=200)
    server.post(f"/api/alarms/{second}/silence", {"seconds": 3600}, expect=200)
    server.kill()
    server.restart()
    after = {alarm["id"]: alarm for alarm in open_alarms(server)}
    assert after[first]["acknowledged_by"] == "admin"
    assert after[second]["silenced_by"] == "admin"
    throughout(4, lambda: len(server.items("/api/alarms")) == 2, "the same two alarms")
    assert len(hook.got) == 2
    code, table = server.run("alarms")
    assert code == 0
    assert {"acknowledged", "silenced"} <= set(table.split())
    with Device(mosquitto.url) as wire:
        subject = after[first]["subject"].removeprefix("gateway:").removesuffix("-gw")

        def is_over():
            beat(wire, subject, 249)
            return [alarm["id"] for alarm in open_alarms(server)] == [second]

        eventually(is_over, what="the alarm is over when all are back")
    eventually(lambda: len(hook.got) == 3, 40, what="the hook is told that it is over")
    assert hook.got[2][1]["event"] == "cleared"
    assert server.metric("muster_alarms", severity="warning") == 1


@pytest.mark.slow
def test_a_rule_made_over_http_watches_what_is_stored(server, mosquitto):
    rule = {"name": "hot", "kind": "metric", "metric": "temperature", "over": 80, "severity": "critical"}
    server.post("/api/alarm-rules", rule, expect=201)
    with Device(mosquitto.url) as wire, Device(mosquitto.url) as floor:
        floor.subscribe("factory/floor-3/alerts")
        wire.publish("devices/pi-1/readings", {"temperature": 85.5}, qos=1)
        told = floor.next("factory/floor-3/alerts").json
        assert (told["title"], told["body"]) == ("Critical: hot", "pi-1: temperature is 85.5, over 80")
        assert told["priority"] == "urgent"
        number = told["data"]["id"]
        wire.publish("devices/pi-1/readings", {"temperature": 20}, qos=1)
        eventually(lambda: server.get(f"/api/alarms/{number}")["state"] == "cleared", what="it is over")
        assert floor.next("factory/floor-3/alerts").json["title"] == "Over: hot"
    timeline = [(event["kind"], event["data"].get("action")) for event in server.items("/api/devices/pi-1/events")]
    assert ("alarm", "raised") in timeline
    assert ("alarm", "cleared") in timeline
    notices = server.get(f"/api/alarms/{number}")["notices"]
    assert {(notice["event"], notice["channel"]) for notice in notices} >= {("raised", "floor"), ("cleared", "floor")}


@pytest.mark.slow
def test_a_webhook_that_hangs_holds_up_no_other_channel_and_hears_all_in_order_when_it_is_well(mosquitto, hook):
    deaf = socket.create_server(("127.0.0.1", 0))  # takes connections, and never answers
    server = Muster(mosquitto.url)
    channels = CONFIG.format(hook=hook.url) + "\n[alarms.channels.deaf]\ntimeout = 1\nwebhook = "
    settings = server.directory / "muster.toml"
    settings.write_text(channels + f'"http://127.0.0.1:{deaf.getsockname()[1]}/"')
    with server, Device(mosquitto.url) as wire:
        server.post("/api/alarm-rules", {"name": "hot", "kind": "metric", "metric": "t", "over": 80}, expect=201)
        for number, value in enumerate((90, 20, 91, 21), start=1):
            wire.publish("devices/pi-1/readings", {"t": value}, qos=1)
            eventually(lambda count=number: len(hook.got) == count, what="the hook hears at once")
        failed = eventually(lambda: server.metric("muster_alarm_events_total", event="notice_failed"), what="it fails")
        assert failed >= 1
        assert [body["event"] for _, body in hook.got] == ["raised", "cleared"] * 2
        hook.got.clear()
        server.kill()
        settings.write_text(channels + f'"{hook.url}"')
        server.restart()
        eventually(lambda: len(hook.got) == 4, 60, "it hears of both")
        for number in {body["id"] for _, body in hook.got}:
            assert [body["event"] for _, body in hook.got if body["id"] == number] == ["raised", "cleared"]
    deaf.close()
