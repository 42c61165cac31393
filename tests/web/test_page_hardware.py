"""The page of the sensors in a real browser, on a real server, over fakes."""

from __future__ import annotations

import json
import time

import pytest
from playwright.sync_api import expect

from tests.support.axe import serious
from tests.support.wait import eventually
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
    said = {
        "kind": "sensor",
        "health_index": index,
        "status": status,
        "anomalies": [],
        "measures": {"pH": 6.5},
    } | fields
    server.face.ring.publish("reading", serial, {"serial": serial, "ts": rfc3339(ts_us)} | said)


BUCKET = 600_000_000  # microseconds: that of a day's chart
BEGUN = NOW // BUCKET * BUCKET
"""When the bucket began that what comes now belongs to."""


def measured(server, *values):
    """Let the database have buckets, the last one just before the one that has begun."""
    buckets = [
        {"ts_us": BEGUN - BUCKET * (index + 1), "n": 1, "avg": value, "min": value, "max": value}
        for index, value in enumerate(reversed(values))
    ]
    server.face.history.rows["buckets"] = server.face.soil_health.rows["indexes"] = buckets


@pytest.fixture
def enter(site, page, console):
    """Open the page with a query."""

    def go(query=""):
        page.goto(f"{site.url}/login?key=the-page-key")
        page.goto(f"{site.url}/hardware{query}")
        expect(page.locator("#live")).to_have_text("live")
        return page

    return go


@pytest.fixture
def shown(site, page, console):
    put(site, "soil-1", label="North bed", site="harbour")
    odd = [anomaly(), anomaly("Moisture", 3.2, "unusual", message="Moisture 3.2 % is far below what is usual here")]
    put(site, "soil-2", "offline", row=soil("soil-2", 31.0, "Critical", ts_us=NOW, anomalies=odd))
    page.goto(f"{site.url}/login?key=the-page-key")
    page.get_by_role("link", name="Sensors").click()
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#stations > li")).to_have_count(2)
    return page


def card(page, serial):
    return page.locator(f'.station[data-key="{serial}"]')


def measure(page, serial, name):
    return card(page, serial).locator(".measures > div").filter(has_text=name)


# The list


def test_the_page_shows_every_station_with_what_its_latest_reading_says(shown, console):
    assert shown.url.endswith("/hardware")
    north = card(shown, "soil-1")
    expect(north.locator("h3")).to_contain_text("North bed")
    expect(north.locator(".where")).to_contain_text("online")
    expect(north.locator(".where")).to_contain_text("harbour")
    expect(north.locator(".index")).to_have_text("72Good")
    expect(north.locator(".drivers summary")).to_have_text("held back by pH \N{MINUS SIGN}12, Moisture \N{MINUS SIGN}6")
    expect(north.locator(".advice li")).to_be_hidden()
    expect(north.locator(".age")).to_contain_text(" ago")
    expect(north.locator(".odd")).to_have_count(0)
    measures = ["pH6.4", "Moisture33 %", "N41 mg/kg", "P22 mg/kg", "K180 mg/kg", "Temperature21.5 °C", "CO2420 ppm"]
    expect(north.locator(".measures > div")).to_have_text(measures)
    expect(card(shown, "soil-2").locator(".where")).to_contain_text("offline")
    expect(card(shown, "soil-2").locator(".index")).to_have_text("31Critical")
    assert console == []


def test_what_drives_the_index_is_a_list_of_points_and_of_what_to_do(shown):
    drivers = card(shown, "soil-1").locator(".drivers")
    drivers.locator("summary").focus()
    shown.keyboard.press("Enter")
    expect(drivers.locator(".costs li").first).to_have_text("pH8.2 of 20 points")
    expect(drivers.locator(".advice li")).to_have_text("pH is 6.4, below the optimum of 6.5 to 7: lime raises it.")


def test_each_measure_shows_where_it_lies_in_its_optimum(site, shown):
    told = {
        "score": 0.5,
        "weight": 0.2,
        "points": 8.0,
        "lost": 12.0,
        "unit": "%",
        "optimum": [20, 30],
        "range": [10, 50],
    }
    for value, verdict, words, at in (
        (25, "inside", "in the optimum of 20 to 30", "50%"),
        (15, "outside", "below the optimum of 20 to 30", "12.5%"),
        (40, "outside", "above the optimum of 20 to 30", "87.5%"),
        (60, "beyond", "above the optimum of 20 to 30", "100%"),
    ):
        tell(site, "soil-1", 60.0, "Fair", measures={"Moisture": value}, contributions={"Moisture": told})
        bullet = measure(shown, "soil-1", "Moisture").get_by_role("img")
        expect(bullet).to_have_attribute("data-verdict", verdict)
        expect(bullet).to_have_attribute("aria-label", words)
        assert bullet.evaluate("e => e.style.getPropertyValue('--at')") == at


