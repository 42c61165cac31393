"""The page of the supervision in a real browser, on a real server, over fakes."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import expect

from tests.support.axe import serious
from tests.support.wait import eventually

NOW = int(time.time() * 1e6)


def node(path, state="running", *, children=None, **fields):
    made = {
        "path": path,
        "id": path.rpartition("/")[2],
        "type": "worker" if children is None else "supervisor",
        "state": state,
        "restarts": 0,
        "incarnation": 1,
        "mailbox": 0,
        "mailbox_age": 0.0,
        "next_restart_in": None,
        "last_exception": None,
    }
    if children is not None:
        counts = {}
        for child in children:
            counts[child["state"]] = counts.get(child["state"], 0) + 1
        made |= {"children": children, "total": len(children), "counts": counts}
        made |= {"restarts_of_children": 0, "dead_mail": 0, "breakers": []}
    return made | fields


def failure(error="ValueError: no", at_us=NOW):
    return {"error": error, "traceback": f"Traceback ...\n{error}", "where": "x.py:1", "at_us": at_us}


def tree(*changed):
    """A server at work; nodes that are given stand in for those of their path."""
    known = {each["path"]: each for each in changed}

    def make(path, children=None):
        return known.get(path) or node(path, children=children)

    links = make("server/links", [make("server/links/local.control"), make("server/links/local.data")])
    counts = {"running": 299, "quarantined": 1}
    parked = make("server/devices/pi-9")
    devices = node("server/devices", children=[parked], total=300, counts=counts)
    return node("server", children=[make("server/registry"), make("server/http"), devices, links])


PARKED = node("server/devices/pi-9", "quarantined", restarts=5, last_exception=failure())


@pytest.fixture(autouse=True)
def carried(site):
    site.face.links.rows[0] |= {"received": 12_034, "published": 7, "unresolved": 0, "reconnects": 1, "connected": True}


@pytest.fixture
def shown(site, page, console):
    site.face.supervision.root = tree(PARKED)
    show(site, page)
    return page


def show(site, page, path="/supervision"):
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}{path}")
    expect(page.locator("#live")).to_have_text("live")
    expect(item(page, "server")).to_be_visible()


def item(page, path):
    return page.locator(f'[role="treeitem"][data-key="{path}"]')


def line(page, path):
    return item(page, path).locator("> .line")


def change(site, *nodes):
    """Something has happened in the tree, and the ring says so."""
    site.face.supervision.root = tree(*nodes)
    site.face.ring.publish(
        "supervision", "server", {"path": "server", "state": "running", "restarts": 0, "error": None}
    )


# -- the tree ---------------------------------------------------------------------------------------------------------


def test_the_tree_is_a_tree_with_what_stands_out_in_words(site, shown, console):
    assert shown.title() == "Muster: supervision"
    expect(shown.get_by_role("tree", name="Tree")).to_be_visible()
    expect(shown.locator("#sum")).to_have_text("303 running · 1 quarantined · 0 restarts")
    expect(item(shown, "server/links/local.data")).to_have_attribute("aria-level", "3")
    expect(line(shown, "server/registry")).to_have_text("registry")
    expect(line(shown, "server/devices")).to_contain_text("299 running · 1 quarantined")
    expect(line(shown, "server/devices/pi-9")).to_contain_text("quarantined5 restarts")
    expect(line(shown, "server/devices/pi-9").locator(".when")).to_contain_text("crashed")
    expect(item(shown, "server/devices").locator(".unlisted")).to_be_visible()
    assert console == []


def test_arrows_move_open_and_close_and_what_is_closed_stays_closed(site, shown, console):
    item(shown, "server").focus()
    for key, path in (
        ("ArrowDown", "server/registry"),
        ("End", "server/links/local.data"),
        ("ArrowLeft", "server/links"),
        ("Home", "server"),
        ("ArrowRight", "server/registry"),
        ("ArrowUp", "server"),
    ):
        shown.keyboard.press(key)
        expect(item(shown, path)).to_be_focused()
    item(shown, "server/links").focus()
    shown.keyboard.press("ArrowLeft")
    expect(item(shown, "server/links")).to_have_attribute("aria-expanded", "false")
    expect(item(shown, "server/links/local.data")).to_be_hidden()
    shown.keyboard.press("ArrowUp")
    expect(item(shown, "server/devices/pi-9")).to_be_focused()
    shown.reload()
    expect(item(shown, "server/links")).to_have_attribute("aria-expanded", "false")
    line(shown, "server/links").locator(".twisty").click()
    expect(item(shown, "server/links/local.data")).to_be_visible()
    assert console == []


def test_a_crash_is_seen_to_heal_and_the_focus_stays(site, shown, console):
    item(shown, "server/links").focus()
    shown.evaluate("window.kept = document.activeElement")
    crashed = {"restarts": 1, "last_exception": failure()}
    change(site, PARKED, node("server/registry", "backing_off", next_restart_in=30.0, **crashed))
    registry = line(shown, "server/registry")
    expect(registry.locator(".due")).to_have_text("down, next start in 30 s")
    expect(registry.locator(".due")).to_have_text("down, next start in 29 s")
    change(site, PARKED, node("server/registry", mailbox=1_200, mailbox_age=3.0, **crashed))
    expect(registry.locator(".facts")).to_have_text("1 restart · 1,200 messages wait, the oldest for 3 s")
    expect(registry.locator(".due")).to_be_empty()
    assert shown.evaluate("window.kept === document.activeElement")
    assert console == []


def test_only_what_is_not_well_is_shown_when_asked_for(site, shown, console):
    shown.get_by_label("Only what is not well").check()
    expect(item(shown, "server/devices/pi-9")).to_be_visible()
    expect(item(shown, "server/registry")).to_have_count(0)
    change(site, PARKED, node("server/registry", "hung"))
    expect(line(shown, "server/registry")).to_contain_text("hung")
    long_ago = node("server/registry", restarts=3, last_exception=failure(at_us=NOW - 3_600_000_000))
    change(site, node("server/devices/pi-9"), long_ago)
    expect(shown.get_by_text("All is well")).to_be_visible()
    expect(shown.get_by_role("treeitem")).to_have_count(0)
    assert console == []


def test_a_node_is_found_by_its_path_also_one_that_the_tree_does_not_list(site, shown, console):
    site.face.supervision.unlisted = [node("server/devices/pi-1", restarts=2)]
    field = shown.get_by_role("searchbox")
    field.fill("local.data")
    field.press("Enter")
    expect(item(shown, "server/links/local.data")).to_be_focused()
    expect(shown.locator("#node-title")).to_have_text("local.data")
    field.fill("pi-1")
    field.press("Enter")
    expect(shown.locator("#node-path")).to_have_text("server/devices/pi-1")
    field.fill("pi-404")
    field.press("Enter")
    expect(shown.locator("#missed")).to_contain_text("pi-404")
    assert [text for text in console if "404" not in text] == []


# -- one node ---------------------------------------------------------------------------------------------------------


def test_a_node_tells_why_it_crashed_and_is_resumed(site, shown, console):
    line(shown, "server/devices/pi-9").click()
    card = shown.locator("#node")
    expect(card.get_by_role("heading", name="pi-9")).to_be_visible()
    expect(card.get_by_role("link", name="Show the device")).to_have_attribute("href", "/devices/pi-9")
    expect(card).to_contain_text("ValueError: no")
    expect(card.locator("pre")).to_contain_text("Traceback ...")
    expect(card.get_by_role("button", name="Restart")).to_be_hidden()
    card.get_by_role("button", name="Resume: server/devices/pi-9").click()
    expect(shown.locator("#toast")).to_have_text("pi-9 is resumed.")
    assert site.face.supervision.done == [("resume", "server/devices/pi-9")]
    card.get_by_role("button", name="Close the details").click()
    expect(card).to_be_hidden()
    expect(item(shown, "server/devices/pi-9")).to_be_focused()
    assert console == []


@pytest.mark.parametrize("action", ["Restart", "Quarantine"])
def test_what_interrupts_is_asked_before(site, shown, console, action):
    item(shown, "server/links/local.data").focus()
    shown.keyboard.press("Enter")
    pressed = shown.locator("#node").get_by_role("button", name=f"{action}: server/links/local.data")
    pressed.click()
    dialog = shown.get_by_role("dialog")
    expect(dialog).to_contain_text("local.data")
    dialog.get_by_role("button", name="Back").click()
    assert site.face.supervision.done == []
    pressed.click()
    dialog.get_by_role("button", name=action).click()
    eventually(lambda: site.face.supervision.done, what="it is told")
    assert site.face.supervision.done == [(action.lower(), "server/links/local.data")]
    assert console == []


def test_the_page_itself_cannot_be_parked_and_the_top_be_told_nothing(site, shown, console):
    line(shown, "server/http").click()
    expect(shown.locator("#node").get_by_role("button", name="Restart")).to_be_visible()
    expect(shown.locator("#node").get_by_role("button", name="Quarantine")).to_have_count(0)
    line(shown, "server").click()
    expect(shown.locator("#node-title")).to_have_text("server")
    expect(shown.locator("#node-buttons button")).to_have_count(0)
    expect(shown.locator("#node-device")).to_be_hidden()
    assert console == []


def test_a_refusal_says_why(site, shown):
    def refuse(path):
        raise ValueError("it is not running")

    site.face.supervision.restart = refuse
    line(shown, "server/registry").click()
    shown.locator("#node").get_by_role("button", name="Restart").click()
    shown.get_by_role("dialog").get_by_role("button", name="Restart").click()
    expect(shown.locator("#toast")).to_have_text("it is not running")


def test_each_fault_that_is_charged_to_the_code_is_told_and_none_twice(site, page, console):
    def charged(*types):
        faults = [{"type": name, "where": "x.py:1", "crashes": 21 + index} for index, name in enumerate(types)]
        return node("server/devices", children=[PARKED], breakers=faults)

    site.face.supervision.root = node("server", children=[charged("ValueError", "KeyError")])
    show(site, page, "/supervision?node=server/devices")
    facts = page.locator("#node-facts > div", has_text="Charged to the code").locator("dd")
    expect(facts).to_have_text(["ValueError, 21 crashes", "KeyError, 22 crashes"])
    site.face.supervision.root = node("server", children=[charged("ValueError", "KeyError", "OSError")])
    site.face.ring.publish("supervision", "server", {"path": "server", "state": "running"})
    expect(facts).to_have_text(["ValueError, 21 crashes", "KeyError, 22 crashes", "OSError, 23 crashes"])
    assert console == []


def test_a_node_that_goes_while_it_is_shown_says_so(site, page):
    site.face.supervision.unlisted = [node("server/devices/pi-1")]
    show(site, page, "/supervision?node=server/devices/pi-1")
    expect(page.locator("#node-title")).to_have_text("pi-1")
    site.face.supervision.unlisted = []
    change(site)
    expect(page.locator("#node")).to_contain_text("It is no longer in the tree.")


# -- brokers ----------------------------------------------------------------------------------------------------------


def link(page, name="local.data"):
    return page.locator(f'.links li[data-key="{name}"]')


def test_a_broker_tells_its_figures_with_units_and_age(site, shown, console):
    broker = shown.locator("#brokers > li")
    figures = {
        "clients_connected": {"value": 1234, "unit": "", "heard_us": NOW},
        "messages_received_rate": {"value": 37.25, "unit": "1/min", "heard_us": NOW},
        "heap_current": {"value": 102_400, "unit": "B", "heard_us": NOW},
        "uptime": {"value": 7_300, "unit": "s", "heard_us": NOW},
        "publish_dropped": {"value": 3, "unit": "", "heard_us": NOW},
        "bytes_received_rate": {"value": 2_048, "unit": "B/min", "heard_us": NOW},
    }
    site.face.links.known[0] |= {"figures": figures, "reason": None}
    site.face.ring.publish("link", "local.data", {"name": "local.data", "state": "subscribed"})
    expect(broker.locator('[data-key="clients_connected"] dd')).to_have_text("1,234")
    expect(broker.locator('[data-key="messages_received_rate"] dd')).to_have_text("37.3\u00a0/min")
    expect(broker.locator('[data-key="heap_current"] dd')).to_have_text("100\u00a0KiB")
    expect(broker.locator('[data-key="uptime"] dd')).to_have_text("2 h")
    expect(broker.locator('[data-key="publish_dropped"]')).to_have_class("bad")
    expect(broker.locator(".version")).to_contain_text("mosquitto version 2.0.18, figures of")
    broker.get_by_text("More figures").click()
    expect(broker.locator('[data-key="bytes_received_rate"] dd')).to_have_text("2\u00a0KiB/min")
    site.face.links.known[0] |= {"figures": {}, "version": None, "reason": "the broker refuses our user $SYS/broker/#"}
    site.face.ring.publish("link", "local.data", {"name": "local.data", "state": "subscribed"})
    expect(broker.locator(".reason")).to_have_text("the broker refuses our user $SYS/broker/#")
    expect(broker.locator(".version")).to_be_hidden()
    assert console == []


def test_a_link_is_paused_after_a_question_and_resumed(site, shown, console):
    expect(link(shown)).to_contain_text("up")
    expect(link(shown).get_by_role("button", name="Resume")).to_be_hidden()
    link(shown).get_by_role("button", name="Pause: local.data").click()
    expect(shown.get_by_role("dialog")).to_contain_text("the broker keeps what arrives meanwhile")
    shown.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(shown.locator("#toast")).to_have_text("local.data is paused.")
    expect(link(shown).locator(".state")).to_have_text("paused")
    expect(link(shown).locator(".why")).to_contain_text("An operator has closed it.")
    expect(link(shown).get_by_role("button", name="Reconnect")).to_be_hidden()
    # Whoever uses the keyboard goes on where he was.
    expect(link(shown).get_by_role("button", name="Resume: local.data")).to_be_focused()
    shown.keyboard.press("Enter")
    expect(link(shown).locator(".state")).to_have_text("up")
    expect(link(shown).get_by_role("button", name="Reconnect: local.data")).to_be_focused()
    assert console == []


def test_that_a_link_is_paused_is_no_broker_that_cannot_be_reached(site, shown):
    site.face.links.pause("local.data")
    site.face.ring.publish("link", "local.data", {"name": "local.data", "state": "paused"})
    expect(shown.locator("#trouble")).to_have_text("A link is paused: what it carries waits until it is resumed.")
    site.face.links.rows[0]["state"] = "backing_off"
    site.face.ring.publish("link", "local.data", {"name": "local.data", "state": "backing_off"})
    expect(shown.locator("#trouble")).to_contain_text("A broker cannot be reached")


def test_a_link_that_is_down_says_why_and_reconnects(site, shown, console):
    site.face.links.rows[0] |= {"state": "backing_off", "connected": False, "detail": "b:1 · connection refused"}
    site.face.ring.publish("link", "local.data", {"name": "local.data", "state": "backing_off"})
    expect(link(shown).locator(".dot")).to_have_class("dot offline")
    expect(link(shown).locator(".why")).to_have_text("b:1 · connection refused")
    link(shown).get_by_role("button", name="Reconnect: local.data").click()
    expect(shown.locator("#toast")).to_have_text("local.data connects again.")
    assert site.face.links.reconnected == ["local.data"]
    assert console == []


# -- the history ------------------------------------------------------------------------------------------------------


def crash_again(site, **fields):
    group = site.face.supervision.groups[0]
    group["count"] += 1
    group["crashes"].insert(0, {"at_us": NOW, "path": "server/devices/pi-2", "error": "again"})
    group |= {"last_us": NOW, "paths": ["server/devices/pi-2", "server/devices/pi-1"], **fields}
    change(site, PARKED)


def test_crashes_are_grouped_expanded_and_counted_while_they_happen(site, shown, console):
    group = shown.locator("#crashes > li")
    expect(group.locator(".type")).to_have_text("ValueError")
    expect(group.locator(".times")).to_have_text("3 times")
    expect(group.locator(".where")).to_contain_text("devices/* actors/device.py:40 in _take")
    group.get_by_text("Details").click()
    expect(group.locator("pre")).to_have_text("Traceback ...")
    expect(group.locator(".single li")).to_have_count(1)
    shown.evaluate("window.kept = document.querySelector('#crashes .single li')")
    crash_again(site, error="again")
    expect(group.locator(".times")).to_have_text("4 times")
    expect(group.locator(".error")).to_have_text("again")
    expect(group.locator(".single li")).to_have_count(2)
    expect(group.locator("details")).to_have_attribute("open", "")
    assert shown.evaluate("window.kept.isConnected")
    group.locator(".paths").get_by_role("link", name="pi-2").click()
    expect(shown.locator("#node-path")).to_have_text("server/devices/pi-2")
    assert [text for text in console if "404" not in text] == []


def test_nothing_has_crashed(site, page, console):
    site.face.supervision.root = tree()
    site.face.supervision.groups = []
    show(site, page)
    expect(page.get_by_text("Nothing has crashed.")).to_be_visible()
    assert console == []


# -- everybody --------------------------------------------------------------------------------------------------------


def test_who_may_only_read_has_no_buttons(site, page, console):
    site.face.supervision.root = tree(PARKED)
    page.goto(f"{site.url}/login")
    page.get_by_label("Token").fill("the-read-token")
    page.keyboard.press("Enter")
    expect(page.locator("#live")).to_have_text("live")
    page.goto(f"{site.url}/supervision?node=server/devices/pi-9")
    expect(page.locator("#node-title")).to_have_text("pi-9")
    expect(link(page)).to_be_visible()
    expect(page.locator("main").get_by_role("button", name="Resume")).to_have_count(0)
    expect(page.locator("main").get_by_role("button", name="Pause")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(site, shown, scheme):
    shown.emulate_media(color_scheme=scheme)
    line(shown, "server/devices/pi-9").click()
    shown.get_by_text("Details", exact=True).click()
    change(site, PARKED, node("server/registry", "backing_off", next_restart_in=30.0, last_exception=failure()))
    expect(line(shown, "server/registry").locator(".due")).not_to_be_empty()
    assert serious(shown) == []


def test_the_page_fits_a_phone_and_speaks_italian(site, browser):
    crash_again(site)
    site.face.supervision.groups[0]["paths"] = [f"server/devices/a-device-{number}" for number in range(5)]
    context = browser.new_context(locale="it-IT", viewport={"width": 360, "height": 740})
    page = context.new_page()
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}/supervision?node=server/devices/pi-9")
    expect(page.get_by_role("heading", name="Albero")).to_be_visible()
    expect(line(page, "server/devices/pi-9")).to_contain_text("in quarantena")
    expect(page.locator("#node")).to_contain_text("ValueError: no")
    page.get_by_text("Dettagli", exact=True).click()
    expect(page.locator("#crashes .single li")).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert serious(page) == []
    context.close()
