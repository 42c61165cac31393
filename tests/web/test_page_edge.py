"""What the page of the fleet shows of an edge: the panel of a device, and those who wait to enrol."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from tests.support.wait import eventually
from tests.web.fake_enrolments import asker
from tests.web.fakes import view
from tests.web.page_site import NOW
from tests.web.test_edge_tree import told
from web.render import device_json


def put(site, **fields):
    """The Pi, with what it tells of itself."""
    raw = {
        "services": b'{"uplink": "mqtt", "scanners": 1, "hub": "off"}',
        "system_info": b'{"load": [0.1, 0.2], "cpu_temperature": 48.5}',
        "supervision": json.dumps(told()).encode(),
    }
    pi = view("pi-1", hostname="raspberrypi", since_us=NOW, last_seen_us=NOW, **(raw | fields))
    site.face.fleet.put(pi)
    site.face.ring.publish("device", "pi-1", device_json(pi))


@pytest.fixture
def shown(site, page, console):
    put(site)
    page.goto(f"{site.url}/login?key=the-page-key")
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#devices tr")).to_have_count(2)
    return page


def test_a_device_that_is_chosen_tells_its_services_and_its_own_tree(site, shown, console):
    panel = shown.locator("#panel")
    expect(panel).to_be_hidden()
    shown.get_by_role("button", name="raspberrypi").click()
    expect(panel.locator("#panel-title")).to_have_text("raspberrypi")
    expect(panel.locator("#panel-facts")).to_contain_text("uplinkmqtt")
    expect(panel.locator("#panel-facts")).to_contain_text("cpu temperature48.5")
    expect(panel.locator("#panel-facts")).to_contain_text("load[0.1,0.2]")
    link = panel.locator('#panel-nodes li[data-key="edge/contact/link"]')
    expect(link).to_contain_text("backing off · 2 restarts · 3 waiting")
    expect(link).to_contain_text("OSError: no route")
    # The tree is the device's: nothing here can tell it anything.
    expect(panel.locator("#panel-nodes button")).to_have_count(0)
    links = {link.text_content(): link.get_attribute("href") for link in panel.get_by_role("link").all()}
    assert links == {
        "Scans": "/scans?device=pi-1",
        "Alarms": "/alarms?state=all&device=pi-1",
        "Notifications": "/notifications?device=pi-1",
    }
    shown.keyboard.press("Enter")  # the button to close it has the focus
    expect(panel).to_be_hidden()
    assert console == []


def test_who_closes_the_panel_is_where_it_was_opened(shown):
    shown.get_by_role("button", name="raspberrypi").press("Enter")
    expect(shown.get_by_role("button", name="Close")).to_be_focused()
    shown.keyboard.press("Enter")
    expect(shown.get_by_role("button", name="raspberrypi")).to_be_focused()


def test_what_has_names_of_its_own_is_told_by_them_and_sizes_have_a_unit(site, shown):
    system_info = b'{"memory": {"total": 1073741824, "available": 536870912, "used_percent": 50.0}, "sd": {"total": 5}}'
    put(site, services=b'{"ssh": {"port": 22, "status": "available"}}', system_info=system_info)
    shown.get_by_role("button", name="raspberrypi").click()
    facts = shown.locator("#panel-facts")
    expect(facts).to_contain_text("sshport 22 \N{MIDDLE DOT} status available")
    memory = facts.locator("div", has_text="memory").locator("dd")
    expect(memory).to_have_text("total 1 GiB \N{MIDDLE DOT} available 512 MiB \N{MIDDLE DOT} used percent 50")
    expect(facts).to_contain_text("sdtotal 5")


def test_labels_and_the_topic_of_a_device_are_told(site, shown):
    put(site, labels="row=12\nzone=north", device_token="factory/plc-01/alerts")
    shown.get_by_role("button", name="raspberrypi").click()
    facts = shown.locator("#panel-facts")
    expect(facts).to_contain_text("labelsrow 12 \N{MIDDLE DOT} zone north")
    expect(facts).to_contain_text("notifications go tofactory/plc-01/alerts")


@pytest.mark.parametrize("width", [1280, 360])
def test_a_name_of_any_length_leaves_room_for_its_value(site, shown, width):
    shown.set_viewport_size({"width": width, "height": 800})
    name, value = "n" * 100, "v" * 100
    put(site, label="l" * 128, system_info=json.dumps({name: value}).encode())
    shown.get_by_role("button", name="l" * 128).click()
    fact = shown.locator("#panel-facts div", has_text=name)
    expect(fact).to_be_visible()
    for part in ("dt", "dd"):
        assert fact.locator(part).bounding_box()["width"] > 80
    assert fact.bounding_box()["height"] < 200
    assert shown.get_by_role("button", name="Close").bounding_box()["height"] < 32


def test_a_change_of_the_devices_tree_appears_by_itself(site, shown):
    shown.get_by_role("button", name="raspberrypi").click()
    tree = told()
    tree["children"][0] |= {"state": "running", "last_exception": None}
    expect(shown.locator("#panel-nodes")).to_contain_text("backing off")
    put(site, supervision=json.dumps(tree).encode())
    expect(shown.locator("#panel-nodes")).not_to_contain_text("backing off")


def test_a_device_without_a_tree_shows_what_there_is_and_one_that_is_removed_shows_nothing(site, shown, console):
    shown.get_by_role("button", name="Gateway 7").click()
    expect(shown.locator("#panel-facts")).to_contain_text("serial numbergw-7")
    expect(shown.locator("#panel-tree")).to_be_hidden()
    assert console == []
    site.face.fleet.delete("gw-7")
    site.face.ring.publish("removed", "gw-7", {"serial": "gw-7"})
    expect(shown.locator("#panel")).to_be_hidden()


def test_who_waits_to_enrol_appears_and_is_let_in_by_a_button(site, shown, console):
    waiting = shown.locator("#waiting")
    expect(waiting).to_be_hidden()
    site.face.enrolments.rows["pi-8"] = asker("pi-8", requested_us=NOW)
    site.face.enrolments.rows["pi-9"] = asker("pi-9", hostname="", requested_us=NOW)
    site.face.ring.publish("enrolment", "pi-8", {"serial": "pi-8"})
    expect(waiting.locator("li")).to_have_count(2)
    expect(waiting.locator('li[data-key="pi-8"]')).to_contain_text("raspberrypi · 192.168.1.9")
    shown.get_by_role("button", name="Approve pi-8").click()
    eventually(lambda: site.face.enrolments.decided == [("approve", "pi-8", "admin", "127.0.0.1")])
    expect(waiting.locator("li")).to_have_count(1)
    shown.get_by_role("button", name="Deny pi-9").click()
    expect(waiting).to_be_hidden()
    assert [decision[0] for decision in site.face.enrolments.decided] == ["approve", "deny"]
    assert console == []


def test_a_click_approves_the_request_that_is_shown_and_no_other(site, shown):
    rows = site.face.enrolments.rows
    rows["pi-8"] = asker("pi-8", requested_us=NOW)
    site.face.ring.publish("enrolment", "pi-8", {"serial": "pi-8"})
    button = shown.get_by_role("button", name="Approve pi-8")
    expect(button).to_be_visible()
    rows["pi-8"] |= {"address": "192.168.1.66", "request": "came-later"}  # and no event has told the page yet
    button.click()
    expect(shown.locator("#toast")).to_contain_text("does not wait any more")
    assert site.face.enrolments.decided == []
    expect(shown.locator('li[data-key="pi-8"]')).to_contain_text("192.168.1.66")
    button.click()
    eventually(lambda: [decision[0] for decision in site.face.enrolments.decided] == ["approve"])


@pytest.mark.parametrize(("token", "shows"), [("the-operate-token", True), ("the-read-token", False)])
def test_only_an_admin_is_offered_the_decision(site, page, console, token, shows):
    site.face.enrolments.rows["pi-8"] = asker("pi-8")
    page.goto(site.url)
    page.get_by_label("Access token").fill(token)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#links li")).to_have_count(1)
    expect(page.locator("#waiting-list li")).to_have_count(1 if shows else 0)
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    assert console == []


def test_what_a_device_tells_of_itself_is_text_and_never_markup(site, page, console):
    evil = '<img src=x onerror="document.title=1"><b>x</b>'
    put(site, services=json.dumps({evil: evil}).encode(), supervision=json.dumps(told(id=evil, state=evil)).encode())
    site.face.enrolments.rows["pi-8"] = asker("pi-8", hostname=evil, address=evil, mac_address=evil)
    page.goto(f"{site.url}/login?key=the-page-key")
    page.get_by_role("button", name="raspberrypi").click()
    expect(page.locator("#panel-facts")).to_contain_text(evil)
    expect(page.locator("#panel-nodes")).to_contain_text(evil)
    expect(page.locator("#waiting-list")).to_contain_text(evil)
    assert page.locator("main b, main img").count() == 0
    assert page.title() == "Muster"
    assert console == []


@pytest.mark.parametrize("width", [1280, 1024, 360])
def test_at_every_width_the_panels_stay_in_their_place(site, shown, width):
    shown.set_viewport_size({"width": width, "height": 800})
    site.face.enrolments.rows["x" * 64] = asker("x" * 64, hostname="a-rather-long-host-name-of-a-pi", requested_us=NOW)
    site.face.ring.publish("enrolment", "x", {"serial": "x"})
    put(site, services=json.dumps({"uplink": "y" * 300}).encode(), label="z" * 128)
    shown.get_by_role("button", name="zzz").click()
    expect(shown.locator("#panel-facts")).to_contain_text("yyy")
    expect(shown.locator("#waiting-list li")).to_have_count(1)
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    for part in ("#panel", "#waiting"):
        inside = shown.locator(f"{part} button").first.bounding_box()
        card = shown.locator(part).bounding_box()
        assert inside["x"] + inside["width"] <= card["x"] + card["width"]