def test_an_anomaly_is_told_with_its_sentence(site, shown):
    odd = card(shown, "soil-2").locator(".odd").first
    expect(odd).to_contain_text("pH 3.8: implausible.")
    expect(odd).to_contain_text("pH is 3.8, which is below 4")
    tell(site, "soil-2", 33.0, "Critical", anomalies=[anomaly(value=3.7, message="still too sour")])
    expect(odd).to_contain_text("still too sour")


def test_a_reading_appears_without_a_reload_and_closes_nothing(site, shown, console):
    shown.evaluate("window.card = document.querySelector('#stations > li')")
    card(shown, "soil-1").locator(".drivers summary").click()
    tell(site, "soil-1", 48.6, "Poor", anomalies=[anomaly()], recommendations=["lime it"])
    expect(card(shown, "soil-1").locator(".index")).to_have_text("49Poor")
    expect(card(shown, "soil-1").locator(".odd")).to_contain_text("pH 3.8: implausible.")
    expect(card(shown, "soil-1").locator(".advice")).to_be_visible()
    expect(card(shown, "soil-1").locator(".advice")).to_contain_text("lime it")
    assert shown.evaluate("window.card === document.querySelector('#stations > li')")
    assert console == []


def test_an_older_reading_that_comes_late_changes_nothing(site, shown):
    tell(site, "soil-1", 1.0, "Critical", ts_us=NOW - 60_000_000)
    tell(site, "soil-2", 55.0, "Fair")
    expect(card(shown, "soil-2").locator(".index")).to_have_text("55Fair")
    expect(card(shown, "soil-1").locator(".index")).to_have_text("72Good")


def test_what_no_analyser_takes_does_not_hide_the_index(site, shown):
    tell(site, "soil-1", None, "", measures={"battery": 3.3})
    tell(site, "soil-2", 55.0, "Fair")
    expect(card(shown, "soil-2").locator(".index")).to_have_text("55Fair")
    expect(card(shown, "soil-1").locator(".index")).to_have_text("72Good")


def test_presence_follows_by_itself(site, shown):
    site.tell("soil-1", "offline")
    expect(card(shown, "soil-1").locator(".where")).to_contain_text("offline")
    expect(card(shown, "soil-1").locator(".dot")).to_have_class("dot offline")


def test_a_station_that_speaks_for_the_first_time_appears(site, shown):
    put(site, "soil-3", row=soil("soil-3", 90.0, "Excellent", ts_us=NOW))
    tell(site, "soil-3", 90.0, "Excellent")
    expect(card(shown, "soil-3").locator(".index")).to_have_text("90Excellent")


def test_a_device_that_becomes_a_station_appears_and_one_that_is_removed_goes(site, shown):
    put(site, "soil-3")
    site.face.ring.publish("device", "soil-3", {"serial": "soil-3", "kind": "sensor"})
    expect(card(shown, "soil-3")).to_be_visible()
    site.face.fleet.delete("soil-3")
    site.face.ring.publish("removed", "soil-3", {"serial": "soil-3"})
    expect(card(shown, "soil-3")).to_have_count(0)


def test_a_station_without_a_reading_and_one_without_an_index_are_told_so(site, shown):
    nothing = {"ts_us": None, "rx_us": None, "contributions": {}, "recommendations": [], "measures": {}}
    put(site, "soil-3", row=soil("soil-3", None, "", **nothing))
    put(site, "soil-4", row=soil("soil-4", None, "", contributions={}, measures={"radon": 12}))
    shown.reload()
    expect(card(shown, "soil-3").locator(".word")).to_have_text("no reading yet")
    expect(card(shown, "soil-3").locator(".age")).not_to_contain_text("ago")
    expect(card(shown, "soil-4").locator(".word")).to_have_text("no index")
    expect(card(shown, "soil-4").locator(".drivers")).to_be_hidden()
    expect(card(shown, "soil-4").locator(".measures > div")).to_have_text("radon12")
    tell(site, "soil-4", None, "", measures={"radon": 13})
    expect(card(shown, "soil-4").locator(".measures > div")).to_have_text("radon13")


def test_without_a_station_the_page_says_how_to_start_one(site, enter, console):
    page = enter()
    expect(page.locator("#none")).to_contain_text("muster sensor-publisher")
    expect(page.locator("#table")).to_be_hidden()
    put(site, "soil-1")
    tell(site, "soil-1", 72.0, "Good")
    expect(card(page, "soil-1")).to_be_visible()
    expect(page.locator("#none")).to_be_hidden()
    assert console == []


