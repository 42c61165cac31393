"""Links that an operator pauses, what the broker tells of itself, and crashes that are remembered."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from tests.e2e.payloads import site_beat
from tests.support.mqtt import Device
from tests.support.muster import MusterUp
from tests.support.wait import eventually

SITE = "plant-1/datalogger/monstro/1"


@pytest.fixture(scope="module")
def up():
    with MusterUp() as server:
        yield server


@pytest.fixture
def wire(up):
    with Device(up.broker_url) as wire:
        yield wire


def state(up, name):
    return next(link["state"] for link in up.items("/api/links") if link["name"] == name)


def pause(up, name, action="pause", *, state_then="paused"):
    up.post(f"/api/links/{name}/{action}")
    eventually(lambda: state(up, name) == state_then, what=f"{name} is {state_then}")


def resume(up, name):
    pause(up, name, "resume", state_then="subscribed")


def test_what_is_sent_while_the_data_link_is_paused_is_stored_when_it_is_resumed(up, wire):
    wire.publish(f"{SITE}/heartbeat", site_beat("PAUSED"))
    up.wait_presence("PAUSED", "online")
    pause(up, "local.data")
    for number in range(20):
        wire.publish(
            f"{SITE}/input", site_beat("PAUSED") | {"timestamp": f"2026-01-31T12:00:{number:02}Z", "n": number}
        )
    health = up.health()
    assert health["status"] == "degraded"
    assert health["broker"]["detail"] == "local.data is paused by an operator"
    assert up.metric("muster_link_paused", link="local.data") == 1
    assert up.presence("PAUSED") == "online", "its beats are heard on the other link"
    assert not up.readings("PAUSED")
    assert up.post("/api/links/local.data/pause", expect=409)["error"]["message"] == "local.data is paused already"
    up.supervise("links/local.data", "restart")
    eventually(lambda: up.node("links/local.data")["state"] == "running", what="the link's actor is back")
    eventually(lambda: state(up, "local.data") == "paused", what="the new incarnation obeys, too")
    resume(up, "local.data")
    eventually(lambda: len(up.readings("PAUSED")) == 20, what="all of it is stored")
    up.wait_health(lambda health: health["status"] == "ok" and "detail" not in health["broker"])


def test_while_the_control_link_is_paused_nobody_is_called_offline(up, wire):
    wire.publish(f"{SITE}/heartbeat", site_beat("UNSEEN"))
    up.wait_presence("UNSEEN", "online")
    pause(up, "local.control")
    assert up.presence("UNSEEN") == "unknown"
    (broker,) = up.items("/api/brokers")
    assert broker["figures"] == {}
    assert broker["reason"] == "local.control is paused; it is the link that hears them"
    assert up.post("/api/links/local.control/reconnect", expect=409)["error"]["message"].endswith("resume it")
    resume(up, "local.control")
    wire.publish(f"{SITE}/heartbeat", site_beat("UNSEEN"))
    up.wait_presence("UNSEEN", "online")


def test_the_broker_that_muster_runs_tells_its_figures(up):
    def told():
        (broker,) = up.items("/api/brokers")
        return broker if len(broker["figures"]) > 15 else None

    broker = eventually(told, what="the figures of the broker")
    assert broker["version"].startswith("mosquitto version")
    assert broker["reason"] is None
    assert broker["figures"]["uptime"]["unit"] == "s"


def broker_process(up):
    (broker,) = [
        child for child in psutil.Process(up.process.pid).children(recursive=True) if child.name() == "mosquitto"
    ]
    return broker


@pytest.mark.timeout(90)
def test_a_crash_is_remembered_with_its_place_also_after_a_restart_of_the_server(up):
    os.kill(broker_process(up).pid, signal.SIGKILL)

    def crashes():
        return [group for group in up.items("/api/crashes") if group["role"] == "broker"]

    (group,) = eventually(crashes, what="the crash of the broker")
    assert (group["count"], group["paths"]) == (1, ["server/broker"])
    assert group["place"].startswith("supervisor/server/")
    assert up.metric("muster_actor_crashes_total", role="broker") == 1
    up.wait_health(lambda health: health["status"] == "ok")
    up.interrupt()
    up.start()
    assert crashes() == [group]
    assert up.get(f"/api/crashes/{group['id']}")["crashes"][0]["path"] == "server/broker"
    assert up.metric("muster_actor_crashes_total", role="broker") == 0
