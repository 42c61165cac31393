"""The operator's buttons on a server at work: every part is healed, nothing is lost, nobody else notices."""

from __future__ import annotations

import pytest

from tests.e2e.payloads import datalogger, gateway, site_beat
from tests.support.killing import streaming
from tests.support.muster import query, walk
from tests.support.wait import eventually

SERVICES = (
    "registry", "batcher", "notary", "readers", "readers/reader.0", "http", "devices", "subscribers",
    "subscribers/subscriber.site", "subscribers/subscriber.pi", "links", "links/local.data", "links/local.control",
    "resolver", "loader",
)  # fmt: skip


def incarnations(server):
    """Path to the number of the incarnation, of everything that is listed."""
    return {node["path"].removeprefix("server/"): node["incarnation"] for node in walk(server.tree())}


def press(server, path, action="restart"):
    """Press a button; what serves the buttons answers first and restarts then."""
    before = incarnations(server)["http"]
    server.supervise(path, action)
    if path == "http":
        server.wait_health(lambda _: incarnations(server)["http"] > before, 10, "has a new face")


@pytest.mark.timeout(120)
def test_every_service_can_be_restarted_under_load_and_nothing_is_lost(mosquitto, muster, device):
    server, wire = muster(offline_after=30), device()
    wire.publish(gateway(1), site_beat("BYSTANDER"))
    before = server.wait_presence("BYSTANDER", "online")
    with streaming(server, mosquitto.url, messages=12_000, rate=2500) as stream:
        for path in SERVICES:
            stream.wait_stored(min(stream.stored + 100, 11_000))
            press(server, path)
            server.wait_health(lambda health: health["status"] == "ok", 10)
        stream.finish()
        outcome = stream.compare()
        assert outcome.kept, outcome
    tree = list(walk(server.tree()))
    assert {node["state"] for node in tree} == {"running"}
    assert server.health()["actors"]["quarantined"] == 0
    after = server.device("BYSTANDER")
    for name in ("since", "first_seen", "label", "device_id"):
        assert after[name] == before[name]
    server.stop()


def test_a_restart_of_one_leaves_the_others_alone(site, wire):
    before = incarnations(site)
    press(site, "subscribers/subscriber.pi")
    after = incarnations(site)
    assert after.pop("subscribers/subscriber.pi") > before.pop("subscribers/subscriber.pi")
    assert after == before
    wire.publish("devices/announce", {"device_id": "after-restart"})
    site.wait_presence("after-restart", "online")


def test_the_page_can_be_restarted_by_its_own_button_and_cannot_park_itself(site):
    press(site, "http")
    assert site.health()["status"] == "ok"
    site.supervise("http", "quarantine", expect=409)


def test_a_restart_of_the_devices_keeps_every_presence(muster, device):
    server, wire = muster(offline_after=30), device()
    for number in range(50):
        wire.publish(gateway(number), site_beat(f"GW-{number}"))
    wire.publish("devices/LEFT/status", "offline")
    eventually(lambda: server.health()["devices"]["total"] == 51, what="all of them")
    eventually(lambda: server.health()["devices"]["online"] == 50, what="all of them online")
    before = {found["serial"]: found for found in server.items("/api/devices")}
    press(server, "devices")
    eventually(lambda: server.node("devices")["counts"] == {"running": 51}, what="all run again")
    assert {found["serial"]: found for found in server.items("/api/devices")} == before
    wire.publish(gateway(77), site_beat("GW-7"))
    eventually(lambda: server.device("GW-7")["device_id"] == "77", what="it is heard")


def test_a_device_that_is_restarted_goes_on_as_it_was(muster, device):
    server, wire = muster(offline_after=4), device()
    wire.publish(gateway(1), site_beat("GW"))
    before = server.wait_presence("GW", "online")
    press(server, "devices/GW")
    found = server.device("GW")
    assert (found["presence"], found["since"]) == ("online", before["since"])
    offline = server.wait_presence("GW", "offline")
    assert offline["reason"] == "timeout", "its deadline outlived its actor"
    wire.publish(gateway(1), site_beat("GW"))
    server.wait_presence("GW", "online")


def test_a_device_in_quarantine_is_parked_visible_and_its_readings_are_stored(site, wire):
    def send(number):
        wire.publish(datalogger(1, "input"), {"serial_number": "PARKED", "n": number})

    def stored():
        return sorted(row.measures["n"] for row in site.rows if row.serial == "PARKED")

    send(0)
    eventually(lambda: stored() == [0], what="the first reading")
    press(site, "devices/PARKED", "quarantine")
    assert site.device("PARKED")["quarantined"] is True
    assert site.node("devices/PARKED")["state"] == "quarantined"
    assert site.health()["actors"]["quarantined"] == 1
    for number in range(1, 20):
        send(number)
    eventually(lambda: stored() == list(range(20)), what="its readings")
    site.wait_settled()
    wire.publish(gateway(2), site_beat("FREE"))
    site.wait_presence("FREE", "online")
    press(site, "devices/PARKED", "resume")
    assert site.device("PARKED")["quarantined"] is False
    assert site.health()["actors"]["quarantined"] == 0
    send(20)
    eventually(lambda: stored() == list(range(21)), what="the last one")
    site.wait_presence("PARKED", "online")


def test_quarantine_outlives_the_server(muster, device):
    server, wire = muster(), device()
    wire.publish(gateway(1), site_beat("GW"))
    server.wait_presence("GW", "online")
    press(server, "devices/GW", "quarantine")

    def stored():
        return query(server.database_url, "SELECT quarantined FROM device") == [(1,)]

    eventually(stored, what="it is stored")
    server.kill()
    server.restart()
    assert server.device("GW")["quarantined"] is True
    assert server.node("devices/GW")["state"] == "quarantined"
    press(server, "devices/GW", "resume")
    wire.publish(gateway(1), site_beat("GW"))
    server.wait_presence("GW", "online")


def test_paths_and_actions_that_are_not_there_are_refused(site):
    site.supervise("nothing", "restart", expect=404)
    site.supervise("devices/nobody", "restart", expect=404)
    site.supervise("registry", "explode", expect=404)
    site.supervise("registry", "resume", expect=409)
    assert site.call("POST", "/api/supervision/server/restart", {}).status in (404, 409)


def test_a_link_can_be_reconnected(site):
    def link():
        return next(link for link in site.get("/api/links")["items"] if link["name"] == "local.data")

    before = link()["reconnects"]
    site.post("/api/links/local.data/reconnect")
    eventually(lambda: link()["reconnects"] == before + 1 and link()["connected"], what="a new connection")


def test_services_that_are_parked_for_a_moment_lose_nothing(mosquitto, muster):
    server = muster()
    with streaming(server, mosquitto.url, messages=4000, rate=2000) as stream:
        stream.wait_stored(500)
        for path in ("subscribers/subscriber.site", "registry", "links/local.data"):
            press(server, path, "quarantine")
            press(server, path, "resume")
        stream.finish()
        assert stream.compare().kept, stream.compare()
