"""The further parts of a device's page: its actor, its own tree, its timeline, its scans and its charts."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from playwright.sync_api import expect

from tests.support.wait import eventually
from tests.web.device_page import ago, agree, enter, part, put, run_actor
from tests.web.fake_scans import scan
from tests.web.test_edge_tree import told


@pytest.fixture
def shown(site, page, console):
    put(site)
    run_actor(site)
    return enter(site, page)


# -- the actor --------------------------------------------------------------------------------------------------------


def test_an_actor_that_is_killed_is_seen_to_heal(site, shown, console):
    done = []
    site.face.supervision.restart = done.append
    actor = part(shown, "Actor")
    expect(actor.locator("#actor-state")).to_have_text("running")
    expect(actor.locator("#actor-well")).to_be_visible()
    actor.get_by_role("button", name="Restart the actor").click()
    expect(shown.get_by_role("dialog")).to_contain_text("Restart the actor of pi-1?")
    agree(shown, "Restart")
    expect(shown.locator("#toast")).to_have_text("It is restarting.")
    assert done == ["devices/pi-1"]
    failure = {"error": "ValueError: x", "traceback": "Traceback ...", "where": "", "at_us": ago(9)}
    run_actor(site, state="backing_off", next_restart_in=3.0, mailbox=2, mailbox_age=4.0, last_exception=failure)
    expect(actor.locator("#actor-state")).to_have_text("backing off")
    expect(actor.locator("#actor-facts")).to_contain_text("Messages waiting2")
    expect(actor.locator("#actor-facts")).to_contain_text("The oldest waits4 s")
    expect(actor.locator("#actor-error")).to_have_text("ValueError: x")
    expect(actor.locator("#actor-traceback")).to_have_text("Traceback ...")
    run_actor(site, restarts=1, last_exception=failure)
    expect(actor.locator("#actor-state")).to_have_text("running")
    expect(actor.locator("#actor-facts")).to_contain_text("Restarts1")
    assert console == []


def test_an_actor_in_quarantine_is_resumed_without_a_question(site, shown):
    done = []
    site.face.supervision.resume = done.append
    actor = part(shown, "Actor")
    expect(actor.get_by_role("button")).to_have_text(["Restart", "Quarantine"])
    run_actor(site, state="quarantined")
    expect(actor.get_by_role("button")).to_have_text(["Resume"])
    actor.get_by_role("button", name="Resume the actor").click()
    eventually(lambda: done == ["devices/pi-1"], what="it is resumed")


def test_a_device_that_has_no_actor_now_says_so(site, page):
    put(site)
    enter(site, page, "/devices/pi-1#actor")
    expect(page.locator("#actor-state")).to_contain_text("has no actor now")


def test_the_devices_own_tree_is_shown_and_changes_by_itself(site, shown, console):
    tree = part(shown, "Actor").locator("#own-tree")
    link = tree.locator('li[data-key="edge/contact/link"]')
    expect(link).to_contain_text("backing off")
    expect(link.get_by_text("OSError: no route").first).to_be_visible()
    expect(tree.get_by_role("button")).to_have_count(0)  # it is the device's: nothing here can tell it anything
    better = told()
    better["children"][0] |= {"state": "running", "last_exception": None}
    put(site, supervision=json.dumps(better).encode())
    expect(link).not_to_contain_text("backing off")
    expect(link.get_by_text("OSError: no route").first).to_be_hidden()
    put(site, supervision=b"")
    expect(shown.locator("#own")).to_be_hidden()
    assert console == []


# -- the timeline -----------------------------------------------------------------------------------------------------


def happened(site, count):
    site.face.history.rows["events"] = [
        {
            "id": number,
            "ts_us": ago(number),
            "serial": "pi-1",
            "kind": "presence",
            "data": {"presence": "offline", "reason": "will"},
        }
        for number in range(count, 0, -1)
    ]


def test_the_timeline_is_paged_and_told_in_words(site, shown, console):
    happened(site, 120)
    events = part(shown, "Events")
    rows = events.locator("#events-list li")
    expect(rows).to_have_count(50)
    expect(rows.first).to_contain_text("offline: last will")
    events.get_by_role("button", name="Next").click()
    expect(events.locator(".foot p")).to_have_text("51 to 100")
    events.get_by_role("button", name="Next").click()
    expect(rows).to_have_count(20)
    expect(events.get_by_role("button", name="Next")).to_be_disabled()
    assert console == []


def test_the_timeline_of_one_kind_is_asked_for(site, shown):
    events = part(shown, "Events")
    expect(events.locator("#events-none")).to_be_visible()
    events.get_by_label("Kind of event").select_option("alarm")
    eventually(lambda: (site.face.history.asked or {}).get("kind") == "alarm", what="alarms are asked for")


def test_what_happens_appears_by_itself(site, shown):
    events = part(shown, "Events")
    happened(site, 1)
    site.tell("pi-1", "offline", reason="will")
    expect(events.locator("#events-list li")).to_have_count(1)


@pytest.mark.parametrize("kind", ["command", "delivery", "twin", "enrolment"])
def test_whatever_is_told_of_a_device_is_in_its_timeline_at_once(site, shown, kind):
    events = part(shown, "Events")
    expect(events.locator("#events-none")).to_be_visible()
    happened(site, 1)
    site.face.ring.publish(kind, "pi-1", {"serial": "pi-1"}, "pi-1")
    expect(events.locator("#events-list li")).to_have_count(1)


# -- scans ------------------------------------------------------------------------------------------------------------


def test_a_scan_appears_and_a_wrong_check_digit_is_marked(site, shown, console):
    scans = part(shown, "Scans")
    expect(scans.locator("#scans-none")).to_be_visible()
    site.face.scans.rows = [scan("s-2", valid=False), scan("s-1")]
    site.face.ring.publish("scan", "pi-1", {"device_id": "pi-1", "serial": "pi-1"})
    rows = scans.locator("#scans-list li")
    expect(rows).to_have_count(2)
    expect(rows.first.get_by_text("wrong check digit")).to_be_visible()
    expect(rows.last.get_by_text("wrong check digit")).to_be_hidden()
    expect(scans.get_by_role("link", name="All")).to_have_attribute("href", "/scans?device=pi-1")
    assert console == []


# -- charts -----------------------------------------------------------------------------------------------------------


MINUTE_US = 60_000_000


def buckets(site, *values):
    """The answers to whatever series is asked for: a number a minute, the last one of this minute."""
    site.face.history.rows["buckets"] = [
        {"ts_us": ago(60 * back) // MINUTE_US * MINUTE_US, "n": 1, "avg": value, "min": value, "max": value}
        for back, value in enumerate(reversed(values))
    ]


def test_a_device_that_sends_no_numbers_says_when_charts_appear(shown, console):
    readings = part(shown, "Readings")
    expect(readings.locator("#readings-none")).to_be_visible()
    expect(readings.locator("#readings-range")).to_be_hidden()
    assert console == []


def test_each_number_has_a_chart_which_grows_with_each_reading_and_asks_for_nothing(site, shown, console):
    site.face.history.rows["sensors"] = [
        {"name": "humidity", "first_seen_us": ago(9)},
        {"name": "level", "first_seen_us": ago(9)},
    ]
    buckets(site, 40, 41, 42)
    readings = part(shown, "Readings")
    expect(readings.locator(".measure h3")).to_have_text(["humidity (%)", "level"])
    chart = readings.get_by_role("region", name="humidity")
    expect(chart).to_contain_text("42")
    asked = []
    shown.on("request", lambda request: asked.append(request.url) if "/readings" in request.url else None)
    reading = {
        "serial": "pi-1",
        "ts": stamp(),
        "measures": {"humidity": 77},
        "health_index": None,
        "status": "",
        "anomalies": [],
    }
    site.face.ring.publish("reading", "pi-1", reading)
    expect(chart).to_contain_text("77")
    assert asked == []
    assert console == []


def test_a_number_that_the_server_does_not_keep_is_asked_about_once(site, shown):
    site.face.history.rows["sensors"] = [{"name": "level", "first_seen_us": ago(9)}]
    buckets(site, 1, 2)
    readings = part(shown, "Readings")
    chart = readings.get_by_role("region", name="level")
    expect(chart).to_contain_text("2")
    asked = []
    shown.on("request", lambda request: asked.append(request.url) if request.url.endswith("/sensors") else None)

    def sends(value):
        reading = {"serial": "pi-1", "ts": stamp(), "measures": {"made_up": 1, "level": value}}
        site.face.ring.publish("reading", "pi-1", reading)

    with shown.expect_response(lambda answer: "/readings?" in answer.url):
        sends(71)
    for value in (72, 73):
        sends(value)
        expect(chart).to_contain_text(str(value))
    assert len(asked) == 1


def stamp():
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


def test_another_range_asks_the_server_for_wider_buckets(site, shown):
    site.face.history.rows["sensors"] = [{"name": "level", "first_seen_us": ago(9)}]
    buckets(site, 1, 2)
    readings = part(shown, "Readings")
    expect(readings.locator(".measure")).to_have_count(1)
    eventually(lambda: "bucket_us" in (site.face.history.asked or {}), what="the series is asked for")
    before = site.face.history.asked["bucket_us"]
    readings.locator('[data-hours="168"]').click()
    eventually(lambda: site.face.history.asked["bucket_us"] > before, what="the buckets are wider")


def test_a_drag_zooms_into_a_part_and_a_button_leads_back(site, shown, console):
    site.face.history.rows["sensors"] = [{"name": "level", "first_seen_us": ago(9)}]
    buckets(site, *range(60))
    readings = part(shown, "Readings")
    plot = readings.locator(".u-over")
    box = plot.bounding_box()
    shown.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 40)
    shown.mouse.down()
    shown.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 40, steps=5)
    shown.mouse.up()
    hour, part_of_it = 3600, 3600 * 0.1
    eventually(lambda: asked_seconds(site) < part_of_it * 1.5, what="only that part is asked for")
    readings.get_by_role("button", name="Zoom out").first.click()
    eventually(lambda: asked_seconds(site) >= hour, what="the whole hour is asked for")
    assert console == []


def asked_seconds(site):
    asked = site.face.history.asked
    return (asked["until_us"] - asked["since_us"]) / 1e6


def test_many_numbers_are_shown_a_few_at_first(site, shown):
    site.face.history.rows["sensors"] = [{"name": f"n{number:02}", "first_seen_us": ago(9)} for number in range(9)]
    readings = part(shown, "Readings")
    expect(readings.locator(".measure")).to_have_count(6)
    readings.get_by_role("button", name="Show 3 more").click()
    expect(readings.locator(".measure")).to_have_count(9)
    expect(readings.locator("#readings-more")).to_be_hidden()
