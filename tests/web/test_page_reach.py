"""The panel of a device on the page of the fleet: its open alarms, commands and notifications."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.support.wait import eventually
from tests.web.fake_alarms import alarm
from tests.web.fake_notifications import delivery, notification
from tests.web.page_site import NOW
from tests.web.test_page_alarms import at
from web.notifications import NotificationRefusedError


@pytest.fixture
def shown(site, page, console):
    site.face.notifications.rows = []
    page.goto(f"{site.url}/login?key=the-page-key")
    expect(page.locator("#live")).to_have_text("live")
    page.get_by_role("button", name="raspberrypi").click()
    expect(page.locator("#panel")).to_be_visible()
    return page


def turn(site, **fields):
    """The newest command changes, and the ring says so."""
    row = list(site.face.commands.rows.values())[-1]
    row.update(fields)
    site.face.ring.publish("command", row["device"], {"id": row["id"], "device": row["device"]})


def test_a_ping_is_given_and_its_state_is_live(site, shown, console):
    shown.get_by_role("button", name="Ping this device").click()
    given = shown.locator("#commands-list li")
    expect(given).to_have_count(1)
    expect(given.locator(".id")).to_have_text("ping")
    expect(given.locator(".verdict")).to_have_text("queued")
    assert site.face.commands.asked | {"serial": "pi-1", "name": "ping", "by": "admin"} == site.face.commands.asked
    turn(site, state="running")
    expect(given.locator(".verdict")).to_have_text("running")
    turn(site, state="succeeded", result={"time": "2026-01-31T12:00:00Z"})
    expect(given.locator(".verdict")).to_have_text("succeeded")
    expect(given.locator("summary")).to_have_text('{"time":"2026-01-31T12:00:00Z"}')
    expect(given.get_by_role("button")).to_have_count(0)
    assert console == []


def test_an_identify_that_waits_is_cancelled(site, shown, console):
    shown.get_by_role("button", name="Identify this device").click()
    shown.get_by_role("button", name="Cancel identify").click()
    expect(shown.locator("#commands-list .verdict")).to_have_text("cancelled")
    expect(shown.locator("#commands-list .detail")).to_have_text("cancelled by admin")
    assert console == []


def test_a_notification_is_sent_and_its_state_is_live(site, shown, console):
    def send(wanted, *, by, address, key):
        asked.append(wanted)
        site.face.notifications.rows = [notification("n9", delivery("pi-1", "queued", ""), created_us=NOW)]
        return {"id": "n9", "recipients": 1, "warnings": [], "duplicate": False}

    asked = []
    site.face.notifications.send = send
    shown.get_by_label("Title").fill("Hot")
    shown.get_by_label("Text").fill("85 \N{DEGREE SIGN}C")
    shown.get_by_label("Priority").select_option("high")
    shown.get_by_role("button", name="Send").click()
    sent = shown.locator("#notifications-list li")
    expect(sent.locator(".verdict")).to_have_text("queued")
    message, target, _ = asked[0]
    assert (target.device, message.title, message.body, message.priority) == ("pi-1", "Hot", "85 °C", "high")
    expect(shown.get_by_label("Title")).to_have_value("")
    for state, reason, words in (("accepted", "no_subscribers", "no subscribers"), ("displayed", "", "")):
        site.face.notifications.rows = [notification("n9", delivery("pi-1", state, reason), created_us=NOW)]
        site.face.ring.publish("delivery", "n9 pi-1", {"notification": "n9", "device": "pi-1", "state": state})
        expect(sent.locator(".verdict")).to_have_text(state)
        expect(sent.locator(".detail")).to_have_text(words)
    assert console == []


def test_a_title_of_blanks_is_none(site, shown):
    shown.get_by_label("Title").fill("   ")
    assert shown.get_by_label("Title").evaluate("field => !field.validity.valid")
    shown.get_by_label("Title").fill(" Hot ")
    assert shown.get_by_label("Title").evaluate("field => field.validity.valid")


def test_a_refused_notification_is_told_and_what_was_written_stays(site, shown):
    def refuse(*_, **__):
        raise NotificationRefusedError(413, "too_large", "body: has more than 256 KB", {"field": "body"})

    site.face.notifications.send = refuse
    shown.get_by_label("Title").fill("Hot")
    shown.keyboard.press("Enter")
    expect(shown.get_by_role("alert")).to_have_text("body: has more than 256 KB")
    expect(shown.get_by_label("Title")).to_have_value("Hot")
    expect(shown.get_by_role("button", name="Send")).to_be_enabled()


def test_open_alarms_of_the_device_appear_and_are_acknowledged(site, shown, console):
    expect(shown.locator("#alarms-of")).to_be_hidden()
    for number, device in ((1, "gw-7"), (2, "pi-1")):
        site.face.alarms.rows.append(alarm(number, device=device, rule="hot", summary="too hot", raised=at(-90)))
        site.face.ring.publish("alarm", str(number), {"id": number, "device": device})
    rows = shown.locator("#alarms-list li")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("hot")
    expect(rows.locator(".detail")).to_have_text("too hot")
    shown.get_by_role("button", name="Acknowledge alarm 2").click()
    expect(rows.locator(".detail")).to_have_text("too hot (acknowledged by admin)")
    eventually(lambda: rows.get_by_role("button").count() == 0)
    site.face.alarms.rows[1]["state"] = "cleared"
    site.face.ring.publish("alarm", "2", {"id": 2, "device": "pi-1"})
    expect(shown.locator("#alarms-of")).to_be_hidden()
    assert console == []


def test_another_device_shows_its_own(site, shown):
    shown.get_by_role("button", name="Ping this device").click()
    expect(shown.locator("#commands-list li")).to_have_count(1)
    shown.get_by_label("Title").fill("half written")
    shown.get_by_role("button", name="Gateway 7").click()
    expect(shown.locator("#commands-list li")).to_have_count(0)
    expect(shown.get_by_label("Title")).to_have_value("")


def test_a_reader_sees_states_and_is_offered_nothing(site, page, console):
    site.face.notifications.rows = [notification("n9", delivery("pi-1", "displayed", ""), title="Noon")]
    site.face.alarms.rows.append(alarm(1, device="pi-1"))
    page.goto(site.url)
    page.get_by_label("Access token").fill("the-read-token")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="raspberrypi").click()
    expect(page.locator("#notifications-list")).to_contain_text("Noondisplayed")
    expect(page.locator("#alarms-list li")).to_have_count(1)
    expect(page.locator("#notify")).to_be_hidden()
    expect(page.locator("#panel").get_by_role("button")).to_have_text(["Close"])
    assert console == []


def test_what_reaches_a_device_is_text_and_never_markup(site, shown, console):
    evil = '<img src=x onerror="document.title=1"><b>x</b>'
    shown.get_by_role("button", name="Ping this device").click()
    expect(shown.locator("#commands-list li")).to_have_count(1)
    turn(site, state="failed", reason=evil, result={evil: evil})
    site.face.notifications.rows = [notification("n9", delivery("pi-1", "failed", evil), title=evil)]
    site.face.alarms.rows.append(alarm(1, device="pi-1", rule=evil, summary=evil))
    site.face.ring.publish("delivery", "", {"more": 7})
    site.face.ring.publish("alarm", "1", {"id": 1, "device": "pi-1"})
    for part in ("#commands-list .detail", "#notifications-list .detail", "#alarms-list .detail"):
        expect(shown.locator(part)).to_contain_text("onerror")
    assert shown.locator("main b, main img").count() == 0
    assert console == []


@pytest.mark.parametrize("width", [1280, 1024, 360])
def test_at_every_width_the_panel_holds_it(site, shown, width):
    shown.set_viewport_size({"width": width, "height": 800})
    site.face.alarms.rows.append(alarm(1, device="pi-1", rule="r" * 64, summary="x" * 300, severity="critical"))
    site.face.notifications.rows = [notification("n9", delivery("pi-1", "failed", "y" * 300), title="t" * 200)]
    shown.get_by_role("button", name="Identify this device").click()
    expect(shown.locator("#commands-list li")).to_have_count(1)
    turn(site, reason="z" * 300)
    site.face.ring.publish("delivery", "", {"more": 7})
    site.face.ring.publish("alarm", "1", {"id": 1, "device": "pi-1"})
    expect(shown.locator("#alarms-list .detail")).to_contain_text("xxx")
    expect(shown.locator("#notifications-list .detail")).to_contain_text("yyy")
    expect(shown.locator("#commands-list .detail")).to_contain_text("zzz")
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    card = shown.locator("#panel").bounding_box()
    for inside in shown.locator("#panel button:visible, #panel input, #panel select, #panel .verdict").all():
        box = inside.bounding_box()
        assert box["x"] + box["width"] <= card["x"] + card["width"], (width, inside.text_content())
