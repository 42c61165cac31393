"""The live page in a real browser, on a real server with real devices: never a reload."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.payloads import announcement, gateway, site_beat
from tests.support.mqtt import Device, Will
from tests.support.muster import MusterUp
from tests.support.wait import eventually

WITHIN = 20_000  # ms
SILENCE = 6.0  # seconds: long beside what a busy machine needs for a step, short beside a test


@pytest.fixture(scope="module")
def up():
    with MusterUp("--offline-after", str(SILENCE)) as server:
        yield server


class Console(list):
    """What the browser complained about, but for what a test expects: a connection that breaks is told there."""

    expected: tuple[str, ...] = ()

    def hear(self, message):
        if message.type in ("error", "warning") and not any(part in message.text for part in self.expected):
            self.append(message.text)


@pytest.fixture
def console(page):
    said = Console()
    page.on("console", said.hear)
    return said


@pytest.fixture
def shown(up, page, console):
    """The page, opened by the link that `muster up` prints."""
    page.goto(up.page_url())
    expect_live(page)
    page.evaluate("window.sameDocument = true")
    yield page
    assert page.evaluate("window.sameDocument"), "the page was loaded again"
    assert not console


def expect_live(page):
    expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=WITHIN)


def row(page, serial):
    return page.locator(f'#devices tr[data-key="{serial}"]')


def expect_presence(page, serial, presence, reason=None):
    expect(row(page, serial).locator(".state")).to_have_text(presence, timeout=WITHIN)
    if reason:
        expect(row(page, serial).locator(".reason")).to_have_text(reason, timeout=WITHIN)


def test_a_device_appears_goes_and_returns_before_your_eyes(up, shown):
    expect(row(shown, "page-pi")).to_have_count(0)
    will = Will("devices/page-pi/status", "offline")
    with Device(up.broker_url, will=will) as pi:
        pi.publish("devices/announce", announcement("page-pi", hostname="packing-table"))
        expect(row(shown, "page-pi")).to_contain_text("packing-table", timeout=WITHIN)
        expect(row(shown, "page-pi")).to_contain_text("192.168.1.100")
        pi.publish("devices/announce", announcement("page-pi", hostname="packing-table"))
        expect_presence(shown, "page-pi", "online", "announced")
        pi.publish("devices/announce", announcement("page-pi", hostname="packing-table"))
        pi.drop()
    expect_presence(shown, "page-pi", "offline", "last will")
    with Device(up.broker_url) as pi:
        pi.publish("devices/heartbeat", {"device_id": "page-pi"})
        expect_presence(shown, "page-pi", "online", "heartbeat")
    expect_presence(shown, "page-pi", "offline", "silent")


def test_a_gateway_that_falls_silent_is_shown_offline_and_counted(up, shown):
    with Device(up.broker_url) as wire:
        wire.publish(gateway(12), site_beat("page-gw"))
        expect(row(shown, "page-gw")).to_contain_text("Gateway 12", timeout=WITHIN)
        expect_presence(shown, "page-gw", "offline", "silent")
        total = up.health()["devices"]["total"]
        expect(shown.locator("#count-total")).to_have_text(str(total), timeout=WITHIN)
        expect(shown.locator("#count-offline")).to_have_text(str(total), timeout=WITHIN)


def test_the_page_survives_a_restart_of_what_serves_it(up, shown, console):
    console.expected = ("ERR_",)
    up.supervise("http", "restart")
    up.wait_health(lambda health: health["status"] == "ok")
    with Device(up.broker_url) as wire:
        wire.publish(gateway(14), site_beat("page-http"))
        expect(row(shown, "page-http")).to_be_visible(timeout=WITHIN)


def test_a_dead_letter_is_shown_with_its_reason(up, shown):
    with Device(up.broker_url) as wire:
        wire.publish(gateway(15), b"no JSON at all")
        eventually(lambda: any(letter["reason"] == "not_json" for letter in up.dead_letters()), what="it is kept")
    shown.evaluate("window.sameDocument = true")
    link = shown.get_by_label("Pages").get_by_role("link", name="Dead letters")
    with shown.expect_navigation():
        link.click()
    shown.evaluate("window.sameDocument = true")
    letter = shown.locator("#list > *").first
    expect(letter).to_contain_text("not json", timeout=WITHIN)
    expect(letter).to_contain_text(gateway(15))


def test_a_stranger_sees_the_login_and_nothing_else(up, page):
    page.goto(f"http://{up.address}/")
    expect(page).to_have_url(f"http://{up.address}/login")
    assert "page-pi" not in page.content()


def test_the_page_survives_a_kill_of_the_server_and_nobody_logs_in_again(up, shown, console):
    console.expected = ("ERR_", "503")
    up.kill()
    expect(shown.locator("#live")).not_to_have_attribute("data-state", "live", timeout=WITHIN)
    up.restart()
    expect_live(shown)
    with Device(up.broker_url) as wire:
        wire.publish(gateway(16), site_beat("page-kill"))
        expect(row(shown, "page-kill")).to_be_visible(timeout=WITHIN)
