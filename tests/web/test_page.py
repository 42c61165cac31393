"""The page in a real browser, on a real server, over fakes."""

from __future__ import annotations

import time
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from tests.support.wait import eventually
from tests.web.fakes import view
from tests.web.page_site import NOW


@pytest.fixture
def shown(site, page, console):
    page.goto(f"{site.url}/login?key=the-page-key")
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#devices tr")).to_have_count(2)
    return page


def row(page, serial):
    return page.locator(f'#devices tr[data-key="{serial}"]')


def test_the_page_shows_the_fleet_the_tree_the_links_and_what_went_wrong(shown, console):
    assert shown.url.endswith("/")
    expect(row(shown, "pi-1")).to_contain_text("raspberrypi")
    expect(row(shown, "pi-1")).to_contain_text("online")
    expect(row(shown, "gw-7")).to_contain_text("Gateway 7")
    expect(row(shown, "gw-7")).to_contain_text("silent")
    expect(shown.locator("#count-total")).to_have_text("2")
    expect(shown.locator("#count-offline")).to_have_text("1")
    expect(shown.locator("#tree")).to_contain_text("ValueError: x")
    expect(shown.locator("#tree")).to_contain_text("1 restart · 3 waiting")
    expect(shown.locator("#links")).to_contain_text("local.data")
    assert console == []


def test_a_change_appears_without_a_reload(site, shown, console):
    shown.evaluate("window.stillTheSamePage = true")
    site.tell("pi-1", "offline", reason="timeout")
    expect(row(shown, "pi-1")).to_contain_text("offline")
    expect(shown.locator("#count-online")).to_have_text("0")
    site.tell("pi-2", "online")
    expect(row(shown, "pi-2")).to_contain_text("online")
    expect(shown.locator("#count-total")).to_have_text("3")
    assert shown.evaluate("window.stillTheSamePage")
    assert console == []


def test_a_filter_keeps_only_what_it_names_and_lets_go_of_what_changes(site, shown):
    shown.get_by_role("button", name="Online").click()
    expect(row(shown, "gw-7")).to_have_count(0)
    site.tell("pi-1", "offline")
    expect(shown.locator("#devices tr")).to_have_count(0)
    expect(shown.locator("#fleet-note")).to_have_text("No device matches.")
    shown.get_by_role("button", name="Offline").click()
    expect(shown.locator("#devices tr")).to_have_count(2)
    shown.get_by_label("Search devices").fill("GATEWAY")
    expect(shown.locator("#devices tr")).to_have_count(1)
    shown.reload()
    expect(shown.locator("#devices tr")).to_have_count(1)


def test_a_filter_of_the_address_that_is_none_is_left_out_and_one_that_is_refused_is_told(site, shown):
    shown.goto(f"{site.url}/?kind=typo&presence=typo")
    expect(shown.locator("#devices tr")).to_have_count(2)
    expect(shown.get_by_label("Kind")).to_have_value("")
    expect(shown.get_by_role("button", name="All devices")).to_have_attribute("aria-pressed", "true")
    shown.goto(f"{site.url}/?q={'x' * 300}")
    expect(shown.locator("#fleet-note")).to_contain_text("q")
    expect(shown.locator("#devices tr")).to_have_count(0)


def test_a_device_that_was_declared_and_never_heard_says_so(site, shown):
    site.face.fleet.put(view("plc-1", "offline", kind="controller", reason="startup", since_us=0, last_seen_us=0))
    site.face.ring.publish("device", "plc-1", {"serial": "plc-1"})
    expect(row(shown, "plc-1").locator(".below")).to_have_text("never heard", use_inner_text=True)