def test_stations_are_narrowed_and_the_address_keeps_it(site, shown):
    shown.get_by_label("Soil Health Index").select_option("Critical")
    expect(card(shown, "soil-1")).to_have_count(0)
    expect(card(shown, "soil-2")).to_be_visible()
    assert shown.url.endswith("?status=Critical")
    shown.reload()
    expect(card(shown, "soil-2")).to_be_visible()
    expect(card(shown, "soil-1")).to_have_count(0)
    shown.get_by_placeholder("Name, serial number or site").fill("bed")
    shown.get_by_placeholder("Site", exact=True).fill("harbour")
    shown.get_by_label("Soil Health Index").select_option("Excellent")
    expect(shown.locator("#none")).to_contain_text("No station is like that.")
    eventually(lambda: (site.face.soil_health.asked.q, site.face.soil_health.asked.site) == ("bed", "harbour"))


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


def test_many_stations_are_paged_by_the_server(site, enter):
    for number in range(70):
        put(site, f"soil-{number:02}")
    page = enter()
    note = page.locator("#stations-note")
    expect(note).to_have_text("1 to 50")
    page.get_by_role("button", name="Next").click()
    expect(note).to_have_text("51 to 70")
    page.get_by_role("button", name="Previous").click()
    expect(note).to_have_text("1 to 50")


def test_what_a_station_says_is_text_and_never_markup(site, enter, console):
    evil = '<img src=x onerror="document.title=1"><b>x</b>'
    said = [anomaly(evil, message=evil)]
    put(site, "evil", label=evil, site=evil, row=soil("evil", 5.0, evil, ts_us=NOW, anomalies=said, measures={evil: 1}))
    page = enter()
    expect(card(page, "evil").locator(".label")).to_have_text(evil)
    expect(card(page, "evil").locator(".word")).to_have_text(evil)
    expect(card(page, "evil").locator("dt")).to_have_text(evil)
    assert page.locator("main b, main img").count() == 0
    assert page.title() == "Muster: sensors"
    assert console == []


# One station


def test_a_station_is_opened_with_a_chart_for_each_measure_and_for_its_index(site, shown, console):
    measured(site, 6.1, 6.2, 6.4)
    site.face.soil_health.rows["history"] = [soil("soil-1", ts_us=BEGUN - BUCKET, anomalies=[anomaly()])]
    card(shown, "soil-1").get_by_role("link", name="North bed").click()
    expect(shown).to_have_url(f"{site.url}/hardware?station=soil-1")
    expect(shown).to_have_title("Muster: North bed")
    expect(shown.locator("#charts section")).to_have_count(8)
    acid = shown.get_by_role("region", name="pH")
    expect(acid.locator(".key")).to_contain_text("6.4")
    expect(acid.locator(".key")).to_contain_text("optimum 6.5 to 7")
    expect(acid.locator(".summary")).to_contain_text("pH is 3.8, which is below 4")
    expect(shown.get_by_role("region", name="Moisture").locator(".summary")).not_to_contain_text("below 4")
    expect(shown.get_by_role("region", name="Soil Health Index")).to_be_visible()
    expect(shown.get_by_role("region", name="CO2").locator(".key")).not_to_contain_text("optimum")
    expect(card(shown, "soil-1").locator(".advice li")).to_be_visible()
    shown.get_by_role("link", name="All stations").click()
    expect(card(shown, "soil-2")).to_be_visible()
    assert console == []


def test_a_chart_grows_with_what_comes_and_keeps_its_canvas(site, enter):
    put(site, "soil-1", row=soil("soil-1", ts_us=BEGUN))
    measured(site, 6.1, 6.2, 6.4)
    page = enter("?station=soil-1")
    acid = page.get_by_role("region", name="pH")
    expect(acid.locator(".key")).to_contain_text("6.4")
    page.evaluate("window.canvas = document.querySelector('[data-measure=pH] canvas')")
    sour = {"measures": {"pH": 6.87}, "anomalies": [anomaly(message="sour")]}
    tell(site, "soil-1", 81.0, "Excellent", ts_us=BEGUN + 1_000_000, **sour)
    expect(acid.locator(".key")).to_contain_text("6.87")
    expect(acid.locator(".summary")).to_contain_text("sour")
    expect(page.get_by_role("region", name="Soil Health Index").locator(".key")).to_contain_text("81")
    expect(card(page, "soil-1").locator(".index")).to_have_text("81Excellent")
    tell(site, "soil-1", 81.0, "Excellent", ts_us=BEGUN + 2_000_000, measures={"pH": 6.77})
    expect(acid.locator(".key")).to_contain_text("6.82 (6.77 to 6.87, 2 readings)")
    tell(site, "soil-1", 81.0, "Excellent", ts_us=BEGUN - 1_000_000, measures={"pH": 1.0})
    tell(site, "soil-1", 81.0, "Excellent", ts_us=BEGUN + 3_000_000, measures={"pH": 6.82})
    expect(acid.locator(".key")).to_contain_text("6.82 (6.77 to 6.87, 3 readings)")
    assert page.evaluate("window.canvas === document.querySelector('[data-measure=pH] canvas')")


