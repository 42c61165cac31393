"""The page of the soil stations in a real browser, on a real server, over fakes."""

from __future__ import annotations

import json
import time

import pytest
from playwright.sync_api import expect

from tests.web.fake_soil import anomaly, soil
from tests.web.fakes import view
from tests.web.page_site import NOW
from web.render import rfc3339


def put(server, serial, presence="online", *, row=None, **fields):
    """Add a station to the fleet and to the database."""
    server.face.fleet.put(view(serial, presence, kind="sensor", **fields))
    rows = server.face.soil_health.rows["stations"]
    rows[:] = [known for known in rows if known["serial"] != serial] + [row or soil(serial, ts_us=NOW)]


def tell(server, serial, index, status, *, ts_us=None, **fields):
    """Let the ring say that a reading was stored, as the server does it."""
    ts_us = ts_us or int(time.time() * 1e6)
    said = {"health_index": index, "status": status, "anomalies": [], "measures": {"pH": 6.5}} | fields
    server.face.ring.publish("reading", serial, {"serial": serial, "ts": rfc3339(ts_us)} | said)


@pytest.fixture
def shown(site, page, console):
    put(site, "soil-1", label="North bed", site="harbour")
    odd = [anomaly(), anomaly("Moisture", 3.2, "unusual", message="Moisture 3.2 % is far below what is usual here")]
    put(site, "soil-2", "offline", row=soil("soil-2", 31.0, "Critical", ts_us=NOW, anomalies=odd))
    page.goto(f"{site.url}/login?key=the-page-key")
    page.get_by_role("link", name="Sensors").click()
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#stations tr")).to_have_count(2)
    return page


def row(page, serial):
    return page.locator(f'#stations tr[data-key="{serial}"]')


def test_the_page_shows_every_station_with_what_its_latest_reading_says(shown, console):
    assert shown.url.endswith("/hardware")
    north = row(shown, "soil-1")
    expect(north.locator("th")).to_contain_text("North bed")
    expect(north.locator(".where")).to_have_text("onlineharbour")
    expect(north.locator(".index")).to_have_text("72Good")
    expect(north.locator(".drivers summary")).to_have_text("held back by pH \N{MINUS SIGN}12, Moisture \N{MINUS SIGN}6")
    expect(north.locator(".drivers li")).to_be_hidden()
    north.locator(".drivers summary").click()
    expect(north.locator(".drivers li")).to_have_text("pH is 6.4, below the optimum of 6.5 to 7: lime raises it.")
    measures = "N41 mg/kgP22 mg/kgK180 mg/kgCO2420 ppmTemperature21.5 °CMoisture33 %pH6.4"
    expect(north.locator(".measures")).to_have_text(measures)
    expect(north.locator(".age")).to_contain_text(" ago")
    expect(north.locator(".chip")).to_have_count(0)
    expect(row(shown, "soil-2").locator(".where")).to_contain_text("offline")
    expect(row(shown, "soil-2").locator(".index")).to_have_text("31Critical")
    assert console == []


def test_an_anomaly_tells_its_sentence_when_asked_by_keyboard(site, shown):
    chip = row(shown, "soil-2").locator(".chip").first
    expect(chip.locator("summary")).to_have_text("pH 3.8 implausible")
    assert chip.locator("summary").get_attribute("title") == "pH is 3.8, which is below 4"
    chip.locator("summary").focus()
    shown.keyboard.press("Enter")
    expect(chip.locator("p")).to_be_visible()
    # A new reading must not close what somebody reads.
    tell(site, "soil-2", 33.0, "Critical", anomalies=[anomaly(value=3.7, message="still too sour")])
    expect(chip.locator("p")).to_have_text("still too sour")
    expect(chip.locator("p")).to_be_visible()


def test_a_reading_appears_without_a_reload_and_without_a_new_row(site, shown, console):
    shown.evaluate("window.row = document.querySelector('#stations tr')")
    tell(site, "soil-1", 48.6, "Poor", anomalies=[anomaly()])
    expect(row(shown, "soil-1").locator(".index")).to_have_text("49Poor")
    expect(row(shown, "soil-1").locator(".measures")).to_have_text("pH6.5")
    expect(row(shown, "soil-1").locator(".chip summary")).to_have_text("pH 3.8 implausible")
    assert shown.evaluate("window.row === document.querySelector('#stations tr')")
    assert console == []


def test_an_older_reading_that_comes_late_changes_nothing(site, shown):
    tell(site, "soil-1", 1.0, "Critical", ts_us=NOW - 60_000_000)
    tell(site, "soil-2", 55.0, "Fair")
    expect(row(shown, "soil-2").locator(".index")).to_have_text("55Fair")
    expect(row(shown, "soil-1").locator(".index")).to_have_text("72Good")


def test_presence_follows_by_itself(site, shown):
    site.tell("soil-1", "offline")
    expect(row(shown, "soil-1").locator(".where")).to_contain_text("offline")
    expect(row(shown, "soil-1").locator(".dot")).to_have_class("dot offline")


