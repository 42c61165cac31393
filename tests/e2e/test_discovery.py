"""Devices appear by themselves: the payloads of real ones, from the broker to the API."""

from __future__ import annotations

import re

import pytest

from tests.e2e.payloads import ANNOUNCEMENT, announcement, datalogger, gateway, heartbeat, site_beat
from tests.support.mqtt import Device, Will
from tests.support.wait import eventually

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
FIELDS = {
    "serial", "kind", "type", "device_id", "site", "label", "group", "presence", "reason", "since", "ip_address",
    "hostname", "mac_address", "first_seen", "last_seen", "offline_after", "flapping", "quarantined", "services",
    "system_info", "device_token", "metadata",
}  # fmt: skip


def test_an_announced_pi_has_every_field_of_its_announcement(site, wire):
    wire.publish("devices/announce", ANNOUNCEMENT)
    pi = site.wait_presence("817994ccfe14", "online")
    assert pi.keys() >= FIELDS
    assert pi["kind"] == pi["type"] == "raspberry_pi"
    assert pi["reason"] == "announce"
    assert {name: pi[name] for name in ("ip_address", "hostname", "mac_address", "services", "system_info")} == {
        name: ANNOUNCEMENT[name] for name in ("ip_address", "hostname", "mac_address", "services", "system_info")
    }
    assert pi["label"] == "raspberrypi"
    assert pi["offline_after"] == 60.0
    assert pi["flapping"] is False
    assert pi["quarantined"] is False
    assert pi["site"] is None
    assert all(RFC3339.fullmatch(pi[name]) for name in ("since", "first_seen", "last_seen"))


def test_the_pi_view_finds_it_by_serial_and_by_hostname(site, wire):
    wire.publish("devices/announce", announcement("pi-view-1", hostname="packing-table"))
    site.wait_presence("pi-view-1", "online")
    assert site.get("/api/pi_device/pi-view-1")["hostname"] == "packing-table"
    assert site.get("/api/pi_device/packing-table")["serial"] == "pi-view-1"
    assert "pi-view-1" in [pi["serial"] for pi in site.items("/api/pi_devices")]


def test_a_heartbeat_updates_a_pi_and_a_detailed_status_adds_to_it(site, wire):
    wire.publish("devices/announce", announcement("pi-moves"))
    wire.publish("devices/heartbeat", heartbeat("pi-moves", ip_address="192.168.1.101"))
    eventually(lambda: (site.device("pi-moves") or {}).get("ip_address") == "192.168.1.101", what="the new address")
    detail = {"device_id": "pi-moves", "status": "online", "system_info": {"cpu_temperature": 61.5}}
    wire.publish("devices/status", detail)
    eventually(lambda: site.device("pi-moves")["system_info"] == {"cpu_temperature": 61.5}, what="the status")
    assert site.device("pi-moves")["hostname"] == "raspberrypi"


def test_the_first_heartbeat_of_an_unknown_pi_makes_a_record_and_asks_it_alone_to_announce(site, wire):
    wire.subscribe("server/requests")
    wire.publish("devices/heartbeat", heartbeat("pi-unknown"))
    assert site.wait_presence("pi-unknown", "online")["reason"] == "heartbeat"
    request = wire.next("server/requests")
    assert request.json == {"request": "announce", "device_id": "pi-unknown"}
    assert not request.retain
    wire.publish("devices/announce", announcement("pi-unknown"))
    eventually(lambda: site.device("pi-unknown")["hostname"] == "raspberrypi", what="the announcement")


def test_a_bound_topic_needs_no_serial_in_the_payload(site, wire):
    wire.publish("devices/bound-1/announce", {"hostname": "bound"})
    assert site.wait_presence("bound-1", "online")["hostname"] == "bound"
    wire.publish("devices/bound-2/heartbeat", {})
    site.wait_presence("bound-2", "online")
    wire.publish("devices/bound-3/status", "online", retain=False)
    site.wait_presence("bound-3", "online")


def test_a_datalogger_is_discovered_by_its_heartbeat(site, wire):
    wire.publish(
        "plant-1/datalogger/monstro/1/heartbeat", {"serial_number": "TEST123", "timestamp": "2025-10-17T10:00:00Z"}
    )
    logger = site.wait_presence("TEST123", "online")
    assert {name: logger[name] for name in ("kind", "type", "device_id", "site", "label", "offline_after")} == {
        "kind": "datalogger", "type": "monstro", "device_id": "1", "site": "plant-1", "label": "monstro/1",
        "offline_after": 30.0,
    }  # fmt: skip


def test_a_gateway_is_discovered_by_its_heartbeat(site, wire):
    wire.publish("plant-1/gateway/7/heartbeat", site_beat("GW-1"))
    found = site.wait_presence("GW-1", "online")
    assert (found["kind"], found["device_id"], found["site"], found["label"]) == (
        "gateway",
        "7",
        "plant-1",
        "Gateway 7",
    )


def test_a_serial_that_moves_keeps_its_record(site, wire):
    wire.publish(datalogger(1), site_beat("MOVER"))
    first = site.wait_presence("MOVER", "online")
    wire.publish(datalogger(2, kind="soil", site="greenhouse"), site_beat("MOVER"))
    moved = eventually(lambda: (d := site.device("MOVER"))["site"] == "greenhouse" and d, what="the new site")
    assert (moved["device_id"], moved["type"], moved["label"]) == ("2", "soil", "soil/2")
    assert moved["first_seen"] == first["first_seen"]
    wire.publish(gateway(1), site_beat("MOVER-GW"))
    site.wait_presence("MOVER-GW", "online")
    wire.publish(gateway(9), site_beat("MOVER-GW"))
    eventually(lambda: site.device("MOVER-GW")["label"] == "Gateway 9", what="the new id")


