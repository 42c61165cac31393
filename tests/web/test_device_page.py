"""The page of one device in a real browser, over fakes: who it is, whether it is there, and what it is like."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

from tests.support.axe import serious
from tests.support.wait import eventually
from tests.web.device_page import ago, enter, part, past, put, run_actor
from tests.web.fake_alarms import alarm
from tests.web.fake_commands import command
from tests.web.fake_notifications import delivery, notification
from tests.web.fake_scans import scan
from tests.web.test_edge_tree import told
from tests.web.test_page_alarms import at

PARTS = ("Overview", "Readings", "Messages", "Twin", "Scans", "Events", "Actor")


def begins(text):
    return re.compile(re.escape(text))


@pytest.fixture
def shown(site, page, console):
    put(site)
    past(
        site,
        (None, None, 86_400),
        ("online", "heartbeat", 50_000),
        ("offline", "timeout", 30_000),
        ("online", "data", 3_600),
    )
    run_actor(site)
    return enter(site, page)


# -- whether it is there ----------------------------------------------------------------------------------------------


def test_the_head_tells_who_it_is_and_whether_it_is_there(shown, console):
    expect(shown.get_by_role("heading", level=1)).to_have_text("raspberrypi")
    expect(shown.locator("#presence-word")).to_have_text("online")
    expect(shown.locator("#presence-reason")).to_have_text("heartbeat")
    expect(shown.locator("#presence")).to_contain_text("pi-1")
    expect(shown).to_have_title("raspberrypi · Muster")
    assert console == []


def test_a_device_goes_offline_and_comes_back_without_a_reload(site, shown):
    expect(shown.locator("#presence-word")).to_have_text("online")
    site.tell("pi-1", "offline", reason="timeout")
    expect(shown.locator("#presence-word")).to_have_text("offline")
    expect(shown.locator("#presence-reason")).to_have_text("silent")
    site.tell("pi-1", "online")
    expect(shown.locator("#presence-word")).to_have_text("online")


def test_marks_of_flapping_and_quarantine_come_and_go(site, shown):
    expect(shown.locator("#marks .mark")).to_have_count(0)
    put(site, flapping=True, quarantined=True, presence="unknown")
    expect(shown.locator("#marks .mark")).to_have_text(["flapping", "quarantined"])
    put(site)
    expect(shown.locator("#marks .mark")).to_have_count(0)


def test_the_band_tells_the_last_day_by_colour_shape_and_word(shown):
    expect(shown.locator("#band > i")).to_have_count(4)
    assert [piece.get_attribute("class") for piece in shown.locator("#band > i").all()] == [
        "never",
        "online",
        "offline",
        "online",
    ]
    expect(shown.locator("#band > .offline")).to_have_attribute("title", begins("offline: silent"))
    expect(shown.get_by_role("list", name="Presence of the last day").get_by_role("listitem")).to_have_count(4)
    expect(shown.get_by_role("listitem", name="offline: silent")).to_be_visible()
    summary = shown.locator("#band-words")
    expect(summary).to_contain_text("online 47.2% of the known time")
    expect(summary).to_contain_text("1 absence")
    summary.click()
    expect(shown.locator("#past .what")).to_have_text(
        ["online: data", "offline: silent", "online: heartbeat", "before its first sign"]
    )


def test_the_band_grows_to_what_is_known_now(site, shown):
    past(site, ("online", "data", 86_400), ("unknown", "down", 600), ("offline", "will", 60))
    site.tell("pi-1", "offline", reason="will")
    expect(shown.locator("#band > i")).to_have_count(3)
    expect(shown.locator("#band > .unknown")).to_have_attribute("title", begins("unknown: the server was down"))
    width = shown.locator("#band").bounding_box()["width"]
    assert shown.locator("#band > .online").bounding_box()["width"] > 0.97 * width
    last = shown.locator("#band > i").last.bounding_box()
    assert last["width"] >= 2  # however short it is, it is to be seen


# -- a device that is not there to be shown ---------------------------------------------------------------------------


def test_what_can_be_no_serial_number_is_told_so_on_a_page_that_is_live(site, page):
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}/devices/no%20serial%20number")
    expect(page.get_by_role("heading", level=1)).to_contain_text("no serial number is known")
    expect(page.locator("#live")).to_have_attribute("data-state", "live")


def test_an_unknown_serial_is_told_with_what_to_do_and_appears_when_it_speaks(site, page, console):
    site.face.fleet.delete("pi-1")
    enter(site, page)
    expect(page.get_by_role("heading", level=1)).to_have_text("No device with the serial number pi-1 is known")
    expect(page.locator("#absent code")).to_have_text("muster devices -q pi-1")
    expect(page.get_by_role("tablist")).to_be_hidden()
    put(site)
    expect(page.get_by_role("heading", level=1)).to_have_text("raspberrypi")
    expect(page.locator("#absent")).to_be_hidden()


def test_a_device_that_is_removed_says_so_at_once(site, shown):
    site.face.fleet.delete("pi-1")
    site.face.ring.publish("removed", "pi-1", {"serial": "pi-1"})
    expect(shown.get_by_role("heading", level=1)).to_have_text("The device pi-1 was removed")
    expect(shown.get_by_role("tablist")).to_be_hidden()
    shown.get_by_role("link", name="To the fleet").click()
    expect(shown).to_have_url(f"{site.url}/")


def test_an_admin_removes_a_device_after_a_question(site, shown, console):
    shown.get_by_role("button", name="Remove").click()
    dialog = shown.get_by_role("dialog")
    expect(dialog).to_contain_text("deleted for ever")
    dialog.get_by_role("button", name="Back").click()
    assert site.face.fleet.get("pi-1") is not None
    shown.get_by_role("button", name="Remove").click()
    shown.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(shown.get_by_role("heading", level=1)).to_have_text("The device pi-1 was removed")
    expect(shown.get_by_role("alert").first).to_have_text("raspberrypi was removed.")
    assert site.face.fleet.get("pi-1") is None
    assert console == []


# -- what it is like --------------------------------------------------------------------------------------------------


def test_figures_have_units_and_scales(site, shown):
    gauges = shown.locator("#gauges li")
    expect(gauges).to_have_text(["CPU load1of 4 cores", "Temperature48.5\N{NO-BREAK SPACE}°C", "Uptime2 d"])
    assert gauges.nth(0).locator("meter").evaluate("meter => meter.value") == 0.25
    expect(gauges.nth(2).locator("meter")).to_be_hidden()
    memory = {"total": 2**30, "available": 2**29, "used_percent": 50.0}
    put(site, system_info=json.dumps({"memory": memory, "throttling": {"now": ["under_voltage"]}}).encode())
    expect(gauges).to_have_text(["Memory50%512\N{NO-BREAK SPACE}MiB free of 1\N{NO-BREAK SPACE}GiB"])
    expect(shown.locator("#throttling")).to_contain_text("too little voltage")


def test_services_and_whatever_else_a_device_tells_are_listed_by_its_own_names(site, shown):
    expect(shown.locator("#services-list")).to_contain_text("sshport 5022 · status available")
    expect(shown.locator("#system-more")).to_contain_text("modelPi 5")
    put(site, labels="row=12\nzone=north", device_token="factory/plc-01/alerts", metadata=b'{"rack": 7}')
    facts = shown.locator("#facts")
    expect(facts).to_contain_text("Labelsrow=12, zone=north")
    expect(facts).to_contain_text("Notifications go tofactory/plc-01/alerts")
    expect(facts).to_contain_text("metadata.rack7")


def test_what_a_device_has_not_told_takes_no_room(site, shown):
    put(site, system_info=b"", services=b"")
    expect(shown.locator("#system")).to_be_hidden()
    expect(shown.locator("#services")).to_be_hidden()


def test_an_operator_changes_label_site_and_silence(site, shown, console):
    shown.get_by_role("button", name="Edit").first.click()
    form = shown.locator("#edit")
    expect(form.get_by_label("Label")).to_be_focused()
    form.get_by_label("Label").fill("North gate")
    form.get_by_label("Site").fill("harbour")
    form.get_by_label("Offline after (s)").fill("90")
    form.get_by_role("button", name="Save").click()
    expect(shown.get_by_role("heading", level=1)).to_have_text("North gate")
    expect(form).to_be_hidden()
    known = site.face.fleet.get("pi-1")
    assert (known.snapshot.label, known.snapshot.site, known.offline_after) == ("North gate", "harbour", 90)
    shown.get_by_role("button", name="Edit").first.click()
    form.get_by_label("Offline after: back to the policy of its kind").check()
    form.get_by_role("button", name="Save").click()
    eventually(lambda: site.face.fleet.get("pi-1").offline_after == 60.0, what="the policy is back")
    assert console == []


def test_open_alarms_of_the_device_appear_and_are_acknowledged(site, shown, console):
    expect(shown.locator("#alarms")).to_be_hidden()
    for number, device in ((1, "gw-7"), (2, "pi-1")):
        row = alarm(number, device=device, rule="hot", summary="too hot", raised=at(-90))
        site.face.alarms.rows.append(row)
        site.face.ring.publish("alarm", str(number), row, device)
    rows = shown.locator("#alarms-list li")
    expect(rows).to_have_count(1)
    shown.get_by_role("button", name="Acknowledge alarm 2").click()
    expect(rows.locator(".detail")).to_have_text("too hot (acknowledged by admin ops)")
    expect(rows.get_by_role("button")).to_have_count(0)
    site.face.alarms.rows[1]["state"] = "cleared"
    site.face.ring.publish("alarm", "2", {"id": 2, "device": "pi-1"}, "pi-1")
    expect(shown.locator("#alarms")).to_be_hidden()
    assert console == []


def test_a_reader_is_offered_no_action(site, page, console):
    put(site)
    run_actor(site)
    enter(site, page, token="the-read-token")
    for name in PARTS:
        panel = part(page, name)
        if name == "Readings":
            continue  # ranges may be chosen by anybody
        expect(panel.locator("form:visible")).to_have_count(0)
        allowed = ["Previous", "Next"] if name == "Events" else []
        expect(panel.locator("button:visible")).to_have_text(allowed)
    assert console == []


# -- the parts --------------------------------------------------------------------------------------------------------


def test_parts_are_chosen_by_keyboard_and_remembered_by_the_address(shown):
    shown.get_by_role("tab", name="Overview").focus()
    shown.keyboard.press("End")
    expect(shown.get_by_role("tab", name="Actor")).to_be_focused()
    expect(shown.get_by_role("tabpanel", name="Actor")).to_be_visible()
    shown.keyboard.press("ArrowLeft")
    expect(shown.get_by_role("tabpanel", name="Events")).to_be_visible()
    shown.reload()
    expect(shown.get_by_role("tabpanel", name="Events")).to_be_visible()
    expect(shown.get_by_role("tabpanel", name="Overview")).to_be_hidden()


def test_what_a_device_tells_of_itself_is_text_and_never_markup(site, page, console):
    evil = '<img src=x onerror="document.title=1"><b>x</b>'
    tree = json.dumps(told(id=evil, state=evil)).encode()
    put(site, services=json.dumps({evil: evil}).encode(), supervision=tree, label=evil)
    site.face.history.rows["events"] = [
        {"id": 1, "ts_us": ago(5), "serial": "pi-1", "kind": evil, "data": {evil: evil}}
    ]
    run_actor(site, last_exception={"error": evil, "traceback": evil, "where": "", "at_us": ago(9)})
    enter(site, page)
    expect(page.locator("#services-list")).to_contain_text(evil)
    expect(part(page, "Actor").locator("#own-tree")).to_contain_text(evil)
    expect(page.locator("#actor-error")).to_have_text(evil)
    expect(part(page, "Events").locator("#events-list")).to_contain_text(evil)
    assert page.locator("main b, main img").count() == 0
    assert console == []


@pytest.mark.parametrize("width", [1280, 1024, 360])
def test_at_every_width_everything_stays_in_its_place(site, shown, width):
    shown.set_viewport_size({"width": width, "height": 800})
    name, value = "n" * 100, "v" * 300
    put(
        site,
        label="l" * 128,
        site="s" * 64,
        system_info=json.dumps({name: value}).encode(),
        services=b'{"a": "%s"}' % (b"y" * 300),
    )
    expect(shown.locator("#system-more")).to_contain_text("vvv")
    for part_name in PARTS:
        part(shown, part_name)
        assert shown.evaluate("document.documentElement.scrollWidth") <= width, part_name
    # In one look: the page is live, and what is there now may be gone with the next step.
    ends = shown.locator("#device button:not([role=tab]), #device .dot").evaluate_all(
        "parts => parts.filter((part) => part.checkVisibility()).map((part) => part.getBoundingClientRect().right)"
    )
    assert ends
    assert max(ends) <= width


def fill(site):
    """Something in every part of the page."""
    put(site, flapping=True)
    failure = {"error": "ValueError: x", "traceback": "Traceback ...", "where": "", "at_us": ago(9)}
    run_actor(site, restarts=3, mailbox=4, mailbox_age=2.5, last_exception=failure)
    rows = site.face.history.rows
    rows["sensors"] = [{"name": "humidity", "first_seen_us": ago(9)}]
    rows["buckets"] = [{"ts_us": ago(60 * back), "n": 1, "avg": back, "min": back, "max": back} for back in range(9)]
    rows["events"] = [{"id": 1, "ts_us": ago(5), "serial": "pi-1", "kind": "alarm", "data": {"rule": "hot"}}]
    site.face.alarms.rows = [alarm(2, device="pi-1", rule="hot", summary="too hot", raised=at(-90))]
    site.face.scans.rows = [scan("s-1", valid=False)]
    site.face.commands.rows = {"c1": command(result={"up": 7}), "c2": command("c2", state="failed", reason="away")}
    site.face.notifications.rows = [notification("n9", delivery("pi-1", "displayed", ""))]
    site.face.twins.change("pi-1", {"led": True}, 0, by="ops", address="")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_keeps_anybody_from_using_it(site, page, scheme):
    page.emulate_media(color_scheme=scheme)
    past(site, ("online", "heartbeat", 50_000), ("offline", "timeout", 30_000), ("unknown", "down", 3_600))
    fill(site)
    enter(site, page)
    page.locator("#band-words").click()
    page.get_by_role("button", name="Edit").first.click()
    for name in PARTS:
        panel = part(page, name)
        if name == "Readings":
            expect(panel.get_by_role("slider")).to_be_visible()
        if name == "Twin":
            panel.get_by_role("button", name="Edit").click()
        assert serious(page) == [], name


def test_it_speaks_italian(site, page, console):
    page.context.add_cookies([{"name": "muster_lang", "value": "it", "url": site.url}])
    put(site)
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}/devices/pi-1")
    expect(page.get_by_role("tab")).to_have_text(
        ["Panoramica", "Letture", "Messaggi", "Gemello", "Scansioni", "Eventi", "Attore"]
    )
    expect(page.locator("#presence-reason")).to_have_text("heartbeat")
    expect(page.locator("#facts")).to_contain_text("Numero di serie")
    assert console == []


HOSTILE = {
    "throttling": {"now": "all", "since_boot": [1]},
    "load_average": [1.0],
    "cpu_count": "four",
    "memory": {"used_percent": 1e308, "total": "x"},
    "disk": [],
    "uptime_hours": 1e300,
    "temperature": "warm",
}
WIDTHS = "all => all.map(one => one.scrollWidth - one.clientWidth)"


@pytest.mark.parametrize(
    "told",
    [HOSTILE, {"throttling": {"now": {"length": 1}}}, {"throttling": {"now": [1, None, {}]}}, {"throttling": None}],
)
def test_figures_that_mean_nothing_break_nothing(site, shown, console, told):
    put(site, system_info=json.dumps(told).encode(), label="told", services=b'{"a": null, "commands": [1, {}]}')
    expect(shown.get_by_role("heading", level=1)).to_have_text("told")
    expect(shown.locator("#facts")).to_contain_text("Labeltold")  # which is drawn after all figures
    shown.set_viewport_size({"width": 360, "height": 800})
    assert max(shown.locator(".card:visible").evaluate_all(WIDTHS)) == 0  # no word is wider than its card
    assert console == []


def test_what_somebody_else_changes_while_the_form_is_open_stays(site, shown):
    shown.get_by_role("button", name="Edit").first.click()
    form = shown.locator("#edit")
    form.get_by_label("Site").fill("harbour")
    put(site, label="Theirs")
    expect(shown.get_by_role("heading", level=1)).to_have_text("Theirs")
    form.get_by_role("button", name="Save").click()
    expect(form).to_be_hidden()
    known = site.face.fleet.get("pi-1").snapshot
    assert (known.label, known.site) == ("Theirs", "harbour")


@pytest.mark.parametrize("width", [360, 1280])
def test_the_band_of_a_restless_day_ends_now_and_shows_the_worst(site, shown, console, width):
    shown.set_viewport_size({"width": width, "height": 800})
    states = [("offline", "timeout"), ("online", "heartbeat")]
    past(site, *((*states[turn % 2], 80_000 - 16 * turn) for turn in range(5_000)))
    site.tell("pi-1", "online")
    band = shown.locator("#band")
    expect(shown.locator("#band-words")).to_contain_text("2,500 absences")
    last, whole = band.locator("i").last.bounding_box(), band.bounding_box()
    assert last["x"] + last["width"] <= whole["x"] + whole["width"]
    expect(band.locator("i").nth(1)).to_have_attribute("title", begins("75 changes"))
    expect(band.locator("i").nth(1)).to_have_class("offline")
    shown.locator("#band-words").click()
    expect(shown.locator("#past > li")).to_have_count(200)
    expect(shown.locator("#past-more")).to_have_text("and 4,800 changes before")
    assert console == []


def test_a_day_in_which_too_much_changed_says_so(site, shown, console):
    site.face.history.failure = OverflowError("more than 5000 events")
    site.tell("pi-1", "offline")
    expect(shown.locator("#band-words")).to_contain_text("too often")
