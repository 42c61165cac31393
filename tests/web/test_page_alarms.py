"""The page of the alarms in a real browser, on a real server, over fakes."""

from __future__ import annotations

import datetime as dt
import time

import msgspec
import pytest
from playwright.sync_api import expect

from actors.alarms.rules import DEFAULT_RULES, KINDS
from tests.support.axe import serious
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


def put_rule(site, name, /, **fields):
    """A rule, with what is usual for its kind filled in, as the server tells it."""
    rule = next((rule for rule in DEFAULT_RULES if rule.name == name), DEFAULT_RULES[0])
    row = msgspec.structs.asdict(rule) | {"lasts": rule.lasting, "over": rule.limit[0], "under": rule.limit[1]}
    told = {"name": name, "origin": "default", "changed_us": 0, "changed_by": ""}
    site.face.alarms.rule_rows[name] = row | told | fields


@pytest.fixture
def ruled(site, page, console):
    put_rule(site, "offline")
    put_rule(site, "cold", kind="metric", metric="temperature", over=8.0, lasts=300.0, origin="configuration")
    put_rule(site, "hot", kind="metric", metric="temperature", over=80.0, lasts=0.0, site="harbour", origin="api")
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}/alarms#rules")
    expect(page.locator("#rules-list tr")).to_have_count(3)
    return page


def rule_row(page, name):
    return page.locator(f'#rules-list tr[data-key="{name}"]')


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
    expect(shown).to_have_title("(2) Muster: alarms")
    assert [each.get_attribute("data-key") for each in shown.locator("#list tr").all()] == ["2", "1"]
    group = row(shown, 1)
    expect(group.locator(".summary")).to_have_text("gateway gw-7 at site harbour is offline with 40 devices behind it")
    expect(group.locator(".rule")).to_have_text("offline")
    expect(group.locator(".severity")).to_have_text("warning")
    expect(group.locator(".device")).to_have_text("gw-7harbour")
    expect(group.locator(".age")).to_have_text("1 min ago")
    expect(group.locator(".state .verdict")).to_have_text("open")
    expect(group.get_by_role("link", name="gw-7", exact=True)).to_have_attribute("href", "/devices/gw-7")
    assert console == []


def test_one_alarm_is_shown_with_who_it_is_about_what_happened_and_who_was_told(site, shown, console):
    row(shown, 1).get_by_role("link", name="gateway gw-7").click()
    one = shown.get_by_role("region", name="gateway gw-7 at site harbour is offline with 40 devices behind it")
    expect(one).to_be_focused()
    expect(shown).to_have_url(f"{site.url}/alarms#alarm/1")
    expect(one.locator(".members li")).to_have_text(["gw-7", "meter-1", "meter-2", "and 38 more"])
    expect(one.get_by_role("link", name="meter-1")).to_have_attribute("href", "/devices/meter-1")
    expect(one.locator(".course .what")).to_have_text(["told to ops", "raised"])
    expect(one.locator(".notices .line")).to_contain_text(["ops: raisedsent"])
    site.face.alarms.rows[2] |= {"state": "cleared", "cleared": at(), "cleared_why": "over"}
    site.face.ring.publish("alarm", "1", {"id": 1})
    expect(one.locator(".verdict.state")).to_have_text("over")
    expect(one.locator(".course .what").last).to_have_text("over")
    shown.reload()
    expect(one).to_be_visible()
    shown.keyboard.press("Escape")
    one.get_by_role("button", name="Close").click()
    expect(one).to_be_hidden()
    expect(shown).to_have_url(f"{site.url}/alarms")
    assert serious(shown) == []
    assert console == []


def test_an_alarm_is_silenced_for_a_chosen_time_and_the_page_says_that_it_is(site, shown):
    before = time.time()
    site.face.alarms.silence = lambda number, until_us, by, address: site.face.alarms._change(
        number, silenced_until=dt.datetime.fromtimestamp(until_us / 1e6, dt.UTC).isoformat(), silenced_by=by
    )
    row(shown, 1).get_by_role("link", name="gateway gw-7").click()
    one = shown.locator(".beside")
    one.get_by_label("For how long").select_option("1 day")
    one.get_by_role("button", name="Silence: alarm 1").click()
    expect(shown.get_by_role("alert").filter(has_text="Silenced.")).to_be_visible()
    expect(one.locator(".quieted")).to_contain_text("silenced, ends in 1 d")
    until = dt.datetime.fromisoformat(site.face.alarms.rows[2]["silenced_until"]).timestamp()
    assert before + 86_390 < until < time.time() + 86_410
    one.get_by_role("button", name="End silence: alarm 1").click()
    expect(one.get_by_label("For how long")).to_be_visible()


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
    shown.get_by_label("Severity").select_option("critical")
    expect(shown.locator("#list tr")).to_have_count(1)
    shown.get_by_label("Device").fill("gw-7")
    shown.keyboard.press("Enter")
    expect(shown.locator("#none")).to_contain_text("No alarm matches.")
    shown.goto(f"{site.url}/alarms?severity=typo")
    expect(shown.locator("#list tr")).to_have_count(2)
    shown.get_by_label("Rule", exact=True).fill("hot")
    shown.get_by_label("Site").fill("harbour")
    shown.get_by_role("button", name="Show").click()
    eventually(lambda: (site.face.alarms.asked["rule"], site.face.alarms.asked["site"]) == ("hot", "harbour"))
    expect(shown).to_have_url(f"{site.url}/alarms?rule=hot&site=harbour")


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
    expect(page).to_have_title("(1) Muster: alarms")
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


