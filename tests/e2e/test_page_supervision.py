"""The tree on the page while parts of the server die: what happens is seen to happen, and to heal."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.payloads import gateway, site_beat
from tests.support.mqtt import Device
from tests.support.muster import MusterUp
from tests.support.wait import eventually

WITHIN = 30_000  # ms
VICTIM = "subscribers/subscriber.site"


@pytest.fixture(scope="module")
def up():
    with MusterUp() as server:
        yield server


@pytest.fixture
def shown(up, page):
    said = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.goto(up.page_url())
    page.goto(f"http://{up.address}/supervision")
    expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=WITHIN)
    page.evaluate("window.sameDocument = true")
    yield page
    assert page.evaluate("window.sameDocument"), "the page was loaded again"
    assert not said


def node(page, path):
    return page.locator(f'#tree [role="treeitem"][data-key="server/{path}"]')


def line(page, path):
    return node(page, path).locator(".line").first


def test_an_actor_that_is_killed_on_the_page_is_seen_to_heal(up, shown):
    before = up.node(VICTIM)
    line(shown, VICTIM).click()
    shown.locator("#node-buttons").get_by_role("button", name="Restart").click()
    shown.get_by_role("dialog").get_by_role("button", name="Restart").click()
    eventually(lambda: up.node(VICTIM)["incarnation"] > before["incarnation"], what="the restart")
    expect(line(shown, VICTIM)).to_contain_text("1 restart", timeout=WITHIN)
    expect(line(shown, VICTIM).locator(".dot")).to_have_class("dot online")
    with Device(up.broker_url) as wire:
        wire.publish(gateway(13), site_beat("page-after"))
    up.wait_presence("page-after", "online")


def test_one_that_is_parked_is_shown_so_until_it_is_resumed(up, shown):
    line(shown, VICTIM).click()
    buttons = shown.locator("#node-buttons")
    buttons.get_by_role("button", name="Quarantine").click()
    shown.get_by_role("dialog").get_by_role("button", name="Quarantine").click()
    expect(line(shown, VICTIM)).to_contain_text("quarantined", timeout=WITHIN)
    buttons.get_by_role("button", name="Resume").click()
    expect(line(shown, VICTIM)).not_to_contain_text("quarantined", timeout=WITHIN)
    eventually(lambda: up.node(VICTIM)["state"] == "running", what="it runs again")


def test_a_broker_that_is_killed_is_seen_to_go_and_to_come_back(up, shown):
    before = up.node("broker")["restarts"]
    broker = next(child for child in up.process.descendants() if child.name().startswith("mosquitto"))
    broker.kill()
    expect(line(shown, "broker")).to_contain_text(f"{before + 1} restart", timeout=WITHIN)
    up.wait_connected()
    expect(shown.locator("#brokers")).to_contain_text("up", timeout=WITHIN)
    expect(shown.locator("#trouble")).to_be_hidden(timeout=WITHIN)
