"""What the page does to a device, on a real server with a real broker: its states are live, to the device and back."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.payloads import announcement
from tests.support.mqtt import Device
from tests.support.muster import MusterUp

WITHIN = 20_000  # ms
PI = "reach-pi"
LOGGER = "REACH-1"


@pytest.fixture(scope="module")
def up():
    with MusterUp() as server:
        yield server


@pytest.fixture
def wire(up):
    """A Pi that is there and listens."""
    with Device(up.broker_url) as pi:
        for topic in ("commands", "notifications"):
            pi.subscribe(f"devices/{PI}/{topic}")
        pi.publish("devices/announce", announcement(PI, hostname="packing-table"))
        up.wait_presence(PI, "online")
        yield pi


@pytest.fixture
def shown(up, wire, page):
    page.goto(up.page_url())
    page.get_by_role("button", name="packing-table").click(timeout=WITHIN)
    return page


def test_a_ping_goes_to_the_device_and_its_answer_to_the_page(wire, shown):
    shown.get_by_role("button", name="Ping this device").click()
    given = wire.next(f"devices/{PI}/commands").json
    state = shown.locator("#commands-list li .verdict")
    expect(state).to_have_text("sent", timeout=WITHIN)
    wire.publish(f"devices/{PI}/responses", {"id": given["id"], "state": "running"})
    expect(state).to_have_text("running", timeout=WITHIN)
    wire.publish(f"devices/{PI}/responses", {"id": given["id"], "state": "succeeded", "result": {"up": 7}})
    expect(state).to_have_text("succeeded", timeout=WITHIN)
    expect(shown.locator("#commands-list summary")).to_have_text('{"up":7}')


def test_a_notification_goes_to_the_device_and_its_receipt_to_the_page(up, wire, shown):
    shown.get_by_label("Title").fill("Temperature alert")
    shown.get_by_label("Text").fill("85 \N{DEGREE SIGN}C")
    shown.get_by_role("button", name="Send").click()
    sent = wire.next(f"devices/{PI}/notifications").json
    assert (sent["title"], sent["body"], sent["priority"]) == ("Temperature alert", "85 °C", "normal")
    state = shown.locator("#notifications-list li .verdict")
    expect(state).to_have_text("accepted", timeout=WITHIN)
    wire.publish(f"devices/{PI}/receipts", {"notification_id": sent["id"], "state": "displayed"})
    expect(state).to_have_text("displayed", timeout=WITHIN)
    shown.get_by_role("link", name="Notifications").last.click()
    expect(shown.get_by_label("Device")).to_have_value(PI)
    expect(shown.locator("#list tr .state")).to_have_text("displayed", timeout=WITHIN)


def test_an_alarm_shows_itself_with_its_device_and_on_its_page_and_is_acknowledged(up, wire, shown):
    up.post("/api/alarm-rules", {"name": "warm", "kind": "metric", "metric": "temperature", "over": 80}, expect=201)
    beat = {"serial_number": LOGGER, "timestamp": "2026-01-31T12:00:00Z"}
    wire.publish("plant-1/datalogger/monstro/1/heartbeat", beat)
    shown.locator(f'#devices tr[data-key="{LOGGER}"]').get_by_role("button").click(timeout=WITHIN)
    wire.publish("plant-1/datalogger/monstro/1/input", beat | {"temperature": 85})
    expect(shown.locator("#alarms-list li")).to_contain_text("temperature is 85", timeout=WITHIN)
    shown.get_by_label("Pages").get_by_role("link", name="Alarms").click()
    row = shown.locator("#list tr", has_text="temperature is 85")
    row.get_by_role("button", name="Acknowledge").click(timeout=WITHIN)
    expect(row.locator(".state .verdict")).to_have_text("acknowledged", timeout=WITHIN)
    assert up.items("/api/alarms", state="open")[0]["acknowledged_by"]
