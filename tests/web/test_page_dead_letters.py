"""The page of the dead letters in a real browser, on a real server, over fakes."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from actors.payloads import REASONS
from tests.support.axe import serious
from tests.support.wait import eventually
from tests.web.page_site import NOW
from web.texts import LANGUAGES, load

BYTES = bytes(range(200, 256)) * 50


def put(site, number, reason="missing_field", payload=b'{"serial_number":"pi-1","a":[1]}', **fields):
    """A message could not be processed, and the ring says so, as the server does it."""
    row = {
        "id": number,
        "rx_us": NOW - number * 60_000_000,
        "reason": reason,
        "detail": "`code` is missing",
        "link": "local.data",
        "topic": "devices/pi-1/scans",
        "payload": payload,
        "serial": "pi-1",
        "qos": 1,
        "replayed_us": None,
    }
    site.face.history.rows["dead_letters"].append(row | fields)
    site.face.ring.publish("dead_letter", "", {"reason": reason, "topic": "", "serial": "pi-1", "count": 1})


@pytest.fixture
def shown(site, page, console):
    put(site, 7)
    put(site, 8, "not_utf8", BYTES, serial="", topic="devices/announce")
    put(site, 9, "not_json", b"hello", serial="gw-7")
    put(site, 10)
    page.goto(f"{site.url}/login?key=the-page-key")
    page.get_by_role("link", name="Dead letters").click()
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#list tr")).to_have_count(4)
    return page


def row(page, number):
    return page.locator(f'#list tr[data-key="{number}"]')


def open_one(page, number):
    row(page, number).locator("a.open").click()
    return page.locator(".beside")


def confirm(page, verb):
    page.get_by_role("dialog").get_by_role("button", name=verb).click()


def test_the_page_shows_what_could_not_be_processed_and_how_many_of_each_reason(shown, console):
    expect(shown).to_have_title("Muster: dead letters")
    expect(row(shown, 7).locator(".open")).to_have_text("missing field")
    expect(row(shown, 7).locator(".said")).to_have_text("`code` is missing")
    expect(row(shown, 7).locator(".topic")).to_have_text("devices/pi-1/scans")
    expect(row(shown, 7).get_by_role("link", name="pi-1")).to_have_attribute("href", "/devices/pi-1")
    expect(row(shown, 8).locator("code")).to_contain_text("c8 c9 ca")
    expect(shown.locator("#reasons li")).to_have_text(["missing field 2", "not utf8 1", "not json 1"])
    assert console == []


def test_a_letter_says_what_its_reason_means_what_to_do_and_shows_its_bytes(shown, console):
    one = open_one(shown, 7)
    expect(one.locator(".means")).to_have_text("a required field is missing.")
    expect(one.locator(".next")).to_contain_text("Mend the program on the device")
    expect(one.locator("pre.payload")).to_have_text(json.dumps({"serial_number": "pi-1", "a": [1]}, indent=2))
    one.get_by_text("As it was received").click()
    expect(one.locator("details pre")).to_have_text('{"serial_number":"pi-1","a":[1]}')
    one = open_one(shown, 8)
    expect(one.locator("pre.payload")).to_contain_text("0000  c8 c9 ca cb cc cd ce cf")
    expect(one.locator("pre.payload")).to_contain_text("…")
    one = open_one(shown, 9)
    expect(one.locator("pre.payload")).to_have_text("hello")
    expect(one).to_contain_text("Text, 5\N{NO-BREAK SPACE}B, no JSON")
    assert console == []


def test_letters_are_chosen_by_reason_and_device_and_the_choice_stands_in_the_address(site, shown):
    shown.get_by_role("button", name="missing field 2").click()
    expect(shown).to_have_url(f"{site.url}/dead-letters?reason=missing_field")
    expect(shown.get_by_role("button", name="missing field 2")).to_have_attribute("aria-pressed", "true")
    eventually(
        lambda: (site.face.history.asked or {}).get("reason") == "missing_field", what="that reason is asked for"
    )
    shown.get_by_role("searchbox", name="Device").fill("pi-1")
    shown.keyboard.press("Enter")
    expect(shown.locator("#reasons li")).to_have_text(["missing field 2"])
    shown.reload()
    expect(shown.get_by_role("searchbox", name="Reason")).to_have_value("missing_field")
    shown.get_by_role("button", name="missing field 2").click()
    expect(shown).to_have_url(f"{site.url}/dead-letters?serial=pi-1")


def test_a_letter_is_replayed_once_it_is_confirmed_and_a_refusal_is_told(site, shown, console):
    one = open_one(shown, 7)
    one.get_by_role("button", name="Replay dead letter 7").click()
    expect(shown.get_by_role("dialog")).to_contain_text("as if it had just arrived")
    confirm(shown, "Back")
    assert site.face.dead_letters.replayed == []
    one.get_by_role("button", name="Replay dead letter 7").click()
    confirm(shown, "Replay")
    expect(shown.get_by_role("alert").filter(has_text="Handed in again.")).to_be_visible()
    assert site.face.dead_letters.replayed == [7]
    site.face.history.rows["dead_letters"][0]["replayed_us"] = NOW
    put(site, 6)
    expect(row(shown, 7).locator(".replayed")).to_contain_text("replayed")
    row(shown, 6).get_by_role("button", name="Replay dead letter 6").click()
    confirm(shown, "Replay")
    expect(shown.get_by_role("alert").filter(has_text="this dead letter has no topic")).to_be_visible()
    assert [text for text in console if "409" not in text] == []


def test_those_that_are_shown_are_replayed_together_the_oldest_first(site, shown):
    replayed = site.face.dead_letters.replayed
    site.face.dead_letters.replay = replayed.append
    shown.get_by_role("button", name="Replay the 4 shown").click()
    expect(shown.get_by_role("dialog")).to_contain_text("Hand in again the 4 that are shown")
    confirm(shown, "Replay the 4 shown")
    expect(shown.get_by_role("alert").filter(has_text="4 handed in again.")).to_be_visible()
    assert replayed == [10, 9, 8, 7]


def test_of_those_replayed_together_the_page_says_how_many_were_refused(site, shown):
    shown.get_by_role("button", name="Replay the 4 shown").click()
    confirm(shown, "Replay the 4 shown")
    told = shown.get_by_role("alert").filter(has_text="3 of 4 could not be handed in again: there is no dead letter")
    expect(told).to_be_visible()
    assert site.face.dead_letters.replayed == [7]


def test_a_letter_appears_without_a_reload(site, shown, console):
    shown.evaluate("window.stillTheSamePage = true")
    put(site, 11, "unbound")
    expect(row(shown, 11)).to_have_class("flash")
    expect(shown.locator("#reasons")).to_contain_text("unbound 1")
    assert shown.evaluate("window.stillTheSamePage")
    assert console == []


def test_without_a_letter_the_page_says_so_and_a_reader_is_offered_no_buttons(site, page, console):
    page.goto(site.url)
    page.get_by_label("Access token").fill("the-read-token")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Dead letters").click()
    expect(page.locator("#none")).to_contain_text("everything that came was processed")
    expect(page.locator("#none")).to_contain_text("muster dead-letters")
    put(site, 7)
    expect(row(page, 7)).to_be_visible()
    expect(row(page, 7).get_by_role("button")).to_have_count(0)
    expect(open_one(page, 7).get_by_role("button")).to_have_count(1)
    expect(page.locator("#replay-shown")).to_be_hidden()
    assert console == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_is_explained_and_has_advice(language, site, page, console):
    texts = load(language)
    assert {key.removeprefix("dead_letters.means.") for key in texts if key.startswith("dead_letters.means.")} == set(
        REASONS
    )
    page.set_extra_http_headers({"Accept-Language": language})
    page.goto(f"{site.url}/login?key=the-page-key")
    for number, reason in enumerate(REASONS, start=1):
        put(site, number, reason)
        page.goto(f"{site.url}/dead-letters#letter/{number}")
        expect(page.locator(".beside .means")).to_have_text(f"{texts[f'dead_letters.means.{reason}']}.")
        advice = page.locator(".beside .next").text_content()
        assert advice in {texts[key] for key in texts if key.startswith("dead_letters.next.")}
    assert console == []


def test_what_a_device_sent_is_text_and_never_markup(site, page, console):
    evil = '<img src=x onerror="document.title=1"><b>x</b>'
    put(site, 7, evil, evil.encode(), detail=evil, topic=evil, serial=evil, link=evil)
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}/dead-letters")
    expect(open_one(page, 7).locator("pre.payload")).to_have_text(evil)
    assert page.locator("main b, main img").count() == page.locator("#reasons b").count()
    expect(page).to_have_title("Muster: dead letters")
    assert console == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(shown, scheme):
    shown.emulate_media(color_scheme=scheme)
    expect(open_one(shown, 7).locator("pre.payload")).to_be_visible()
    shown.get_by_role("button", name="missing field 2").focus()
    assert serious(shown) == []


@pytest.mark.parametrize("width", [1280, 768, 360])
def test_at_every_width_nothing_is_cut_off(site, shown, width):
    shown.set_viewport_size({"width": width, "height": 800})
    put(site, 12, "r" * 60, b"x" * 5000, detail="d" * 300, topic="t" * 400, serial="z" * 64)
    expect(row(shown, 12)).to_be_visible()
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    for cell in row(shown, 12).locator("td, th").all():
        assert cell.evaluate("e => e.scrollWidth <= e.clientWidth + 1"), (width, cell.text_content())
    one = open_one(shown, 12)
    expect(one.locator("pre.payload")).to_be_visible()
    assert one.evaluate("e => e.scrollWidth <= e.clientWidth + 1"), width