def test_the_rules_are_told_in_words(ruled, console):
    expect(rule_row(ruled, "offline").locator(".condition")).to_have_text("Device is offline for 5 min")
    expect(rule_row(ruled, "hot").locator(".condition")).to_have_text("Number in the readings: temperature over 80")
    expect(rule_row(ruled, "hot").locator(".about-whom")).to_have_text("site harbour")
    expect(rule_row(ruled, "cold").locator(".from")).to_have_text("configuration")
    assert serious(ruled) == []
    assert console == []


def test_a_rule_of_the_configuration_is_read_only_and_says_where_it_is_changed(ruled):
    rule_row(ruled, "cold").get_by_role("link").click()
    one = ruled.get_by_role("region", name="cold")
    expect(one).to_contain_text("stands in the configuration file and is changed there")
    expect(one.get_by_role("button", name="Close")).to_be_visible()
    expect(one.get_by_role("button")).to_have_count(1)


def test_a_rule_is_changed_disabled_and_deleted_once_it_is_confirmed(site, ruled, console):
    rule_row(ruled, "hot").get_by_role("link").click()
    one = ruled.get_by_role("region", name="hot")
    one.get_by_text("Change", exact=True).click()
    one.get_by_role("button", name="Save").click()
    expect(one.locator(".problem")).to_have_text("Nothing was changed.")
    one.get_by_label("Over", exact=True).fill("82.5")
    one.get_by_role("button", name="Save").click()
    expect(rule_row(ruled, "hot").locator(".condition")).to_contain_text("over 82.5")
    expect(one.locator("dl")).to_contain_text("over 82.5")
    one.get_by_role("button", name="Disable: rule hot").click()
    ruled.get_by_role("dialog").get_by_role("button", name="Disable").click()
    expect(rule_row(ruled, "hot").locator(".off")).to_have_text("disabled")
    one.get_by_role("button", name="Enable: rule hot").click()
    expect(rule_row(ruled, "hot").locator(".off")).to_have_text("")
    one.get_by_role("button", name="Delete: rule hot").click()
    expect(ruled.get_by_role("dialog")).to_contain_text("Its open alarms end")
    ruled.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(ruled.locator("#rules-list tr")).to_have_count(2)
    expect(one).to_be_hidden()
    assert "hot" not in site.face.alarms.rule_rows
    assert console == []


def test_a_rule_is_made_and_a_refusal_stays_to_be_read(site, ruled):
    ruled.get_by_role("link", name="New rule").click()
    form = ruled.get_by_role("form", name="New rule")
    form.get_by_label("Name").fill("hot")
    form.get_by_label("Metric").fill("moisture")
    form.get_by_label("Under").fill("12")
    form.get_by_label("Devices, by serial number").fill("pi-1 pi-2")
    form.get_by_role("button", name="Make the rule").click()
    expect(form.locator(".problem")).to_have_text("there is a rule hot already")
    form.get_by_label("Name").fill("dry")
    form.get_by_role("button", name="Make the rule").click()
    expect(rule_row(ruled, "dry")).to_be_visible()
    expect(ruled.get_by_role("region", name="dry")).to_be_visible()
    made = site.face.alarms.rule_rows["dry"]
    assert (made["kind"], made["metric"], made["under"], made["over"]) == ("metric", "moisture", 12, None)
    assert made["devices"] == ("pi-1", "pi-2")


def test_the_form_asks_for_what_means_something_to_each_kind_and_for_nothing_else(ruled):
    ruled.get_by_role("link", name="New rule").click()
    form = ruled.get_by_role("form", name="New rule")
    for kind, facts in KINDS.items():
        form.locator("[name=kind]").select_option(kind)
        fields = form.locator("[data-field]:not([hidden])").evaluate_all("all => all.map(e => e.dataset.field)")
        assert set(fields) == facts.fields | {"description", "severity", "lasts"}, kind


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(site, shown, scheme):
    shown.emulate_media(color_scheme=scheme)
    row(shown, 2).get_by_role("link", name="too hot").click()
    expect(shown.get_by_role("region", name="too hot")).to_be_visible()
    expect(row(shown, 2).get_by_role("link", name="too hot")).to_have_attribute("aria-current", "true")
    shown.reload()
    expect(row(shown, 2).get_by_role("link", name="too hot")).to_have_attribute("aria-current", "true")
    assert serious(shown) == []
