"""Those who wait to enrol, on the page."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.support.wait import eventually
from tests.web.fake_enrolments import asker
from tests.web.page_site import NOW


@pytest.fixture
def shown(site, page, console):
    page.goto(f"{site.url}/login?key=the-page-key")
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#devices tr")).to_have_count(2)
    return page


def test_who_waits_to_enrol_appears_and_is_let_in_by_a_button(site, shown, console):
    waiting = shown.locator("#waiting")
    expect(waiting).to_be_hidden()
    site.face.enrolments.rows["pi-8"] = asker("pi-8", requested_us=NOW)
    site.face.enrolments.rows["pi-9"] = asker("pi-9", hostname="", requested_us=NOW)
    site.face.ring.publish("enrolment", "pi-8", {"serial": "pi-8"})
    expect(waiting.locator("li")).to_have_count(2)
    expect(waiting.locator('li[data-key="pi-8"]')).to_contain_text("raspberrypi · 192.168.1.9")
    shown.get_by_role("button", name="Approve pi-8").click()
    eventually(lambda: site.face.enrolments.decided == [("approve", "pi-8", "admin", "127.0.0.1")])
    expect(waiting.locator("li")).to_have_count(1)
    shown.get_by_role("button", name="Deny pi-9").click()
    expect(waiting).to_be_hidden()
    assert [decision[0] for decision in site.face.enrolments.decided] == ["approve", "deny"]
    assert console == []


def test_a_click_approves_the_request_that_is_shown_and_no_other(site, shown):
    rows = site.face.enrolments.rows
    rows["pi-8"] = asker("pi-8", requested_us=NOW)
    site.face.ring.publish("enrolment", "pi-8", {"serial": "pi-8"})
    button = shown.get_by_role("button", name="Approve pi-8")
    expect(button).to_be_visible()
    rows["pi-8"] |= {"address": "192.168.1.66", "request": "came-later"}  # and no event has told the page yet
    button.click()
    expect(shown.locator("#toast")).to_contain_text("does not wait any more")
    assert site.face.enrolments.decided == []
    expect(shown.locator('li[data-key="pi-8"]')).to_contain_text("192.168.1.66")
    button.click()
    eventually(lambda: [decision[0] for decision in site.face.enrolments.decided] == ["approve"])


@pytest.mark.parametrize(("token", "shows"), [("the-operate-token", True), ("the-read-token", False)])
def test_only_an_admin_is_offered_the_decision(site, page, console, token, shows):
    site.face.enrolments.rows["pi-8"] = asker("pi-8")
    page.goto(site.url)
    page.get_by_label("Access token").fill(token)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#links li")).to_have_count(1)
    expect(page.locator("#waiting-list li")).to_have_count(1 if shows else 0)
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    assert console == []
