"""The page in a real browser, on a real server, over fakes."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from tests.support.axe import serious
from tests.support.wait import eventually
from tests.web.fake_enrolments import asker
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


def serials(page):
    return page.locator("#devices tr").evaluate_all("rows => rows.map(row => row.dataset.key)")


def has_order(page, *expected):
    eventually(lambda: serials(page) == list(expected), what=f"the rows {expected}")


def fill(site, *devices):
    for device in devices:
        site.face.fleet.put(device)


# -- what is shown ----------------------------------------------------------------------------------------------------


def test_the_page_shows_the_fleet_its_sites_and_what_is_wrong(site, shown, console):
    assert shown.url.endswith("/")
    expect(row(shown, "pi-1")).to_contain_text("raspberrypi")
    expect(row(shown, "pi-1")).to_contain_text("online")
    expect(row(shown, "gw-7").get_by_role("link", name="Gateway 7")).to_have_attribute("href", "/devices/gw-7")
    expect(row(shown, "gw-7")).to_contain_text("silent")
    expect(shown.locator("#count-total")).to_have_text("2")
    expect(shown.locator("#count-offline")).to_have_text("1")
    expect(shown.locator("#sites-list li").first).to_contain_text("harbour")
    expect(shown.locator("#sites-list li").first).to_contain_text("0 of 1")
    expect(shown.locator("#sites-list li").last).to_contain_text("without a site")
    expect(shown.locator("#notices")).to_have_text("No open alarm, every link is up")
    assert console == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_people_from_using_the_page(site, shown, scheme):
    fill(site, view("pi-2", flapping=True, site="plant"), view("pi-3", "unknown", quarantined=True, site="plant"))
    shown.emulate_media(color_scheme=scheme)
    shown.goto(f"{site.url}/?site=plant&sort=since")
    expect(shown.locator("#devices tr")).to_have_count(2)
    assert serious(shown) == []


def test_who_waits_and_what_is_wrong_leads_to_where_it_is_mended(site, page):
    site.face.enrolments.rows["pi-9"] = asker("pi-9")
    site.face.fleet.alarms_at.update(["harbour"])
    site.face.links.rows.append({"name": "far.data", "state": "connecting", "since_us": NOW, "detail": ""})
    page.goto(f"{site.url}/login?key=the-page-key")
    for name, path in (
        ("1 device waits to be let in", "/settings?tab=enrolment"),
        ("1 open alarm", "/alarms"),
        ("1 link to a broker is down", "/supervision"),
    ):
        expect(page.locator("#notices").get_by_role("link", name=name)).to_have_attribute("href", path)


def test_a_link_that_takes_its_time_is_not_called_down(site, page):
    site.face.links.rows.append({"name": "far.data", "state": "congested", "since_us": NOW, "detail": ""})
    page.goto(f"{site.url}/login?key=the-page-key")
    expect(page.locator("#notices")).to_have_text("No open alarm, every link is up")


def test_an_empty_fleet_says_how_its_first_device_comes(site, page):
    site.face.fleet.devices.clear()
    page.goto(f"{site.url}/login?key=the-page-key")
    expect(page.get_by_role("heading", name="No device has spoken yet")).to_be_visible()
    expect(page.locator("#first-command")).to_contain_text("mosquitto_pub -L mqtt://127.0.0.1:1883/devices/announce")
    expect(page.locator("#table")).to_be_hidden()
    site.tell("pi-1", "online")
    expect(row(page, "pi-1")).to_be_visible()
    expect(page.locator("#first")).to_be_hidden()


def test_the_page_speaks_italian_to_who_reads_it(site, browser):
    context = browser.new_context(locale="it-IT")
    page = context.new_page()
    page.goto(f"{site.url}/login?key=the-page-key")
    expect(page.get_by_role("button", name="Tutti i dispositivi")).to_be_visible()
    expect(page.get_by_role("button", name="Ultimo segnale")).to_be_visible()
    context.close()


# -- live -------------------------------------------------------------------------------------------------------------


def test_a_change_appears_without_a_reload(site, shown, console):
    shown.evaluate("window.stillTheSamePage = true")
    site.tell("pi-1", "offline", reason="timeout")
    expect(row(shown, "pi-1")).to_contain_text("offline")
    expect(shown.locator("#count-online")).to_have_text("0")
    site.tell("pi-2", "online")
    expect(row(shown, "pi-2")).to_contain_text("online")
    expect(shown.locator("#count-total")).to_have_text("3")
    site.face.fleet.delete("pi-2")
    site.face.ring.publish("removed", "pi-2", {"serial": "pi-2"})
    expect(row(shown, "pi-2")).to_have_count(0)
    assert shown.evaluate("window.stillTheSamePage")
    assert console == []


def test_no_row_moves_comes_or_goes_while_somebody_reads(site, shown):
    fill(site, view("pi-2", hostname="pi-2", since_us=NOW))
    shown.goto(f"{site.url}/?presence=online&sort=serial")
    has_order(shown, "pi-1", "pi-2")
    row(shown, "pi-2").hover()
    site.tell("pi-1", "offline", reason="timeout")
    site.tell("aa-0", "online")
    # What is told of a device is told at once; where it stands has to wait.
    expect(row(shown, "pi-1")).to_have_class("gone flash")
    expect(row(shown, "pi-1")).to_contain_text("offline")
    expect(shown.locator("#count-online")).to_have_text("2")
    assert serials(shown) == ["pi-1", "pi-2"]
    shown.mouse.move(5, 5)
    has_order(shown, "aa-0", "pi-2")


def test_no_site_moves_under_the_pointer(site, shown):
    sites = shown.locator("#sites-list li")
    sites.last.hover()
    shown.locator("#sites-list").get_by_role("button", name="without a site").click()
    site.tell("pi-1", "offline")
    site.tell("pi-2", "offline")
    expect(sites.last).to_contain_text("2 offline")
    expect(sites.last).to_contain_text("without a site")
    shown.mouse.move(5, 5)
    expect(sites.first).to_contain_text("without a site")


def test_a_thousand_changes_at_once_draw_the_table_a_few_times(site, shown, console):
    shown.evaluate("""
        window.drawn = 0;
        new MutationObserver(() => (drawn += 1)).observe(document.querySelector("#devices"), { childList: true });
    """)
    fill(site, *(view(f"x-{number:04}") for number in range(1_000)))
    for number in range(1_000):
        site.face.ring.publish("device", f"x-{number:04}", {"serial": f"x-{number:04}", "presence": "online"})
    site.tell("pi-1", "offline", reason="timeout")
    expect(row(shown, "pi-1")).to_contain_text("offline", timeout=15_000)
    expect(shown.locator("#count-total")).to_have_text("1,002", timeout=15_000)
    expect(shown.locator("#fleet-note")).to_have_text("1 to 50 of 1,002", timeout=15_000)
    assert 1 <= shown.evaluate("drawn") < 10
    assert console == []


# -- sort, filter, page -----------------------------------------------------------------------------------------------


def test_headers_sort_and_say_so_and_the_address_keeps_it(site, shown):
    fill(site, view("pi-2", hostname="alpha", last_seen_us=NOW - 90_000_000))
    device, seen = shown.get_by_role("button", name="Device", exact=True), shown.get_by_role("button", name="Last seen")
    device.click()
    has_order(shown, "pi-2", "gw-7", "pi-1")
    expect(shown.get_by_role("columnheader", name="Device")).to_have_attribute("aria-sort", "ascending")
    device.press("Enter")
    has_order(shown, "pi-1", "gw-7", "pi-2")
    expect(shown.get_by_role("columnheader", name="Device")).to_have_attribute("aria-sort", "descending")
    seen.click()
    has_order(shown, "pi-1", "pi-2", "gw-7")
    expect(shown.get_by_role("columnheader", name="Device")).to_have_attribute("aria-sort", "none")
    shown.reload()
    has_order(shown, "pi-1", "pi-2", "gw-7")
    assert shown.url.endswith("/?sort=last_seen&order=desc")


def test_where_headers_have_no_room_a_list_sorts(site, shown):
    fill(site, view("aa-1"))
    shown.set_viewport_size({"width": 360, "height": 800})
    shown.get_by_label("Sort by").select_option("↓ Serial")
    has_order(shown, "pi-1", "gw-7", "aa-1")


def test_a_filter_keeps_only_what_it_names_and_lets_go_of_what_changes(site, shown):
    shown.locator("#counts").get_by_role("button", name="Online").click()
    expect(row(shown, "gw-7")).to_have_count(0)
    site.tell("pi-1", "offline")
    expect(shown.locator("#devices tr")).to_have_count(0)
    expect(shown.locator("#none")).to_contain_text("No device matches.")
    shown.locator("#counts").get_by_role("button", name="Offline").click()
    expect(shown.locator("#devices tr")).to_have_count(2)
    shown.get_by_label("Search devices").fill("GATEWAY")
    expect(shown.locator("#devices tr")).to_have_count(1)
    shown.reload()
    expect(shown.locator("#devices tr")).to_have_count(1)


def test_a_site_that_is_clicked_filters_and_lets_go_again(site, shown):
    harbour = shown.locator("#sites-list").get_by_role("button", name="harbour")
    harbour.click()
    has_order(shown, "gw-7")
    expect(harbour).to_have_attribute("aria-pressed", "true")
    shown.get_by_role("button", name="Take away: Site: harbour").click()
    has_order(shown, "gw-7", "pi-1")
    shown.locator("#sites-list").get_by_role("button", name="without a site").click()
    has_order(shown, "pi-1")
    assert shown.url.endswith("/?no_site=true")


def test_the_focus_stays_where_keys_can_go_on(site, shown):
    shown.locator("#sites-list").get_by_role("button", name="harbour").click()
    shown.get_by_role("button", name="Take away: Site: harbour").press("Enter")
    expect(shown.locator("#q")).to_be_focused()
    fill(site, *(view(f"x-{number:03}") for number in range(60)))
    shown.reload()
    expect(shown.locator("#devices tr")).to_have_count(50)
    shown.get_by_role("button", name="Next").press("Enter")
    expect(shown.locator("#devices tr")).to_have_count(12)
    expect(shown.get_by_role("button", name="Previous")).to_be_focused()
    shown.get_by_role("button", name="Previous").press("Enter")
    expect(shown.locator("#devices tr")).to_have_count(50)
    expect(shown.get_by_role("button", name="Next")).to_be_focused()


def test_the_worst_of_many_sites_come_first_and_can_be_searched(site, shown):
    fill(site, *(view(f"x-{number:03}", site=f"plant-{number:03}") for number in range(120)))
    shown.reload()
    expect(shown.locator("#sites-note")).to_have_text("the worst 100 of 122")
    expect(shown.locator("#sites-list li").first).to_contain_text("harbour")
    shown.get_by_label("Search sites").fill("T-007")
    expect(shown.locator("#sites-list li")).to_have_count(1)
    expect(shown.locator("#sites-list li").first).to_contain_text("plant-007")
    shown.get_by_label("Search sites").fill("nowhere")
    expect(shown.locator("#sites-none")).to_contain_text("No site is called so")
    expect(shown.locator("#sites-list li")).to_have_count(0)


def test_those_that_flap_or_are_quarantined_are_marked_and_found(site, shown):
    fill(site, view("pi-2", flapping=True), view("pi-3", "unknown", quarantined=True))
    shown.reload()
    expect(row(shown, "pi-2").locator(".mark")).to_have_text("flapping")
    shown.get_by_role("button", name="Quarantined 1").click()
    has_order(shown, "pi-3")
    shown.get_by_role("button", name="Quarantined 1").click()
    shown.get_by_role("button", name="Flapping 1").click()
    has_order(shown, "pi-2")


def test_a_filter_of_the_address_that_is_none_is_left_out_and_one_that_is_refused_is_told(site, shown):
    shown.goto(f"{site.url}/?kind=typo&presence=typo&flapping=typo&sort=typo")
    expect(shown.locator("#devices tr")).to_have_count(2)
    expect(shown.locator("#kind")).to_have_value("")
    expect(shown.locator("#counts").get_by_role("button", name="All devices")).to_have_attribute("aria-pressed", "true")
    shown.goto(f"{site.url}/?q={'x' * 300}")
    expect(shown.locator("#none")).to_contain_text("q")
    expect(shown.locator("#devices tr")).to_have_count(0)


def test_a_device_that_was_declared_and_never_heard_says_so(site, shown):
    site.face.fleet.put(view("plc-1", "offline", kind="controller", reason="startup", since_us=0, last_seen_us=0))
    site.face.ring.publish("device", "plc-1", {"serial": "plc-1"})
    expect(row(shown, "plc-1").locator(".below")).to_have_text("never heard", use_inner_text=True)


def test_a_big_fleet_is_paged_by_the_server(site, page):
    fill(site, *(view(f"x-{number:04}") for number in range(1_200)))
    page.goto(f"{site.url}/login?key=the-page-key")
    note = page.locator("#fleet-note")
    expect(note).to_have_text("1 to 50 of 1,202")
    page.get_by_role("button", name="Next").click()
    expect(note).to_have_text("51 to 100 of 1,202")
    page.get_by_label("Search devices").fill("x-11")
    expect(note).to_have_text("1 to 50 of 100")
    page.get_by_role("button", name="Next").click()
    expect(note).to_have_text("51 to 100 of 100")
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    page.get_by_role("button", name="Previous").click()
    expect(note).to_have_text("1 to 50 of 100")


# -- the server, and who looks ----------------------------------------------------------------------------------------


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
    page.goto(f"{site.url}/login?key=the-page-key")
    expect(row(page, "evil").locator(".label")).to_have_text(evil)
    expect(page.locator("#sites-list")).to_contain_text(evil)
    assert page.locator("main b, main img").count() == 0
    assert page.title() == "Muster"
    assert console == []


@pytest.mark.parametrize("width", [1200, 1024, 768, 360])
def test_at_every_width_rows_are_low_and_nothing_is_cut_off(site, shown, width):
    shown.set_viewport_size({"width": width, "height": 800})
    long = {"hostname": "a-rather-long-host-name-of-a-pi", "ip_address": "192.168.100.100", "site": "greenhouse-2"}
    site.face.fleet.put(view("0123456789abcdef", "unknown", quarantined=True, **long))
    shown.reload()
    longest = row(shown, "0123456789abcdef")
    expect(longest).to_contain_text("192.168.100.100")
    assert shown.evaluate("document.documentElement.scrollWidth") == width
    card = shown.locator("#fleet").bounding_box()
    for cell in longest.locator("th, td").all():
        assert cell.evaluate("cell => cell.scrollWidth <= Math.ceil(cell.getBoundingClientRect().width)")
        box = cell.bounding_box()
        assert box["x"] + box["width"] <= card["x"] + card["width"]
    assert longest.bounding_box()["height"] < (150 if width == 360 else 100)
    assert row(shown, "pi-1").bounding_box()["height"] < (115 if width == 360 else 60)


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
