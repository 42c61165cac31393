"""A device's page on a real server with a real broker: what it measures, and what goes to it and comes back, live."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.payloads import announcement
from tests.support.mqtt import Device
from tests.support.muster import MusterUp

WITHIN = 20_000  # ms
PI = "reach-pi"
LOGGER = "REACH-1"
BEAT = {"serial_number": LOGGER}


@pytest.fixture(scope="module")
def up():
    with MusterUp("--offline-after", "600") as server:
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
    said = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.goto(up.page_url())
    page.get_by_role("link", name="packing-table").click(timeout=WITHIN)
    page.wait_for_url(f"**/devices/{PI}*")
    expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=WITHIN)
    page.evaluate("window.sameDocument = true")
    yield page
    assert not said


def messages(page):
    page.get_by_role("tab", name="Messages").click()
    return page.locator("#part-reach")


def test_a_command_goes_to_the_device_and_its_answer_to_the_page(wire, shown):
    reach = messages(shown)
    reach.get_by_label("Command", exact=True).fill("ping")
    reach.get_by_role("button", name="Give the command").click()
    given = wire.next(f"devices/{PI}/commands").json
    state = reach.locator("#commands-list li .verdict")
    expect(state).to_have_text("sent", timeout=WITHIN)
    wire.publish(f"devices/{PI}/responses", {"id": given["id"], "state": "running"})
    expect(state).to_have_text("running", timeout=WITHIN)
    wire.publish(f"devices/{PI}/responses", {"id": given["id"], "state": "succeeded", "result": {"up": 7}})
    expect(state).to_have_text("succeeded", timeout=WITHIN)
    expect(reach.locator("#commands-list summary")).to_have_text('{"up":7}')
    assert shown.evaluate("window.sameDocument")


def test_a_notification_goes_to_the_device_and_its_receipt_to_the_page(wire, shown):
    reach = messages(shown)
    reach.get_by_label("Title").fill("Temperature alert")
    reach.get_by_label("Text").fill("85 \N{DEGREE SIGN}C")
    reach.get_by_role("button", name="Send").click()
    sent = wire.next(f"devices/{PI}/notifications").json
    assert (sent["title"], sent["body"], sent["priority"]) == ("Temperature alert", "85 °C", "normal")
    state = reach.locator("#notifications-list li .verdict")
    expect(state).to_have_text("accepted", timeout=WITHIN)
    wire.publish(f"devices/{PI}/receipts", {"notification_id": sent["id"], "state": "displayed"})
    expect(state).to_have_text("displayed", timeout=WITHIN)
    assert shown.evaluate("window.sameDocument")
    shown.locator("#notifications-all").click()
    expect(shown.get_by_role("searchbox", name="Device")).to_have_value(PI)
    expect(shown.locator("#list > *").first).to_contain_text("displayed", timeout=WITHIN)


def test_a_chart_grows_with_each_reading(up, wire, shown):
    wire.publish("plant-1/datalogger/monstro/1/input", BEAT | {"temperature": 21.5}, qos=1)
    up.wait_presence(LOGGER, "online")
    up.wait_settled()
    shown.goto(f"http://{up.address}/devices/{LOGGER}")
    shown.get_by_role("tab", name="Readings").click()
    chart = shown.get_by_role("region", name="temperature")
    expect(chart).to_contain_text("21.5", timeout=WITHIN)
    shown.evaluate("window.sameDocument = true")
    for value in (33.25, 34.75):
        wire.publish("plant-1/datalogger/monstro/1/input", BEAT | {"temperature": value}, qos=1)
        expect(chart).to_contain_text(str(value), timeout=WITHIN)
    assert shown.evaluate("window.sameDocument")


def test_an_alarm_shows_itself_with_its_device_and_on_its_page_and_is_acknowledged(up, wire, shown):
    up.post("/api/alarm-rules", {"name": "warm", "kind": "metric", "metric": "temperature", "over": 80}, expect=201)
    wire.publish("plant-1/datalogger/monstro/1/heartbeat", BEAT)
    up.wait_presence(LOGGER, "online")
    shown.goto(f"http://{up.address}/devices/{LOGGER}")
    expect(shown.locator("#live")).to_have_attribute("data-state", "live", timeout=WITHIN)
    wire.publish("plant-1/datalogger/monstro/1/input", BEAT | {"temperature": 85}, qos=1)
    expect(shown.locator("#alarms-list li")).to_contain_text("temperature is 85", timeout=WITHIN)
    expect(shown.locator('nav a[data-area="alarms"]')).to_have_attribute("data-count", "1")
    shown.get_by_label("Pages").get_by_role("link", name="Alarms").click()
    row = shown.locator("#list > *", has_text="temperature is 85")
    row.get_by_role("button", name="Acknowledge").click(timeout=WITHIN)
    expect(row).to_contain_text("acknowledged", timeout=WITHIN)
    assert up.items("/api/alarms", state="open")[0]["acknowledged_by"]