def test_an_input_alone_discovers_a_datalogger(site, wire):
    wire.publish(datalogger(4, "input"), {"serial_number": "TALKS-ONLY", "level": 1})
    assert site.wait_presence("TALKS-ONLY", "online")["label"] == "monstro/4"


def test_a_label_that_an_operator_gave_survives_a_move(site, wire):
    wire.publish(gateway(3), site_beat("NAMED"))
    site.wait_presence("NAMED", "online")
    assert site.call("PATCH", "/api/devices/NAMED", {"label": "North wall"}).status == 200
    wire.publish(gateway(4), site_beat("NAMED"))
    eventually(lambda: site.device("NAMED")["device_id"] == "4", what="the move")
    assert site.device("NAMED")["label"] == "North wall"


@pytest.mark.parametrize("kind", ["datalogger", "gateway", "raspberry_pi"])
def test_a_device_declared_before_it_speaks_is_met_by_its_first_heartbeat(site, wire, kind):
    serial = f"DECLARED-{kind}"
    site.post("/api/devices", {"serial": serial, "kind": kind, "label": "Expected"}, expect=201)
    assert site.presence(serial) == "offline"
    topics = {"datalogger": datalogger(8), "gateway": gateway(8), "raspberry_pi": "devices/heartbeat"}
    wire.publish(topics[kind], {**site_beat(serial), "device_id": serial})
    found = site.wait_presence(serial, "online")
    assert (found["kind"], found["label"]) == (kind, "Expected")
    assert found["first_seen"] == found["last_seen"] == found["since"]
    if kind != "raspberry_pi":
        assert found["site"] == "plant"


def test_the_first_family_that_a_device_speaks_fixes_its_kind(site, wire):
    site.post("/api/devices", {"serial": "GUESSED", "kind": "other"}, expect=201)
    wire.publish(gateway(5), site_beat("GUESSED"))
    found = site.wait_presence("GUESSED", "online")
    assert (found["kind"], found["site"], found["label"]) == ("gateway", "plant", "Gateway 5")
    wire.publish(datalogger(5), site_beat("GUESSED"))
    wire.publish(gateway(6), site_beat("GUESSED"))
    found = eventually(lambda: (d := site.device("GUESSED"))["device_id"] == "6" and d, what="the move")
    assert found["kind"] == "gateway"


def test_only_configured_sites_are_heard(muster, device):
    server, wire = muster(env={"MUSTER_SITES": "north,south"}), device()
    for place in ("east", "north"):
        wire.publish(gateway(site=place), site_beat(f"GW-{place}"))
    server.wait_presence("GW-north", "online")
    assert server.device("GW-east") is None


def test_the_server_says_online_retained_and_asks_who_is_there(mosquitto, muster):
    with Device(mosquitto.url) as early:
        early.subscribe("server/requests")
        server = muster()
        request = early.next("server/requests", timeout=10)
        assert request.json["request"] == "announce"
        assert isinstance(request.json["spread"], int)
        assert not request.retain
    with Device(mosquitto.url) as late:
        late.subscribe("#")
        seen = late.next("server/discovery")
        assert seen.retain
        assert seen.json["status"] == "online"
        assert seen.json.keys() == {"server_id", "status", "url", "version", "timestamp"}
        assert seen.json["url"] == f"http://{server.address}"
        assert RFC3339.fullmatch(seen.json["timestamp"])
        assert not [message for message in late.received if message.topic == "server/requests"]


def test_a_server_that_is_killed_is_said_to_be_offline_by_its_will(muster, device):
    server, listener = muster(), device()
    listener.subscribe("server/discovery")
    online = listener.next("server/discovery").json
    assert online["status"] == "online"
    server.kill()
    offline = listener.next("server/discovery").json
    assert (offline["status"], offline["server_id"]) == ("offline", online["server_id"])
    server.restart()
    back = listener.next("server/discovery").json
    assert (back["status"], back["server_id"]) == ("online", online["server_id"])


def test_a_server_that_is_stopped_says_farewell(muster, device):
    server, listener = muster(), device()
    listener.subscribe("server/discovery")
    assert listener.next("server/discovery").json["status"] == "online"
    server.stop()
    assert listener.next("server/discovery").json["status"] == "offline"
    listener.subscribe("server/#")
    assert listener.next("server/discovery").json["status"] == "offline"


def test_it_asks_again_after_its_link_was_down(mosquitto, muster, device):
    server = muster()
    mosquitto.restart()
    with Device(mosquitto.url) as listener:
        listener.subscribe("server/requests")
        assert listener.next("server/requests", timeout=15).json["request"] == "announce"
    server.wait_connected()


def test_what_a_broker_kept_of_a_device_is_no_discovery(mosquitto, muster, device):
    old = device(will=Will("devices/ghost/status", "offline", retain=True))
    old.publish("devices/announce", announcement("ghost-announced"), retain=True)
    old.publish(gateway(), site_beat("ghost-gateway"), retain=True)
    old.drop()
    server = muster()
    device().publish("devices/announce", announcement("real"))
    server.wait_presence("real", "online")
    assert [found["serial"] for found in server.items("/api/devices")] == ["real"]
