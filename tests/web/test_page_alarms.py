"""The page of the alarms in a real browser, on a real server, over fakes."""

from __future__ import annotations

import datetime as dt

import pytest
from playwright.sync_api import expect

from tests.support.wait import eventually
from tests.web.fake_alarms import alarm


def at(seconds=0.0):
    """A time from now, as the API writes it."""
    return (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def put(site, number, /, **fields):
    """An alarm is raised, and the ring says so, as the server does it."""
    row = alarm(number, **({"raised": at(-90), "updated": at()} | fields))
    site.face.alarms.rows.insert(0, row)
    site.face.ring.publish("alarm", str(number), row)


@pytest.fixture
def shown(site, page, console):
    put(site, 1, members=["gw-7", "meter-1", "meter-2"])
    put(site, 2, severity="critical", rule="hot", kind="metric", device="pi-1", site=None, count=1, summary="too hot")
    over = {"state": "cleared", "cleared": at(-30), "cleared_why": "rule_changed"}
    put(site, 3, rule="link", device=None, site=None, count=0, members=[], summary="the link x is down", **over)
    page.goto(f"{site.url}/login?key=the-page-key")
    page.get_by_role("link", name="Alarms").click()
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#list tr")).to_have_count(2)
    return page


def row(page, number):
    return page.locator(f'#list tr[data-key="{number}"]')


def test_the_page_shows_what_is_open_the_newest_first(shown, console):
    assert shown.title() == "Muster: alarms"
    assert [each.get_attribute("data-key") for each in shown.locator("#list tr").all()] == ["2", "1"]
    group = row(shown, 1)
    expect(group.locator(".summary")).to_have_text("gateway gw-7 at site harbour is offline with 40 devices behind it")
    expect(group.locator(".rule")).to_have_text("offline")
    expect(group.locator(".severity")).to_have_text("warning")
    expect(group.locator(".device")).to_have_text("gw-7harbour")
    expect(group.locator(".age")).to_have_text("1 min ago")
    expect(group.locator(".state .verdict")).to_have_text("open")
    group.get_by_text("41 devices").click()
    expect(group.locator(".members")).to_have_text("gw-7, meter-1, meter-2 and 38 more")
    expect(row(shown, 2).locator("details")).to_be_hidden()
    assert console == []


def test_an_alarm_appears_lights_up_and_goes_without_a_reload(site, shown, console):
    shown.evaluate("window.stillTheSamePage = true")
    put(site, 4, summary="new")
    expect(row(shown, 4).locator(".summary")).to_have_text("new")
    expect(row(shown, 4)).to_have_class("flash")
    site.face.alarms.rows[0] |= {"state": "cleared", "cleared": at(), "cleared_why": "over"}
    site.face.ring.publish("alarm", "4", site.face.alarms.rows[0])
    expect(row(shown, 4)).to_have_count(0)
    assert shown.evaluate("window.stillTheSamePage")
    assert console == []


def test_an_alarm_is_acknowledged_silenced_and_heard_again(site, shown, console):
    site.face.alarms.silence = lambda number, until_us, by, address: site.face.alarms._change(
        number, silenced_until=dt.datetime.fromtimestamp(until_us / 1e6, dt.UTC).isoformat(), silenced_by=by
    )
    shown.get_by_role("button", name="Acknowledge: alarm 1").click()
    expect(row(shown, 1).locator(".state .verdict")).to_have_text("acknowledged")
    expect(row(shown, 1).locator(".said")).to_have_text("by admin")
    expect(shown.get_by_role("button", name="Acknowledge: alarm 1")).to_have_count(0)
    shown.get_by_role("button", name="Silence 1 h: alarm 1").click()
    expect(row(shown, 1).locator(".quieted")).to_contain_text("silenced, ends in")
    shown.get_by_role("button", name="End silence: alarm 1").click()
    expect(row(shown, 1).locator(".quieted")).to_have_text("")
    expect(shown.get_by_role("button", name="Silence 1 h: alarm 1")).to_be_visible()
    assert console == []


def test_what_is_over_is_shown_when_asked_for_and_the_choice_survives_a_reload(site, shown):
    shown.get_by_label("State").select_option("Over")
    expect(shown.locator("#list tr")).to_have_count(1)
    over = row(shown, 3)
    expect(over.locator(".state .verdict")).to_have_text("over")
    expect(over.locator(".said")).to_have_text("its rule was changed")
    expect(over.locator(".over")).to_contain_text("over 3")
    expect(over.get_by_role("button")).to_have_count(0)
    shown.reload()
    expect(shown.locator("#list tr")).to_have_count(1)
    expect(shown.get_by_label("State")).to_have_value("cleared")
    shown.get_by_label("State").select_option("Open and over")
    expect(shown.locator("#list tr")).to_have_count(3)
    shown.get_by_label("Severity").select_option("Critical")
    expect(shown.locator("#list tr")).to_have_count(1)
    shown.get_by_label("Device").fill("gw-7")
    shown.keyboard.press("Enter")
    expect(shown.locator("#none")).to_contain_text("No alarm matches.")
    shown.goto(f"{site.url}/alarms?severity=typo")
    expect(shown.locator("#list tr")).to_have_count(2)
    row(shown, 1).get_by_role("link").click()
    expect(shown.get_by_label("Device")).to_have_value("gw-7")
    expect(shown.locator("#list tr")).to_have_count(1)


def test_whoever_is_at_a_button_stays_there_when_an_alarm_above_is_over(site, shown):
    acknowledge = shown.get_by_role("button", name="Acknowledge: alarm 1")
    acknowledge.focus()
    site.face.alarms.rows[1]["state"] = "cleared"
    site.face.ring.publish("alarm", "2", {"id": 2})
    expect(shown.locator("#list tr")).to_have_count(1)
    expect(acknowledge).to_be_focused()


def test_a_reader_is_offered_no_buttons_and_a_refusal_is_told(site, page, console):
    put(site, 1)
    page.goto(site.url)
    page.get_by_label("Access token").fill("the-read-token")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Alarms").click()
    expect(row(page, 1)).to_be_visible()
    expect(row(page, 1).get_by_role("button")).to_have_count(0)
    page.locator("#menu summary").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Access token")).to_be_visible()
    page.goto(f"{site.url}/login?key=the-page-key")
    page.get_by_role("link", name="Alarms").click()
    expect(row(page, 1)).to_be_visible()
    site.face.alarms.acknowledge = lambda *_: site.face.alarms._change(99)
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_role("alert")).to_have_text("there is no alarm of this id")