def test_a_big_fleet_is_paged_by_the_server(site, page):
    for number in range(120):
        site.face.fleet.put(view(f"x-{number:03}"))
    page.goto(f"{site.url}/login?key=the-page-key")
    note = page.locator("#fleet-note")
    expect(note).to_have_text("1 to 50")
    page.get_by_role("button", name="Next").click()
    expect(note).to_have_text("51 to 100")
    page.get_by_role("button", name="Next").click()
    expect(note).to_have_text("101 to 122")
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    page.get_by_role("button", name="Previous").click()
    expect(note).to_have_text("51 to 100")


def test_buttons_post_what_they_say(site, shown, console):
    shown.get_by_role("button", name="Restart links/local.data").click()
    eventually(lambda: site.face.supervision.done == [("restart", "links/local.data")])
    shown.get_by_role("button", name="Quarantine links/local.data").click()
    eventually(lambda: site.face.supervision.done[1:] == [("quarantine", "links/local.data")])
    site.face.supervision.root["children"][0]["state"] = "quarantined"
    site.face.ring.publish("supervision", "links/local.data", {"path": "links/local.data"})
    shown.get_by_role("button", name="Resume links/local.data").click()
    eventually(lambda: site.face.supervision.done[2:] == [("resume", "links/local.data")])
    shown.get_by_role("button", name="Reconnect local.data").click()
    eventually(lambda: site.face.links.reconnected == ["local.data"])
    assert console == []


def test_a_refused_action_is_told(site, shown):
    site.face.links.reconnect = lambda name: {}[name]
    shown.get_by_role("button", name="Reconnect local.data").click()
    expect(shown.get_by_role("alert")).to_have_text("there is no link of this name")


def test_a_reader_is_offered_no_buttons(site, page):
    page.goto(site.url)
    page.get_by_label("Access token").fill("the-read-token")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#tree li")).to_have_count(2)
    expect(page.get_by_role("button", name="Restart")).to_have_count(0)
    expect(page.get_by_role("button", name="Reconnect")).to_have_count(0)


def test_after_the_server_was_away_the_page_is_right_again(site, shown):
    site.ref.stop()
    expect(shown.locator("#live")).to_have_text("reconnecting")
    site.face.fleet.put(view("pi-1", "offline"))
    site.become_another_process()
    expect(shown.locator("#live")).to_have_text("live", timeout=20_000)
    expect(row(shown, "pi-1")).to_contain_text("offline")


def test_what_a_device_says_is_text_and_never_markup(site, page, console):
    evil = '<img src=x onerror="document.title=1"><b>x</b>'
    site.face.fleet.put(view("evil", label=evil, ip_address=evil, site=evil, reason=evil))
    site.face.history.rows["dead_letters"] = [
        {"id": 7, "reason": evil, "topic": evil, "detail": evil, "payload": evil.encode(), "rx_us": NOW}
    ]
    site.face.supervision.root["children"][0]["last_exception"] = {"error": evil, "traceback": evil, "at_us": NOW}
    page.goto(f"{site.url}/login?key=the-page-key")
    expect(row(page, "evil").locator(".label")).to_have_text(evil)
    expect(page.locator("#letters")).to_contain_text(evil)
    expect(page.locator("#tree")).to_contain_text(evil)
    assert page.locator("main b, main img").count() == 0
    assert page.title() == "Muster"
    assert console == []


def test_a_dead_letter_is_shown_and_replayed(site, shown):
    site.face.history.rows["dead_letters"] = [
        {"id": 7, "reason": "not_json", "topic": "a/b", "detail": "no JSON", "payload": b"x", "rx_us": NOW}
    ]
    site.face.ring.publish("dead_letter", "", {"reason": "not_json"})
    shown.get_by_role("button", name="Replay dead letter 7").click()
    eventually(lambda: site.face.dead_letters.replayed == [7])


