"""The pages of updates and notifications beside a real server and broker."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from supervisor.release.keys import PrivateKey
from tests.release.support import make_release
from tests.support.mqtt import Device
from tests.support.muster import MusterUp
from tests.support.releasing import trust
from tests.support.wait import eventually

WITHIN = 20_000  # ms
PI = {"device_id": "lists-pi", "hostname": "raspberrypi", "device_type": "raspberry_pi"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def up():
    with MusterUp() as server:
        with Device(server.broker_url) as wire:
            wire.publish("devices/announce", PI)
            eventually(lambda: server.device("lists-pi"), what="the Pi is known")
        yield server


@pytest.fixture
def at(up, page):
    """`at(path)`: a page of the server, for its admin."""
    page.set_default_timeout(WITHIN)
    answer = page.request.post(
        f"http://{up.address}/api/login", data={"token": up.token}, headers={"X-Muster-CSRF": "1"}
    )
    assert answer.ok

    def go(path):
        page.goto(f"http://{up.address}{path}")
        expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=WITHIN)
        return page

    return go


def confirm(page, verb):
    page.get_by_role("dialog").get_by_role("button", name=verb).click()


def test_a_release_is_uploaded_rolled_out_and_revoked_on_the_page(up, at, tmp_path):
    key = PrivateKey.generate()
    trust(up.data, key)
    page = at("/updates#releases")
    page.get_by_text("Upload a release", exact=True).click()
    page.locator("#upload-file").set_input_files(make_release(tmp_path, key))
    page.get_by_role("button", name="Upload", exact=True).click()
    release = page.locator(".beside")
    expect(release.locator(".verdict")).to_have_text("ready", timeout=WITHIN)
    version = up.items("/api/releases")[0]["version"]
    page.get_by_role("link", name="Rollouts").click()
    page.get_by_text("Start a rollout", exact=True).click()
    page.get_by_label("First, in percent").fill("100")
    page.get_by_role("button", name="Start…").click()
    expect(page.get_by_role("dialog")).to_contain_text(f"Bring {version} to all devices (now 1)?")
    confirm(page, "Start")
    rollout = page.get_by_role("region", name=f"{version} for")
    expect(rollout.locator(".of-rollout")).to_contain_text("lists-pi", timeout=WITHIN)
    at(f"/updates#release/{version}")
    release.get_by_role("button", name=f"Revoke {version}").click()
    confirm(page, "Revoke")
    expect(release.locator(".verdict")).to_have_text("revoked", timeout=WITHIN)
    page.get_by_role("link", name="Rollouts").click()
    expect(page.locator("#list .verdict")).to_have_text("halted", timeout=WITHIN)
    expect(page.locator("#list").get_by_role("button", name="Cancel")).to_be_visible()
    expect(page.locator("#list").get_by_role("button")).to_have_count(1)


def test_a_notification_is_sent_and_its_receipt_arrives_without_a_reload(up, at):
    page = at("/notifications")
    with Device(up.broker_url) as wire:
        wire.subscribe("devices/lists-pi/notifications", qos=1)
        page.get_by_text("Send a notification").click()
        page.locator("#to-device").fill("lists-pi")
        page.locator("#subject").fill("Close the gate")
        page.get_by_role("button", name="Send", exact=True).click()
        page.get_by_role("link", name="See what becomes of it").click()
        delivery = page.locator(".beside .deliveries")
        expect(delivery.locator(".verdict")).to_have_text("accepted", timeout=WITHIN)
        notification = up.items("/api/notifications")[0]["id"]
        wire.publish("devices/lists-pi/receipts", {"notification_id": notification, "state": "displayed"})
        expect(delivery.locator(".verdict")).to_have_text("displayed", timeout=WITHIN)
    expect(page.locator("#list .verdict")).to_have_text("displayed", timeout=WITHIN)
