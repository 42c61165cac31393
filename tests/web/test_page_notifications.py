"""The page of the notifications in a real browser, on a real server, over fakes."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from actors.targets import Target
from tests.support.axe import serious
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
    expect(shown).to_have_title("Muster: notifications")
    assert [each.get_attribute("data-key") for each in shown.locator("#list tr").all()] == ["n2", "n1"]
    expect(shown.locator("#totals")).to_have_text("1 accepted1 failed or expired")
    expect(row(shown, "n1").locator(".open")).to_have_text("Hot")
    expect(row(shown, "n1").locator(".how")).to_have_text("highQoS 1")
    expect(row(shown, "n1").locator(".verdict").last).to_have_text("accepted")
    expect(row(shown, "n1").locator(".time")).to_contain_text(" agoby admin")
    expect(row(shown, "n2").locator(".how")).to_have_text("normalQoS 1, retained")
    expect(row(shown, "n2").locator(".tally")).to_have_text("1 displayed · 1 failed")
    assert console == []


def open_one(page, name, title):
    row(page, name).get_by_role("link", name=title).click()
    return page.get_by_role("region", name=title)


def test_each_delivery_has_its_receipt_which_arrives_without_a_reload(site, shown, console):
    one = open_one(shown, "n1", "Hot")
    expect(one.locator(".deliveries")).to_contain_text("a/baccepted")
    expect(one.locator(".reason")).to_have_text("the broker has it; nobody had subscribed")
    one = open_one(shown, "n2", "Maintenance")
    deliveries = one.locator(".deliveries .line")
    expect(deliveries).to_contain_text(["pi-1displayed", "gw-7failed"])
    expect(one.locator(".reason").last).to_have_text("the broker does not allow it")
    expect(one.get_by_role("link", name="gw-7")).to_have_attribute("href", "/devices/gw-7")
    put(site, "n2", delivery("pi-1", "displayed", ""), delivery("gw-7", "received", ""), title="Maintenance")
    expect(deliveries).to_contain_text(["pi-1displayed", "gw-7received"])
    assert console == []


def test_of_many_recipients_the_first_hundred_are_shown_and_more_when_asked_for(site, shown):
    put(site, "n3", *(delivery(f"x-{number}") for number in range(130)), title="All")
    one = open_one(shown, "n3", "All")
    expect(one.locator(".deliveries li")).to_have_count(100)
    one.get_by_role("button", name="Show more").click()
    expect(one.locator(".deliveries li")).to_have_count(130)
    expect(one.get_by_role("button", name="Show more")).to_be_hidden()


def fill_in(page, to, **fields):
    if not page.locator("#sending").evaluate("e => e.open"):
        page.get_by_text("Send a notification").click()
    page.locator("#to").select_option(to)
    for label, text in fields.items():
        page.get_by_label(label, exact=True).fill(text)


def test_a_notification_is_sent_to_a_device_and_the_page_leads_to_it(site, shown, console):
    fill_in(shown, "a device", Title="Door open", Text="Close it", **{"Serial number": "pi-1"})
    shown.locator("#priority").select_option("urgent")
    shown.get_by_label("Wanted for").select_option("1 hour")
    shown.get_by_label("Retained").check()
    shown.get_by_role("button", name="Send", exact=True).click()
    expect(shown.locator("#sent")).to_contain_text("Sent to 1 recipient.")
    message, target, topic, by, *_ = site.face.notifications.sent[0]
    assert (message.title, message.body, message.priority, message.ttl, message.retain, message.qos) == (
        "Door open",
        "Close it",
        "urgent",
        3600,
        True,
        None,
    )
    assert (target, topic, by) == (Target(device="pi-1"), "", "admin")
    expect(shown.get_by_label("Title")).to_have_value("")
    shown.get_by_role("link", name="See what becomes of it").click()
    expect(shown.get_by_role("region", name="Hot")).to_be_visible()
    assert console == []


def test_before_many_get_it_the_page_asks_and_says_how_many(site, page):
    site.face.groups.create({"name": "pumps"}, "admin", "10.0.0.7")
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}/notifications")
    fill_in(page, "all devices", Title="Maintenance")
    page.get_by_role("button", name="Send", exact=True).click()
    question = page.get_by_role("dialog")
    expect(question).to_contain_text("Send this to all devices? Those are 2.")
    question.get_by_role("button", name="Back").click()
    expect(question).to_have_count(0)
    assert site.face.notifications.sent == []
    page.get_by_role("button", name="Send", exact=True).click()
    question.get_by_role("button", name="Send").click()
    expect(page.locator("#sent")).to_be_visible()
    fill_in(page, "a group")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(question).to_contain_text("Send this to the group pumps?")
    question.get_by_role("button", name="Send").click()
    expect(page.locator("#sent")).to_be_visible()
    fill_in(page, "several devices", **{"Serial numbers, separated by blanks": "pi-1, gw-7"})
    page.get_by_role("button", name="Send", exact=True).click()
    expect(question).to_contain_text("Send this to 2 devices?")
    question.get_by_role("button", name="Send").click()
    expect(page.locator("#sent")).to_be_visible()
    targets = [sent[1] for sent in site.face.notifications.sent]
    assert targets == [Target(all=True), Target(group="pumps"), Target(devices=("pi-1", "gw-7"))]


def test_what_is_refused_stays_to_be_read_and_what_was_written_stays(site, shown):
    fill_in(shown, "a topic", Title="News", Topic="a/+/b")
    shown.get_by_role("button", name="Send", exact=True).click()
    expect(shown.locator("#send-problem")).to_have_text("topic: has a wildcard")
    expect(shown.get_by_label("Title")).to_have_value("News")


def test_a_reader_cannot_send(site, page):
    page.goto(site.url)
    page.get_by_label("Access token").fill("the-read-token")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Notifications").click()
    expect(row(page, "n1")).to_be_visible()
    expect(page.get_by_text("Send a notification")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(site, shown, scheme):
    shown.emulate_media(color_scheme=scheme)
    expect(open_one(shown, "n2", "Maintenance").locator(".deliveries li")).to_have_count(2)
    fill_in(shown, "a device")
    assert serious(shown) == []


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
    shown.get_by_role("searchbox", name="Device").fill("gw-7")
    shown.keyboard.press("Enter")
    expect(shown.locator("#list tr")).to_have_count(1)
    shown.reload()
    expect(row(shown, "n2")).to_be_visible()
    expect(shown.get_by_role("searchbox", name="Device")).to_have_value("gw-7")
    shown.get_by_role("searchbox", name="Device").fill("nobody")
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
    expect(row(page, "n2").locator(".open")).to_have_text(evil)
    row(page, "n2").get_by_role("link").click()
    expect(page.locator(".beside .deliveries")).to_contain_text(evil)
    assert page.locator("main b, main img").count() == 0
    assert page.title() == "Muster: notifications"
    assert console == []


@pytest.mark.parametrize("width", [1280, 768, 360])
def test_at_every_width_nothing_is_cut_off(site, shown, width):
    shown.set_viewport_size({"width": width, "height": 800})
    put(site, "long", delivery("z" * 64, "failed", "x" * 300), delivery("y" * 64), title="x" * 400, sent_by="s" * 64)
    expect(row(shown, "long")).to_be_visible()
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    for cell in row(shown, "long").locator("td, th").all():
        assert cell.evaluate("e => e.scrollWidth <= e.clientWidth + 1"), (width, cell.text_content())
    row(shown, "long").get_by_role("link").click()
    expect(shown.locator(".deliveries li")).to_have_count(2)
    assert shown.locator(".beside").evaluate("e => e.scrollWidth <= e.clientWidth + 1"), width
