"""What reaches a device, on its page: commands, notifications and the twin, each with its live state."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.web.device_page import agree, enter, part, put
from tests.web.fake_notifications import delivery, notification
from tests.web.page_site import NOW
from web.notifications import NotificationRefusedError


@pytest.fixture
def shown(site, page, console):
    site.face.notifications.rows = []
    put(site)
    return enter(site, page)


@pytest.fixture
def reach(shown):
    return part(shown, "Messages")


def turn(site, **fields):
    """The newest command changes, and the ring says so."""
    row = list(site.face.commands.rows.values())[-1]
    row.update(fields)
    site.face.ring.publish("command", row["device"], {"id": row["id"], "device": row["device"]})


def give(reach, name, args=""):
    reach.get_by_label("Command", exact=True).fill(name)
    reach.get_by_label("Arguments").fill(args)
    reach.get_by_role("button", name="Give the command").click()


# -- commands ---------------------------------------------------------------------------------------------------------


def test_a_command_is_given_and_its_state_is_live(site, shown, reach, console):
    expect(reach.locator("#commands-none")).to_be_visible()
    give(reach, "logs", '{"lines": 20}')
    given = reach.locator("#commands-list li")
    expect(given.locator(".id")).to_have_text("logs")
    expect(given.locator(".verdict")).to_have_text("queued")
    expect(given.locator(".args")).to_have_text('{"lines":20} · by operate')
    expect(shown.locator("#toast")).to_have_text("logs was given.")
    asked = {"serial": "pi-1", "name": "logs", "args": {"lines": 20}, "timeout": 60}
    assert site.face.commands.asked | asked == site.face.commands.asked
    turn(site, state="running")
    expect(given.locator(".verdict")).to_have_text("running")
    turn(site, state="succeeded", result={"time": "2026-01-31T12:00:00Z"})
    expect(given.locator(".verdict")).to_have_text("succeeded")
    expect(given.locator("summary")).to_have_text('{"time":"2026-01-31T12:00:00Z"}')
    expect(given.get_by_role("button")).to_have_count(0)
    assert console == []


def test_a_command_that_waits_is_cancelled_after_a_question(site, shown, reach, console):
    give(reach, "identify")
    reach.get_by_role("button", name="Cancel identify").click()
    expect(shown.get_by_role("dialog")).to_contain_text("Cancel identify?")
    agree(shown, "Cancel")
    expect(reach.locator("#commands-list .verdict")).to_have_text("cancelled")
    expect(reach.locator("#commands-list .reason")).to_have_text("cancelled by admin ops")
    assert console == []


@pytest.mark.parametrize(
    ("args", "said"), [("{lines: 20}", "This is no JSON"), ("[1]", "An object in braces is needed")]
)
def test_arguments_that_are_no_object_are_refused_before_anything_is_sent(site, reach, args, said):
    give(reach, "logs", args)
    expect(reach.locator("#command-args-problem")).to_contain_text(said)
    expect(reach.get_by_label("Arguments")).to_be_focused()
    expect(reach.get_by_label("Arguments")).to_have_attribute("aria-invalid", "true")
    assert site.face.commands.asked is None
    reach.get_by_label("Arguments").fill("{}")
    expect(reach.locator("#command-args-problem")).to_be_empty()


def test_commands_that_the_device_knows_are_offered(site, reach):
    put(site, metadata=b'{"commands": ["dose", "rinse"]}')
    offered = reach.locator("#command-names option")
    expect(offered).to_have_count(4)
    assert [one.get_attribute("value") for one in offered.all()] == ["dose", "rinse", "ping", "identify"]


def test_a_refused_command_is_told_and_what_was_written_stays(shown, reach):
    give(reach, "refused")
    expect(shown.locator("#toast")).to_have_text("pi-1 has too many")
    expect(reach.get_by_label("Command", exact=True)).to_have_value("refused")


# -- notifications ----------------------------------------------------------------------------------------------------


def test_a_notification_is_sent_and_its_receipt_arrives(site, reach, console):
    def send(wanted, *, by, address, key):
        asked.append(wanted)
        site.face.notifications.rows = [notification("n9", delivery("pi-1", "queued", ""), created_us=NOW)]
        return {"id": "n9", "recipients": 1, "warnings": [], "duplicate": False}

    asked = []
    site.face.notifications.send = send
    reach.get_by_label("Title").fill("Hot")
    reach.get_by_label("Text").fill("85 \N{DEGREE SIGN}C")
    reach.get_by_label("Priority").select_option("high")
    reach.get_by_role("button", name="Send").click()
    sent = reach.locator("#notifications-list li")
    expect(sent.locator(".verdict")).to_have_text("queued")
    message, target, _ = asked[0]
    assert (target.device, message.title, message.body, message.priority) == ("pi-1", "Hot", "85 °C", "high")
    expect(reach.get_by_label("Title")).to_have_value("")
    for state, reason, words in (
        ("accepted", "no_subscribers", "nobody has subscribed"),
        ("displayed", "", "priority high"),
    ):
        site.face.notifications.rows = [notification("n9", delivery("pi-1", state, reason), created_us=NOW)]
        site.face.ring.publish("delivery", "n9 pi-1", {"notification": "n9", "device": "pi-1", "state": state}, "pi-1")
        expect(sent.locator(".verdict")).to_have_text(state)
        expect(sent.locator(".detail")).to_contain_text(words)
    assert console == []


def test_of_a_notification_to_many_this_devices_own_delivery_is_told(site, page, console):
    both = (delivery("gw-7", "failed", "refused"), delivery("pi-1", "displayed", ""))
    site.face.notifications.rows = [notification("n9", *both)]
    enter(site, page, "/devices/pi-1#reach")
    row = page.locator("#notifications-list li")
    expect(row.locator(".verdict")).to_have_text("displayed")
    expect(row.locator(".detail")).to_contain_text("to 2 devices")
    assert console == []


def test_a_title_of_blanks_is_none(reach):
    reach.get_by_label("Title").fill("   ")
    assert reach.get_by_label("Title").evaluate("field => !field.validity.valid")
    reach.get_by_label("Title").fill(" Hot ")
    assert reach.get_by_label("Title").evaluate("field => field.validity.valid")


def test_a_refused_notification_is_told_and_what_was_written_stays(site, shown, reach):
    def refuse(*_, **__):
        raise NotificationRefusedError(413, "too_large", "body: has more than 256 KB", {"field": "body"})

    site.face.notifications.send = refuse
    reach.get_by_label("Title").fill("Hot")
    shown.keyboard.press("Enter")
    expect(shown.locator("#toast")).to_have_text("body: has more than 256 KB")
    expect(reach.get_by_label("Title")).to_have_value("Hot")
    expect(reach.get_by_role("button", name="Send")).to_be_enabled()


# -- the twin ---------------------------------------------------------------------------------------------------------


def test_a_twin_tells_what_is_desired_reported_and_different(site, shown, console):
    twin = part(shown, "Twin")
    expect(twin.locator("#twin-desired")).to_have_text("Nothing is desired of this device.")
    site.face.twins.change("pi-1", {"heartbeat": 10, "led": True}, 0, by="ops", address="")
    site.face.twins.report("pi-1", 1, heartbeat=10, led=False)
    shown.reload()
    expect(twin.locator("#twin-desired")).to_contain_text('"heartbeat": 10')
    expect(twin.locator("#twin-reported")).to_contain_text('"led": false')
    expect(twin.locator("#twin-difference")).to_have_text('{ "led": true }')
    expect(twin.locator("#twin-desired-about")).to_have_text("Version 1 by ops")
    expect(twin.locator("#twin-reported-about")).to_have_text("Version 1 is applied")
    assert console == []


def test_what_is_desired_is_edited_as_a_whole_and_sent_as_a_patch(site, shown, console):
    site.face.twins.change("pi-1", {"a": {"b": 1, "c": 2}, "gone": 1}, 0, by="ops", address="")
    twin = part(shown, "Twin")
    twin.get_by_role("button", name="Edit").click()
    field = twin.get_by_label("Desired (JSON object)")
    expect(field).to_have_value('{\n  "a": {\n    "b": 1,\n    "c": 2\n  },\n  "gone": 1\n}')
    field.fill('{"a": {"b": 5, "c": 2}, "new": [1]}')
    twin.get_by_role("button", name="Save").click()
    expect(twin.locator("#twin-form")).to_be_hidden()
    assert site.face.twins.read("pi-1").desired == {"a": {"b": 5, "c": 2}, "new": [1]}
    expect(twin.locator("#twin-desired-about")).to_have_text("Version 2 by admin ops")
    assert console == []


def test_a_change_that_somebody_else_made_meanwhile_is_not_overwritten(site, shown):
    site.face.twins.change("pi-1", {"a": 1}, 0, by="ops", address="")
    twin = part(shown, "Twin")
    twin.get_by_role("button", name="Edit").click()
    twin.get_by_label("Desired (JSON object)").fill('{"a": 3}')
    site.face.twins.change("pi-1", {"a": 2}, 1, by="somebody", address="")
    twin.get_by_role("button", name="Save").click()
    expect(twin.locator("#twin-conflict")).to_contain_text("it is at version 2, what you edit was version 1")
    expect(twin.get_by_label("Desired (JSON object)")).to_have_value('{"a": 3}')
    assert site.face.twins.read("pi-1").desired == {"a": 2}
    twin.get_by_role("button", name="Begin again with the newest").click()
    expect(twin.locator("#twin-conflict")).to_be_hidden()
    twin.get_by_label("Desired (JSON object)").fill('{"a": 3}')
    twin.get_by_role("button", name="Save").click()
    expect(twin.locator("#twin-form")).to_be_hidden()
    assert site.face.twins.read("pi-1").desired == {"a": 3}


def test_what_the_device_reports_appears_by_itself(site, shown):
    twin = part(shown, "Twin")
    expect(twin.locator("#twin-reported")).to_have_text("The device has reported nothing yet.")
    site.face.twins.report("pi-1", 0, led=True)
    site.face.ring.publish("twin", "pi-1", {"serial": "pi-1"})
    expect(twin.locator("#twin-reported")).to_have_text('{ "led": true }')


# -- all of them ------------------------------------------------------------------------------------------------------


def test_what_reaches_a_device_is_text_and_never_markup(site, shown, reach, console):
    evil = '<img src=x onerror="document.title=1"><b>x</b>'
    give(reach, "ping")
    expect(reach.locator("#commands-list li")).to_have_count(1)
    turn(site, state="failed", reason=evil, result={evil: evil})
    site.face.notifications.rows = [notification("n9", delivery("pi-1", "failed", evil), title=evil)]
    site.face.ring.publish("delivery", "", {"more": 7})
    for place in ("#commands-list .reason", "#notifications-list .id"):
        expect(reach.locator(place)).to_contain_text("onerror")
    assert shown.locator("main b, main img").count() == 0
    assert console == []


@pytest.mark.parametrize("width", [1280, 1024, 360])
def test_at_every_width_the_cards_hold_it(site, shown, reach, width):
    shown.set_viewport_size({"width": width, "height": 800})
    site.face.notifications.rows = [notification("n9", delivery("pi-1", "failed", "y" * 300), title="t" * 200)]
    give(reach, "i" * 64)
    expect(reach.locator("#commands-list li")).to_have_count(1)
    turn(site, reason="z" * 300)
    site.face.ring.publish("delivery", "", {"more": 7})
    expect(reach.locator("#notifications-list .detail")).to_contain_text("yyy")
    expect(reach.locator("#commands-list .reason")).to_contain_text("zzz")
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    for inside in reach.locator("button:visible, input, select, textarea, .verdict").all():
        card = inside.locator("xpath=ancestor::section[1]").bounding_box()
        box = inside.bounding_box()
        assert box["x"] + box["width"] <= card["x"] + card["width"], (width, inside.text_content())
