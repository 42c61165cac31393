"""The page of the notifications in a real browser, on a real server, over fakes."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.web.fake_notifications import delivery, notification
from tests.web.page_site import NOW


def put(site, name, *deliveries, **fields):
    """A notification is sent, and the ring says so, as the server does it."""
    row = notification(name, *deliveries, **({"created_us": NOW} | fields))
    rows = site.face.notifications.rows
    site.face.notifications.rows = [row, *(other for other in rows if other["id"] != name)]
    site.face.ring.publish("delivery", name, {"notification": name, "device": row["deliveries"][0]["device"]})


@pytest.fixture
def shown(site, page, console):
    put(site, "n1", created_us=NOW - 600_000_000)
    shed = [delivery("pi-1", "displayed", ""), delivery("gw-7", "failed", "not_authorized")]
    put(site, "n2", *shed, title="Maintenance", priority="normal", retain=True)
    page.goto(f"{site.url}/login?key=the-page-key")
    page.get_by_role("link", name="Notifications").click()
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#list tr")).to_have_count(2)
    return page


def row(page, name):
    return page.locator(f'#list tr[data-key="{name}"]')


def test_the_page_shows_notifications_and_what_became_of_them(shown, console):
    assert shown.title() == "Muster: notifications"
    assert [each.get_attribute("data-key") for each in shown.locator("#list tr").all()] == ["n2", "n1"]
    expect(shown.locator("#totals")).to_have_text("1 accepted · 1 failed or expired")
    expect(row(shown, "n1").locator(".title")).to_have_text("Hot")
    expect(row(shown, "n1").locator(".how")).to_have_text("highQoS 1")
    expect(row(shown, "n1").locator(".verdict").last).to_have_text("accepted")
    expect(row(shown, "n1").locator(".time")).to_contain_text(" agoby admin")
    expect(row(shown, "n2").locator(".how")).to_have_text("normalQoS 1, retained")
    expect(row(shown, "n2").locator(".tally")).to_have_text("1 displayed · 1 failed")
    assert console == []


def test_the_recipients_are_asked_for_and_stay_up_to_date(site, shown, console):
    row(shown, "n1").get_by_text("1 recipient").click()
    expect(row(shown, "n1").locator(".recipients")).to_have_text("a/bacceptedno subscribers")
    row(shown, "n2").get_by_text("2 recipients").click()
    recipients = row(shown, "n2").locator(".recipients li")
    expect(recipients).to_have_text(["pi-1displayed", "gw-7failednot authorized"])
    put(site, "n2", delivery("pi-1", "displayed", ""), delivery("gw-7", "received", ""), title="Maintenance")
    expect(recipients).to_have_text(["pi-1displayed", "gw-7received"])
    assert console == []


def test_of_many_recipients_the_first_hundred_are_shown(site, shown):
    put(site, "n3", *(delivery(f"x-{number}") for number in range(130)), title="All")
    row(shown, "n3").get_by_text("130 recipients").click()
    expect(row(shown, "n3").locator(".recipients li")).to_have_count(101)
    expect(row(shown, "n3").locator(".recipients li").last).to_have_text("the first 100")


def test_a_notification_appears_and_changes_without_a_reload(site, shown, console):
    shown.evaluate("window.stillTheSamePage = true")
    put(site, "n3", delivery("pi-1", "queued", ""), title="New")
    expect(row(shown, "n3")).to_have_class("flash")
    expect(row(shown, "n3").locator(".state .verdict")).to_have_text("queued")
    put(site, "n3", delivery("pi-1", "displayed", ""), title="New")
    expect(row(shown, "n3").locator(".state .verdict")).to_have_text("displayed")
    assert shown.evaluate("window.stillTheSamePage")
    assert console == []


def test_those_of_one_device_are_chosen_and_the_choice_survives_a_reload(site, shown):
    shown.get_by_label("Device").fill("gw-7")
    shown.keyboard.press("Enter")
    expect(shown.locator("#list tr")).to_have_count(1)
    shown.reload()
    expect(row(shown, "n2")).to_be_visible()
    expect(shown.get_by_label("Device")).to_have_value("gw-7")
    shown.get_by_label("Device").fill("nobody")
    shown.get_by_role("button", name="Show").click()
    expect(shown.locator("#none")).to_contain_text("No notification to this device.")


def test_without_a_notification_the_page_says_how_to_send_one(site, page, console):
    site.face.notifications.rows = []
    told = site.face.notifications.statistics()
    site.face.notifications.statistics = lambda: told | {"connected": False}
    page.goto(f"{site.url}/login?key=the-page-key")
    page.get_by_role("link", name="Notifications").click()
    expect(page.locator("#none")).to_contain_text("Nothing has been sent yet.")
    expect(page.locator("#none")).to_contain_text("muster notify")
    expect(page.locator("#totals")).to_contain_text("the broker is away")
    assert console == []


def test_many_notifications_are_paged_by_the_server(site, page):
    for number in range(70):
        put(site, f"x{number}")
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}/notifications")
    note = page.locator("#notifications-note")
    expect(note).to_have_text("1 to 50")
    page.get_by_role("button", name="Next").click()
    expect(note).to_have_text("51 to 71")


def test_what_is_sent_is_text_and_never_markup(site, page, console):
    evil = '<img src=x onerror="document.title=1"><b>x</b>'
    put(site, "n2", delivery(evil, "failed", evil, topic=evil), title=evil, sent_by=evil)
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}/notifications")
    expect(row(page, "n2").locator(".title")).to_have_text(evil)
    row(page, "n2").get_by_text("1 recipient").click()
    expect(row(page, "n2").locator(".recipients")).to_contain_text(evil)
    assert page.locator("main b, main img").count() == 0
    assert page.title() == "Muster: notifications"
    assert console == []


@pytest.mark.parametrize("width", [1280, 768, 360])
def test_at_every_width_nothing_is_cut_off(site, shown, width):
    shown.set_viewport_size({"width": width, "height": 800})
    put(site, "long", delivery("z" * 64, "failed", "x" * 300), delivery("y" * 64), title="x" * 400, sent_by="s" * 64)
    row(shown, "long").get_by_text("2 recipients").click()
    expect(row(shown, "long").locator(".recipients li")).to_have_count(2)
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    for cell in row(shown, "long").locator("td, th").all():
        assert cell.evaluate("e => e.scrollWidth <= e.clientWidth + 1"), (width, cell.text_content())