@pytest.mark.parametrize("width", [1200, 1024, 768, 360])
def test_at_every_width_rows_are_low_and_nothing_is_cut_off(site, shown, width):
    shown.set_viewport_size({"width": width, "height": 800})
    long = {"hostname": "a-rather-long-host-name-of-a-pi", "ip_address": "192.168.100.100", "site": "greenhouse-2"}
    site.face.fleet.put(view("0123456789abcdef", "unknown", quarantined=True, **long))
    shown.reload()
    longest = row(shown, "0123456789abcdef")
    expect(longest).to_contain_text("192.168.100.100")
    assert shown.evaluate("document.documentElement.scrollWidth") == width
    card = shown.locator(".fleet .card").bounding_box()
    for cell in longest.locator("th, td").all():
        assert cell.evaluate("cell => cell.scrollWidth <= Math.ceil(cell.getBoundingClientRect().width)")
        box = cell.bounding_box()
        assert box["x"] + box["width"] <= card["x"] + card["width"]
    assert longest.bounding_box()["height"] < (150 if width == 360 else 100)
    assert row(shown, "pi-1").bounding_box()["height"] < (115 if width == 360 else 60)


def test_a_child_that_crashes_again_and_again_tells_why_and_when_it_is_started(site, shown):
    child = site.face.supervision.root["children"][0]
    error = {"error": "ValueError: " + "x" * 300, "traceback": "Traceback ...", "at_us": int(time.time() * 1e6)}
    child |= {"state": "backing_off", "next_restart_in": 90.0, "restarts": 12, "mailbox": 3, "mailbox_age": 65.0}
    child["last_exception"] = error
    site.face.ring.publish("supervision", "links/local.data", {"path": "links/local.data"})
    node = shown.locator('#tree li[data-key="links/local.data"]')
    expect(node.locator(".detail")).to_have_text("down, next start in 1 min12 restarts · 3 waiting for 1 min")
    summary = node.locator("summary")
    expect(summary).to_contain_text("ValueError: xxx")
    expect(summary).to_contain_text("s ago")
    assert len(summary.text_content()) < 200
    summary.click()
    expect(node.locator("pre")).to_have_text("Traceback ...")
    child |= {"state": "running", "next_restart_in": None, "mailbox": 0}
    site.face.ring.publish("supervision", "links/local.data", {"path": "links/local.data"})
    expect(node.locator(".detail")).to_have_text("12 restarts")


def test_a_wrong_token_is_refused_in_words(site, page):
    page.goto(f"{site.url}/login")
    page.get_by_label("Access token").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("this token is not known")


def log_in(page, token="the-read-token"):
    page.get_by_label("Access token").fill(token)
    page.get_by_role("button", name="Log in").click()


def test_who_logs_in_is_where_he_wanted_to_be(site, page):
    page.goto(f"{site.url}/alarms?device=gw-7&state=all")
    log_in(page)
    expect(page.get_by_label("Device")).to_have_value("gw-7")
    expect(page.get_by_label("State")).to_have_value("all")


@pytest.mark.parametrize("away", ["http://127.0.0.1:1/", "//127.0.0.1:1/", "/..//127.0.0.1:1/", "javascript:alert(1)"])
def test_the_way_back_leads_nowhere_else(site, page, away):
    page.goto(f"{site.url}/login?{urlencode({'next': away})}")
    log_in(page)
    page.wait_for_url(lambda url: not url.startswith(f"{site.url}/login"))
    assert page.url.startswith(f"{site.url}/")


def test_after_a_restart_whoever_logs_in_again_is_back(site, page):
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}/scans?device=pi-1")
    expect(page.locator("#live")).to_have_text("live")
    site.face.sessions._sessions.clear()
    site.ref.stop()
    site.serve()
    expect(page.get_by_label("Access token")).to_be_visible(timeout=20_000)
    log_in(page)
    expect(page.get_by_label("Device")).to_have_value("pi-1")


def test_logging_out_leads_to_the_login_and_stays_there(site, shown):
    shown.locator("#menu summary").click()
    shown.get_by_role("button", name="Log out").click()
    expect(shown.get_by_label("Access token")).to_be_visible()
    shown.goto(site.url)
    expect(shown.get_by_label("Access token")).to_be_visible()
