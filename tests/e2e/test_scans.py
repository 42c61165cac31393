"""Scans from outside: over MQTT and HTTP, each once, whatever becomes of the server in the middle of it."""

from __future__ import annotations

import json
import random
import threading

import pytest

from tests.support.muster import query
from tests.support.wait import eventually

EAN = "4006381333931"
NOON = "2026-08-22T12:00:00Z"
SCANS = 3_000
DEVICES = ("scan-a", "scan-b", "scan-c")


def topic(serial):
    return f"devices/{serial}/scans"


def listed(server, **wanted):
    return server.items("/api/scans", **wanted)


def post(server, body):
    return server.call("POST", "/api/scans", body)


def test_a_scan_is_stored_receipted_counted_and_found(site, wire):
    wire.subscribe("devices/pi-1/receipts")
    before = site.metric("muster_scans_total", event="stored")
    told = {"scan_id": "s1", "code": EAN, "timestamp": NOON, "device_id": "pi-1", "scanner": "Zebra", "clock": "ntp"}
    wire.publish(topic("pi-1"), told)
    assert wire.next("devices/pi-1/receipts").json["stored"] == ["s1"]
    (scan,) = listed(site, device="pi-1")
    assert {name: scan[name] for name in told} == told | {"timestamp": "2026-08-22T12:00:00.000Z"}
    assert (scan["symbology"], scan["valid"]) == ("EAN-13", True)
    assert site.metric("muster_scans_total", event="stored") == before + 1
    assert site.device("pi-1")["presence"] == "online"


def test_a_scan_that_is_sent_again_over_any_way_is_one_row_and_receipted_again(site, wire):
    wire.subscribe("devices/pi-2/receipts")
    told = {"scan_id": "s1", "code": EAN, "device_id": "pi-2"}
    for _ in range(2):
        wire.publish(topic("pi-2"), told)
        assert wire.next("devices/pi-2/receipts").json["stored"] == ["s1"]
    status, body = post(site, told)
    assert (status, body["duplicate"], body["scan_id"]) == (200, True, "s1")
    assert len(listed(site, device="pi-2")) == 1


def test_a_scan_that_is_posted_is_answered_after_the_commit(site):
    status, body = post(site, {"code": "4006381333932", "device_id": "pi-3", "timestamp": NOON})
    assert status == 201
    assert (body["stored"], body["duplicate"], body["valid"], body["symbology"]) == (True, False, False, "EAN-13")
    (scan,) = listed(site, device="pi-3")
    assert scan["scan_id"] == body["scan_id"]


def test_a_refused_scan_is_a_dead_letter_and_its_sender_is_told_why(site, wire):
    wire.subscribe("devices/pi-4/receipts")
    wire.publish(topic("pi-4"), {"scan_id": "s1", "code": 7})
    receipt = wire.next("devices/pi-4/receipts").json
    assert (receipt["stored"], receipt["refused"]) == ([], {"s1": "wrong_type"})
    (letter,) = [letter for letter in site.dead_letters() if letter["serial"] == "pi-4"]
    assert letter["reason"] == "wrong_type"
    status, body = post(site, {"code": "", "device_id": "pi-4"})
    assert (status, body["error"]["details"]["field"]) == (400, "code")
    assert listed(site, device="pi-4") == []


def test_a_code_keeps_its_group_separators_on_the_whole_way(site, wire):
    code = "010400638133393110ABC\x1d21XYZ"
    wire.publish(topic("pi-5"), {"code": code})
    (scan,) = eventually(lambda: listed(site, device="pi-5"), what="the scan")
    assert scan["code"] == code
    assert [found["device_id"] for found in listed(site, code=code)] == ["pi-5"]


def test_the_tree_that_an_edge_reports_can_be_seen(site, wire):
    tree = {"path": "edge", "id": "edge", "state": "running", "kind": "supervisor", "restarts": 0, "children": []}
    wire.publish("devices/pi-6/status", {"status": "online", "supervision": tree})
    told = eventually(lambda: (a := site.call("GET", "/api/devices/pi-6/supervision")).status == 200 and a, what="it")
    assert told.body["id"] == "edge"


class Hand:
    """Scans number after number with three devices, in a thread: with an id, with a time, and with neither."""

    def __init__(self, device):
        self._device = device
        self.failure = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            for start in range(0, SCANS, 100):
                under_way = [self._publish(number) for number in range(start, start + 100)]
                for message in under_way:
                    message.wait_for_publish(60)
        except Exception as error:  # noqa: BLE001 - the test looks at what it was
            self.failure = error

    def _publish(self, number):
        body = {"code": f"{number:06d}"}
        match number // len(DEVICES) % 3:
            case 0:
                body |= {"scan_id": f"s{number}", "timestamp": NOON}
            case 1:
                body |= {"timestamp": NOON}
            case _:  # only packet ids and DUP can tell
                pass
        serial = DEVICES[number % len(DEVICES)]
        return self._device.client.publish(topic(serial), json.dumps(body), qos=1)


def stored(server):
    sql = "SELECT d.serial, s.code FROM scan s JOIN device d ON d.id = s.device_id ORDER BY s.id"
    return query(server.database_url, sql)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_no_scan_is_lost_or_stored_twice_when_the_server_is_killed_again_and_again(muster, device):
    server = muster()
    hand = Hand(device())
    for share in sorted(random.Random().sample(range(100, SCANS - 200), 3)):
        eventually(lambda share=share: len(stored(server)) >= share, 60, f"{share} scans")
        server.kill()
        server.restart()
    hand.thread.join(60)
    assert not hand.thread.is_alive()
    assert hand.failure is None
    eventually(lambda: len(stored(server)) >= SCANS, 60, "all scans")
    server.wait_settled()
    rows = stored(server)
    for place, serial in enumerate(DEVICES):
        codes = [code for owner, code in rows if owner == serial]
        assert codes == [f"{number:06d}" for number in range(place, SCANS, len(DEVICES))], serial
    assert server.dead_letters() == []
    server.stop()