def test_a_station_that_speaks_for_the_first_time_appears(site, shown):
    put(site, "soil-3", row=soil("soil-3", 90.0, "Excellent", ts_us=NOW))
    tell(site, "soil-3", 90.0, "Excellent")
    expect(row(shown, "soil-3").locator(".index")).to_have_text("90Excellent")


def test_a_device_that_becomes_a_station_appears_and_one_that_is_removed_goes(site, shown):
    put(site, "soil-3")
    site.face.ring.publish("device", "soil-3", {"serial": "soil-3", "kind": "sensor"})
    expect(row(shown, "soil-3")).to_be_visible()
    site.face.fleet.delete("soil-3")
    site.face.ring.publish("removed", "soil-3", {"serial": "soil-3"})
    expect(row(shown, "soil-3")).to_have_count(0)


def test_a_station_without_a_reading_and_one_without_an_index_are_told_so(site, shown):
    nothing = {"ts_us": None, "rx_us": None, "contributions": {}, "recommendations": [], "measures": {}}
    put(site, "soil-3", row=soil("soil-3", None, "", **nothing))
    put(site, "soil-4", row=soil("soil-4", None, "", contributions={}, measures={"radon": 12}))
    shown.reload()
    expect(row(shown, "soil-3").locator(".word")).to_have_text("no reading yet")
    expect(row(shown, "soil-3").locator(".age")).not_to_contain_text("ago")
    expect(row(shown, "soil-4").locator(".word")).to_have_text("no index")
    expect(row(shown, "soil-4").locator(".drivers")).to_be_hidden()
    expect(row(shown, "soil-4").locator(".measures")).to_have_text("radon12")
    tell(site, "soil-3", 60.0, "Fair")
    expect(row(shown, "soil-3").locator(".index")).to_have_text("60Fair")


def test_without_a_station_the_page_says_how_to_start_one(site, page, console):
    page.goto(f"{site.url}/login?key=the-page-key")
    page.get_by_role("link", name="Sensors").click()
    expect(page.locator("#none")).to_contain_text("muster sensor-publisher")
    expect(page.locator("#table")).to_be_hidden()
    put(site, "soil-1")
    tell(site, "soil-1", 72.0, "Good")
    expect(row(page, "soil-1")).to_be_visible()
    expect(page.locator("#none")).to_be_hidden()
    assert console == []


def test_what_came_in_and_what_follows_the_table_is_told(site, shown):
    expect(shown.locator(".tiles")).to_contain_text("Received12")
    expect(shown.locator("#count-failed")).to_have_text("2")
    assert shown.locator("#count-failed").get_attribute("title") == "not_json 2"
    expect(shown.locator("#followers")).to_contain_text("auditup to date · 7 written")
    site.face.followers.rows = [
        {"name": "influx", "cursor": 2, "lag": 1234, "written": 2, "last_error": "refused", "ok": False}
    ]
    shown.reload()
    expect(shown.locator("#followers")).to_contain_text("influxfailing · 1,234 behind · 2 written")
    expect(shown.locator("#followers .detail")).to_have_text("refused")


def test_many_stations_are_paged_by_the_server(site, page):
    for number in range(70):
        put(site, f"soil-{number:02}")
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}/hardware")
    note = page.locator("#stations-note")
    expect(note).to_have_text("1 to 50")
    page.get_by_role("button", name="Next").click()
    expect(note).to_have_text("51 to 70")
    page.get_by_role("button", name="Previous").click()
    expect(note).to_have_text("1 to 50")


def test_what_a_station_says_is_text_and_never_markup(site, page, console):
    evil = '<img src=x onerror="document.title=1"><b>x</b>'
    said = [anomaly(evil, message=evil)]
    put(site, "evil", label=evil, site=evil, row=soil("evil", 5.0, evil, ts_us=NOW, anomalies=said, measures={evil: 1}))
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}/hardware")
    expect(row(page, "evil").locator(".label")).to_have_text(evil)
    expect(row(page, "evil").locator(".word")).to_have_text(evil)
    expect(row(page, "evil").locator("dt")).to_have_text(evil)
    assert page.locator("main b, main img").count() == 0
    assert page.title() == "Muster: sensors"
    assert console == []


@pytest.mark.parametrize("width", [1280, 1024, 768, 360])
def test_at_every_width_nothing_is_cut_off(site, shown, width):
    shown.set_viewport_size({"width": width, "height": 800})
    long = {"measures": {"Temperature": -273.15, "CO2": 99_999.99, "a-rather-long-name-of-a-measure": 1e6}}
    put(site, "0123456789abcdef", site="greenhouse-2", row=soil("0123456789abcdef", 100.0, "Excellent", **long))
    shown.reload()
    longest = row(shown, "0123456789abcdef")
    expect(longest).to_contain_text("99,999.99")
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.evaluate("document.documentElement.clientWidth") == width
    for cell in longest.locator("td, th, dt, dd").all():
        assert cell.evaluate("e => e.scrollWidth <= e.clientWidth + 1"), json.dumps([width, cell.text_content()])


def test_without_a_session_the_page_leads_to_the_login(site, page):
    page.goto(f"{site.url}/hardware")
    expect(page.get_by_label("Access token")).to_be_visible()