def test_another_time_is_asked_for_by_a_button(site, enter):
    put(site, "soil-1", row=soil("soil-1", None, "", contributions={}, measures={"radon": 12}))
    measured(site, 11, 12)
    page = enter("?station=soil-1")
    expect(page.locator("#charts section")).to_have_count(1)
    history = site.face.history
    eventually(lambda: history.asked and history.asked["bucket_us"] == 600_000_000, what="a day is asked for")
    assert history.asked["metric"] == "radon"
    page.get_by_role("button", name="7 d").click()
    eventually(lambda: history.asked["bucket_us"] == 3_600_000_000, what="a week is asked for")
    asked = history.asked
    assert 7 * 86_400 <= (asked["until_us"] - asked["since_us"]) / 1e6 <= 7 * 86_400 + 3600


def test_a_station_that_is_not_there_is_told_so(enter):
    page = enter("?station=nobody")
    expect(page.locator("#gone")).to_have_text("There is no station nobody.")


# Several


def test_stations_are_chosen_and_compared_and_the_address_keeps_the_choice(site, shown, console):
    measured(site, 6.1, 6.2, 6.4)
    boxes = shown.get_by_role("checkbox", name="Compare")
    boxes.first.check()
    expect(shown.locator("#choice-words")).to_have_text("One more, and they can be compared.")
    boxes.nth(1).focus()
    shown.keyboard.press("Space")
    shown.get_by_role("link", name="Compare 2 stations").click()
    expect(shown).to_have_url(f"{site.url}/hardware?compare=soil-1%2Csoil-2")
    acid = shown.get_by_role("region", name="pH")
    expect(acid.locator(".key")).to_contain_text("North bed 6.4")
    expect(acid.locator(".key")).to_contain_text("soil-2 6.4")
    expect(acid.locator(".key line")).to_have_count(2)
    expect(acid.locator(".key")).to_contain_text("optimum 6.5 to 7")
    tell(site, "soil-2", 33.0, "Critical", measures={"pH": 7.25})
    expect(acid.locator(".key")).to_contain_text("soil-2 7.25")
    shown.reload()
    expect(shown.locator("#charts-title")).to_have_text("2 stations compared")
    assert console == []


def test_no_more_than_six_are_compared(site, enter):
    for number in range(8):
        put(site, f"soil-{number}")
    page = enter()
    boxes = page.get_by_role("checkbox", name="Compare")
    for number in range(6):
        boxes.nth(number).check()
    expect(boxes.nth(6)).to_be_disabled()
    expect(page.locator("#choice-words")).to_have_text("No more than 6 can be compared.")
    boxes.nth(0).uncheck()
    expect(boxes.nth(6)).to_be_enabled()


# Form


@pytest.mark.parametrize("width", [1280, 1024, 768, 360])
def test_at_every_width_nothing_is_cut_off(site, shown, width):
    shown.set_viewport_size({"width": width, "height": 800})
    long = {"measures": {"Temperature": -273.15, "CO2": 99_999.99, "a-rather-long-name-of-a-measure": 1e6}}
    put(site, "0123456789abcdef", site="greenhouse-2", row=soil("0123456789abcdef", 100.0, "Excellent", **long))
    shown.reload()
    longest = card(shown, "0123456789abcdef")
    expect(longest).to_contain_text("99,999.99")
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    for cell in longest.locator("h3, p, dt, dd").all():
        assert cell.evaluate("e => e.scrollWidth <= e.clientWidth + 1"), json.dumps([width, cell.text_content()])


@pytest.mark.parametrize("query", ["", "?station=soil-2", "?compare=soil-1,soil-2"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(site, shown, query, scheme):
    measured(site, 6.1, 6.2, 6.4)
    shown.emulate_media(color_scheme=scheme)
    shown.goto(f"{site.url}/hardware{query}")
    expect(card(shown, "soil-2")).to_be_visible()
    if query:
        expect(shown.get_by_role("region", name="pH").locator(".u-over")).to_be_visible()
    assert serious(shown) == []


def test_the_page_speaks_italian(site, shown, console):
    site_cookie = {"name": "muster_lang", "value": "it", "url": site.url}
    shown.context.add_cookies([site_cookie])
    shown.reload()
    expect(card(shown, "soil-1").locator(".index")).to_have_text("72Buono")
    expect(card(shown, "soil-1").locator(".drivers summary")).to_contain_text("ridotto da pH")
    expect(measure(shown, "soil-1", "Umidità")).to_contain_text("33\N{NO-BREAK SPACE}%")
    assert console == []


def test_without_a_session_the_page_leads_to_the_login(site, page):
    page.goto(f"{site.url}/hardware")
    expect(page.get_by_label("Access token")).to_be_visible()