def test_without_an_alarm_the_page_says_so(site, page, console):
    page.goto(f"{site.url}/login?key=the-page-key")
    page.get_by_role("link", name="Alarms").click()
    expect(page.locator("#none")).to_contain_text("No alarm is open.")
    expect(page.locator("#table")).to_be_hidden()
    assert console == []


def test_many_alarms_are_paged_by_the_server(site, page):
    for number in range(1, 71):
        put(site, number)
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}/alarms")
    note = page.locator("#alarms-note")
    expect(note).to_have_text("1 to 50")
    page.get_by_role("button", name="Next").click()
    expect(note).to_have_text("51 to 70")


def test_what_an_alarm_says_is_text_and_never_markup(site, page, console):
    evil = '<img src=x onerror="document.title=1"><b>x</b>'
    put(site, 1, summary=evil, rule=evil, device=evil, site=evil, members=[evil])
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}/alarms")
    expect(row(page, 1).locator(".summary")).to_have_text(evil)
    assert page.locator("main b, main img").count() == 0
    assert page.title() == "Muster: alarms"
    assert console == []


@pytest.mark.parametrize("width", [1280, 768, 360])
def test_at_every_width_nothing_is_cut_off(site, shown, width):
    shown.set_viewport_size({"width": width, "height": 800})
    put(site, 9, summary="x" * 400, rule="y" * 64, device="z" * 64, site="s" * 64)
    expect(row(shown, 9)).to_be_visible()
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    for cell in row(shown, 9).locator("td, th").all():
        assert cell.evaluate("e => e.scrollWidth <= e.clientWidth + 1"), (width, cell.text_content())
    eventually(lambda: row(shown, 9).get_by_role("button", name="Silence").is_visible())
