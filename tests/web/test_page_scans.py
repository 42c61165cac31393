"""The page of the scans in a real browser, on a real server, over fakes."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

from tests.support.axe import serious
from tests.support.wait import eventually
from tests.web.fake_scans import scan
from tests.web.page_site import NOW

GS1 = "010950600013435217141120\x1d10ABC123"


def put(server, scan_id, serial="pi-1", code="4006381333931", **fields):
    """A scan is stored, and the ring says so, as the server does it."""
    times = {"ts_us": NOW, "rx_us": NOW + len(server.face.scans.rows)}
    server.face.scans.rows.insert(0, scan(scan_id, serial, code, **(times | fields)))
    server.face.ring.publish("scan", serial, {"device_id": serial, "scan_id": scan_id})


@pytest.fixture
def shown(site, page, console):
    put(site, "s-1")
    put(site, "s-2", "pi-2", "4006381333932", valid=False, clock="unsynced")
    put(site, "s-3", "pi-2", GS1, symbology="GS1", valid=None, scanner="")
    page.goto(f"{site.url}/login?key=the-page-key")
    page.get_by_role("link", name="Scans").click()
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#list tr")).to_have_count(3)
    return page


def row(page, scan_id, serial="pi-1"):
    return page.locator(f'#list tr[data-key="{serial} {scan_id}"]')


def test_the_page_shows_scans_with_symbology_and_check_digit_the_newest_first(shown, console):
    assert shown.url.endswith("/scans")
    expect(shown).to_have_title("Muster: scans")
    keys = [each.get_attribute("data-key") for each in shown.locator("#list tr").all()]
    assert keys == ["pi-2 s-3", "pi-2 s-2", "pi-1 s-1"]
    good = row(shown, "s-1")
    expect(good.locator(".code")).to_have_text("4006381333931")
    expect(good.locator(".symbology")).to_have_text("EAN-13")
    expect(good.locator(".verdict")).to_have_text("right")
    expect(good.locator(".device")).to_have_text("pi-1usb-Datalogic")
    expect(good.locator(".age")).to_contain_text(" ago")
    bad = row(shown, "s-2", "pi-2")
    expect(bad.locator(".verdict")).to_have_text("wrong")
    expect(bad.locator(".clock")).to_have_text("its clock was not set")
    grouped = row(shown, "s-3", "pi-2").locator(".code")
    expect(grouped).to_have_text("010950600013435217141120GS10ABC123")
    expect(grouped.locator(".control")).to_have_text("GS")
    expect(row(shown, "s-3", "pi-2").locator(".verdict")).to_have_text("\N{EN DASH}")
    assert console == []


def test_a_scan_appears_without_a_reload_and_lights_up(site, shown, console):
    shown.evaluate("window.stillTheSamePage = true")
    put(site, "s-4", code="A-17", symbology="", valid=None)
    expect(row(shown, "s-4").locator(".code")).to_have_text("A-17")
    expect(row(shown, "s-4")).to_have_class("flash")
    expect(row(shown, "s-1")).not_to_have_class("flash")
    assert shown.locator("#list tr").first.get_attribute("data-key") == "pi-1 s-4"
    assert shown.evaluate("window.stillTheSamePage")
    assert console == []


def test_scans_of_one_device_or_code_are_chosen_by_words_and_by_click_and_survive_a_reload(site, shown):
    shown.get_by_label("Code").fill(" 4006381333932 ")
    shown.keyboard.press("Enter")
    expect(shown.locator("#list tr")).to_have_count(1)
    expect(row(shown, "s-2", "pi-2")).to_be_visible()
    shown.reload()
    expect(shown.locator("#list tr")).to_have_count(1)
    expect(shown.get_by_label("Code")).to_have_value("4006381333932")
    shown.get_by_label("Device").fill("pi-1")
    shown.get_by_role("button", name="Show").click()
    expect(shown.locator("#none")).to_contain_text("No scan matches.")
    shown.get_by_label("Code").fill("")
    shown.keyboard.press("Enter")
    expect(row(shown, "s-1")).to_be_visible()
    put(site, "s-5", "pi-2")
    put(site, "s-6", "pi-1")
    expect(row(shown, "s-6")).to_be_visible()
    expect(shown.locator("#list tr")).to_have_count(2)
    shown.get_by_label("Device").fill("")
    shown.keyboard.press("Enter")
    expect(shown.locator("#list tr")).to_have_count(5)
    expect(row(shown, "s-2", "pi-2").get_by_role("link", name="pi-2")).to_have_attribute("href", "/devices/pi-2")


def test_scans_of_a_time_are_chosen_in_the_viewers_zone_and_stand_in_the_address_in_utc(site, page):
    put(site, "s-1")
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}/scans")
    page.get_by_label("From").fill("2026-01-31T12:30")
    wanted = page.evaluate("new Date('2026-01-31T12:30').toISOString()")
    eventually(lambda: (site.face.scans.asked or {}).get("since_us"), what="that time is asked for")
    assert site.face.scans.asked["since_us"] == page.evaluate(f"Date.parse('{wanted}') * 1000")
    expect(page).to_have_url(re.compile("since=2026-01-31T"))
    page.reload()
    expect(page.get_by_label("From")).to_have_value("2026-01-31T12:30")
    expect(page.get_by_role("link", name="as JSON")).to_have_attribute("href", re.compile("since=2026.*limit=1000"))


def test_one_scan_is_shown_in_full_and_its_address_leads_to_it_again(site, shown, console):
    row(shown, "s-2", "pi-2").get_by_role("link", name="4006381333932").click()
    one = shown.get_by_role("region", name="4006381333932")
    expect(one).to_be_focused()
    expect(one.locator(".wrong")).to_contain_text("The check digit does not fit the code")
    expect(one.locator("dl")).to_contain_text("was not set")
    expect(one.get_by_role("link", name="pi-2")).to_have_attribute("href", "/devices/pi-2")
    shown.reload()
    expect(one).to_be_visible()
    asked = site.face.scans.asked
    eventually(lambda: site.face.scans.asked is not asked or asked["serial"] == "pi-2")
    shown.goto(f"{shown.url.partition('#')[0]}#scan/nobody%202026-01-31T12%3A00%3A00Z%20x")
    expect(shown.locator(".beside")).to_contain_text("It is not there any more.")
    shown.keyboard.press("Escape")
    expect(shown.locator(".beside")).to_be_hidden()
    assert [text for text in console if "404" not in text] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(site, shown, scheme):
    shown.emulate_media(color_scheme=scheme)
    row(shown, "s-2", "pi-2").get_by_role("link", name="4006381333932").click()
    expect(shown.get_by_role("region", name="4006381333932")).to_be_visible()
    assert serious(shown) == []


def test_the_page_speaks_italian(site, page, console):
    page.set_extra_http_headers({"Accept-Language": "it"})
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}/scans")
    expect(page.locator("#none")).to_contain_text("Non è stato ancora scansionato nulla.")
    assert console == []


def test_what_the_server_refuses_to_look_for_is_told_where_the_list_would_be(site, page):
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}/scans?code=%00")
    expect(page.locator("#none-words")).to_contain_text("code")
    expect(page.locator("#table")).to_be_hidden()


def test_many_scans_are_paged_by_the_server_and_an_older_page_stands_still(site, page):
    for number in range(70):
        put(site, f"s-{number}")
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}/scans")
    note = page.locator("#scans-note")
    expect(note).to_have_text("1 to 50")
    page.get_by_role("button", name="Next").click()
    expect(note).to_have_text("51 to 70")
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    page.get_by_role("button", name="Previous").click()
    expect(note).to_have_text("1 to 50")
    expect(row(page, "s-69")).to_be_visible()


def test_without_a_scan_the_page_says_how_to_make_one(site, page, console):
    page.goto(f"{site.url}/login?key=the-page-key")
    page.get_by_role("link", name="Scans").click()
    expect(page.locator("#none")).to_contain_text("Nothing has been scanned yet.")
    expect(page.locator("#none")).to_contain_text("muster-edge scan")
    expect(page.locator("#table")).to_be_hidden()
    put(site, "s-1")
    expect(row(page, "s-1")).to_be_visible()
    expect(page.locator("#none")).to_be_hidden()
    assert console == []


def test_what_was_scanned_is_text_and_never_markup(site, page, console):
    evil = '<img src=x onerror="document.title=1"><b>x</b>'
    put(site, "s-1", code=evil, symbology=evil, scanner=evil, clock=evil)
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}/scans")
    expect(row(page, "s-1").locator(".code")).to_have_text(evil)
    expect(row(page, "s-1").locator(".symbology")).to_have_text(evil)
    assert page.locator("main b, main img").count() == 0
    assert page.title() == "Muster: scans"
    assert console == []


@pytest.mark.parametrize("width", [1280, 768, 360])
def test_at_every_width_nothing_is_cut_off(site, shown, width):
    shown.set_viewport_size({"width": width, "height": 800})
    put(site, "long", "pi-1", "x" * 400, scanner="usb-Honeywell_Imaging___Mobility_1900_16061B45A7-event-kbd")
    expect(row(shown, "long")).to_be_visible()
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.evaluate("document.documentElement.clientWidth") == width
    for cell in row(shown, "long").locator("td, th").all():
        assert cell.evaluate("e => e.scrollWidth <= e.clientWidth + 1"), json.dumps([width, cell.text_content()])


def test_without_a_session_the_page_leads_to_the_login(site, page):
    page.goto(f"{site.url}/scans")
    expect(page.get_by_label("Access token")).to_be_visible()
