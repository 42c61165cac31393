"""The page of one device, on a real server with a real broker: what it shows is live, to the device and back."""

from __future__ import annotations

import datetime as dt

import pytest
from playwright.sync_api import expect

from tests.e2e.payloads import announcement, site_beat
from tests.support.mqtt import Device, Will
from tests.support.muster import MusterUp
from tests.support.wait import eventually

WITHIN = 20_000  # ms
PI = "page-of-a-pi"
LOGGER = "PAGE-1"
SITE = "plant-1/datalogger/monstro/1"


@pytest.fixture(scope="module")
def up():
    with MusterUp("--offline-after", "30") as server:
        yield server


@pytest.fixture
def wire(up):
    """A Pi that is there and listens, with a last will."""
    with Device(up.broker_url, will=Will(f"devices/{PI}/status", "offline")) as pi:
        for topic in ("commands", "notifications"):
            pi.subscribe(f"devices/{PI}/{topic}")
        pi.publish("devices/announce", announcement(PI, hostname="packing-table"))
        up.wait_presence(PI, "online")
        yield pi


@pytest.fixture
def shown(up, page):
    """The page of the Pi, which is never loaded again; nothing is complained about."""
    said = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.goto(up.page_url())
    page.goto(f"http://{up.address}/devices/{PI}")
    expect(page.locator("#live")).to_have_text("live", timeout=WITHIN)
    page.evaluate("window.sameDocument = true")
    yield page
    assert page.evaluate("window.sameDocument"), "the page was loaded again"
    assert not said


def part(page, name):
    page.get_by_role("tab", name=name).click()
    return page.get_by_role("tabpanel", name=name)


def test_a_device_goes_offline_and_returns_before_your_eyes(up, wire, shown):
    word, band = shown.locator("#presence-word"), shown.locator("#band > i")
    expect(word).to_have_text("online", timeout=WITHIN)
    wire.drop()
    expect(word).to_have_text("offline", timeout=WITHIN)
    expect(shown.locator("#presence-reason")).to_have_text("last will")
    expect(band.last).to_have_class("offline", timeout=WITHIN)
    with Device(up.broker_url) as back:
        back.publish("devices/announce", announcement(PI, hostname="packing-table"))
        expect(word).to_have_text("online", timeout=WITHIN)
        expect(band.last).to_have_class("online", timeout=WITHIN)


def test_a_command_goes_to_the_device_and_its_answer_to_the_page(wire, shown):
    reach = part(shown, "Messages")
    reach.get_by_label("Command", exact=True).fill("ping")
    reach.get_by_role("button", name="Give the command").click()
    given = wire.next(f"devices/{PI}/commands").json
    state = reach.locator("#commands-list li .verdict").first
    expect(state).to_have_text("sent", timeout=WITHIN)
    wire.publish(f"devices/{PI}/responses", {"id": given["id"], "state": "running"})
    expect(state).to_have_text("running", timeout=WITHIN)
    wire.publish(f"devices/{PI}/responses", {"id": given["id"], "state": "succeeded", "result": {"up": 7}})
    expect(state).to_have_text("succeeded", timeout=WITHIN)
    expect(reach.locator("#commands-list summary").first).to_have_text('{"up":7}')


def test_a_notification_goes_to_the_device_and_its_receipt_to_the_page(wire, shown):
    reach = part(shown, "Messages")
    reach.get_by_label("Title").fill("Temperature alert")
    reach.get_by_label("Text").fill("85 \N{DEGREE SIGN}C")
    reach.get_by_role("button", name="Send").click()
    sent = wire.next(f"devices/{PI}/notifications").json
    assert (sent["title"], sent["body"], sent["priority"]) == ("Temperature alert", "85 °C", "normal")
    state = reach.locator("#notifications-list li .verdict").first
    expect(state).to_have_text("accepted", timeout=WITHIN)
    wire.publish(f"devices/{PI}/receipts", {"notification_id": sent["id"], "state": "displayed"})
    expect(state).to_have_text("displayed", timeout=WITHIN)


def test_an_actor_that_is_restarted_is_seen_to_heal(wire, shown):
    actor = part(shown, "Actor")
    expect(actor.locator("#actor-state")).to_have_text("running", timeout=WITHIN)
    actor.get_by_role("button", name="Quarantine the actor").click()
    shown.get_by_role("dialog").get_by_role("button", name="Quarantine").click()
    expect(actor.locator("#actor-state")).to_have_text("quarantined", timeout=WITHIN)
    expect(shown.locator("#presence-word")).to_have_text("unknown", timeout=WITHIN)
    actor.get_by_role("button", name="Resume the actor").click()
    expect(actor.locator("#actor-state")).to_have_text("running", timeout=WITHIN)
    wire.publish("devices/heartbeat", {"device_id": PI})
    expect(shown.locator("#presence-word")).to_have_text("online", timeout=WITHIN)


def test_a_chart_grows_with_each_reading(up, wire, shown):
    def measure(level):
        stamp = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        wire.publish(f"{SITE}/input", {"serial_number": LOGGER, "timestamp": stamp, "level": level})

    wire.publish(f"{SITE}/heartbeat", site_beat(LOGGER))
    measure(3)
    eventually(lambda: up.readings(LOGGER), what="the reading is stored")
    shown.goto(f"http://{up.address}/devices/{LOGGER}#readings")
    shown.evaluate("window.sameDocument = true")
    chart = shown.get_by_role("region", name="level")
    expect(chart).to_contain_text("3", timeout=WITHIN)
    measure(7777)
    expect(chart).to_contain_text("7,777", timeout=WITHIN)


def test_an_alarm_appears_with_its_device_and_is_acknowledged(up, wire, shown):
    up.post("/api/alarm-rules", {"name": "warm", "kind": "metric", "metric": "temperature", "over": 80}, expect=201)
    shown.goto(f"http://{up.address}/devices/{LOGGER}")
    shown.evaluate("window.sameDocument = true")
    wire.publish(f"{SITE}/heartbeat", site_beat(LOGGER))
    wire.publish(f"{SITE}/input", site_beat(LOGGER) | {"temperature": 85})
    alarm = shown.locator("#alarms-list li")
    expect(alarm).to_contain_text("temperature is 85", timeout=WITHIN)
    alarm.get_by_role("button", name="Acknowledge").click()
    expect(alarm).to_contain_text("acknowledged by", timeout=WITHIN)
    assert up.items("/api/alarms", state="open")[0]["acknowledged_by"]


def test_a_device_that_is_removed_by_somebody_else_says_so(up, wire, shown):
    expect(shown.locator("#presence-word")).to_have_text("online", timeout=WITHIN)
    assert up.call("DELETE", f"/api/devices/{PI}").status == 204
    expect(shown.get_by_role("heading", level=1)).to_have_text(f"The device {PI} was removed", timeout=WITHIN)
