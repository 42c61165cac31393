"""The page of the updates in a real browser, on a real server, over fakes."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from actors.targets import Target
from tests.web.fake_rollouts import device, rollout


def waves(*counts):
    return [{"share": 0.1, "success": 1.0, "wait": 0.0, "devices": sum(c.values()), "counts": c} for c in counts]


def put(site, rollout_id, by_wave=({"offered": 2}, {"pending": 18}), **fields):
    """A rollout is started, or has changed, and the ring says so, as the server does it."""
    counts = {}
    for wave in by_wave:
        for state, count in wave.items():
            counts[state] = counts.get(state, 0) + count
    row = rollout(rollout_id, waves=waves(*by_wave), counts=counts, **fields)
    site.face.rollouts.rows[rollout_id] = row
    site.face.ring.publish("rollout", rollout_id, {"id": rollout_id, "status": row["status"]})


@pytest.fixture
def shown(site, page, console):
    put(site, "r1")
    page.goto(f"{site.url}/login?key=the-page-key")
    page.get_by_role("link", name="Updates").click()
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#list tr")).to_have_count(1)
    return page


def row(page, rollout_id="r1"):
    return page.locator(f'#list tr[data-key="{rollout_id}"]')


def test_the_page_shows_how_far_the_waves_are(site, shown, console):
    assert shown.title() == "Muster: updates"
    expect(row(shown).locator(".release")).to_have_text("2.0")
    expect(row(shown).locator(".target")).to_have_text("all devices, 20 devices")
    expect(row(shown).locator(".waves .tally")).to_have_text(["2 offered", "18 pending"])
    expect(row(shown).locator(".state .verdict")).to_have_text("running")
    put(site, "r1", ({"succeeded": 1, "downloading": 1}, {"pending": 18}))
    expect(row(shown).locator(".waves .tally").first).to_have_text("1 succeeded · 1 downloading")
    expect(row(shown).get_by_role("progressbar", name="Wave 1: 1 of 2")).to_have_js_property("value", 0.5)
    assert console == []


def test_a_rollout_that_halts_says_why_and_which_devices_failed(site, shown, console):
    site.face.rollouts.of["r1"] = [device("pi-1", "rolled_back", reason="starts"), device("pi-2")]
    put(site, "r1", ({"rolled_back": 1, "offered": 1}, {"pending": 18}), status="halted", reason="1 of 2 failed")
    expect(row(shown).locator(".state .verdict")).to_have_text("halted")
    expect(row(shown).locator(".said")).to_have_text("1 of 2 failed")
    row(shown).get_by_text("1 not updated").click()
    expect(row(shown).locator(".failed li")).to_have_text(["pi-1rolled backstarts"])
    assert console == []


def test_a_rollout_is_paused_resumed_and_cancelled(site, shown, console):
    shown.get_by_role("button", name="Pause: rollout r1").click()
    expect(row(shown).locator(".state .verdict")).to_have_text("paused")
    expect(shown.get_by_role("button", name="Pause: rollout r1")).to_have_count(0)
    shown.get_by_role("button", name="Resume: rollout r1").click()
    expect(row(shown).locator(".state .verdict")).to_have_text("running")
    shown.get_by_role("button", name="Cancel: rollout r1").click()
    shown.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(row(shown).locator(".state .verdict")).to_have_text("cancelled")
    expect(row(shown).get_by_role("button")).to_have_count(0)
    assert console == []


def test_what_has_failed_is_tried_again(site, shown):
    put(site, "r1", ({"failed": 2},))
    shown.get_by_role("button", name="Retry failed: rollout r1").click()
    expect(shown.get_by_role("button", name="Retry failed: rollout r1")).to_be_enabled()
    assert site.face.rollouts.asked["serials"] is None


def test_rollouts_are_chosen_by_status(site, shown):
    put(site, "r2", status="completed")
    expect(shown.locator("#list tr")).to_have_count(2)
    shown.get_by_label("Status").select_option("Completed")
    expect(shown.locator("#list tr")).to_have_count(1)
    shown.get_by_label("Status").select_option("Halted")
    expect(shown.locator("#none")).to_contain_text("No rollout matches.")


def begin(page):
    page.get_by_text("Start a rollout").click()
    expect(page.locator("#begin-release")).to_have_text("1.2")


def test_a_rollout_is_started_once_it_is_confirmed(site, shown, console):
    begin(shown)
    shown.get_by_label("First, in percent").fill("7")
    shown.get_by_role("button", name="Start…").click()
    question = shown.get_by_role("dialog")
    expect(question).to_contain_text("Bring 1.2 to all devices? 7 % get it first")
    question.get_by_role("button", name="Back").click()
    expect(question).to_have_count(0)
    assert site.face.rollouts.asked is None
    shown.get_by_role("button", name="Start…").click()
    question.get_by_role("button", name="Start").click()
    expect(shown.locator("#list tr")).to_have_count(2)
    asked = site.face.rollouts.asked
    assert (asked["target"], asked["release"]) == (Target(all=True), "0" * 32)
    assert [(wave.share, wave.success) for wave in asked["plan"].waves] == [(0.07, 1.0), (0.25, 0.95), (1.0, 0.95)]
    expect(shown.locator("#begin")).not_to_have_attribute("open", "")
    assert console == []


def test_a_rollout_is_started_for_a_group_or_for_devices_by_name_and_an_error_stays_to_be_read(site, page, console):
    site.face.groups.create({"name": "pumps"}, "admin", "10.0.0.7")
    page.goto(f"{site.url}/login?key=the-page-key")
    page.get_by_role("link", name="Updates").click()
    begin(page)
    page.get_by_role("combobox", name="For").select_option("group pumps")
    page.get_by_label("First, in percent").fill("100")
    page.get_by_role("button", name="Start…").click()
    expect(page.get_by_role("dialog")).to_contain_text("Bring 1.2 to group pumps? All of them get it at once.")
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    expect(page.locator("#list tr")).to_have_count(1)
    assert site.face.rollouts.asked["target"] == Target(group="pumps")
    assert len(site.face.rollouts.asked["plan"].waves) == 1
    begin(page)
    page.get_by_role("combobox", name="For").select_option("named")
    page.get_by_label("Serial numbers").fill("pi-1, pi/2 pi-3 pi-4")
    page.get_by_role("button", name="Start…").click()
    expect(page.get_by_role("dialog")).to_contain_text("Bring 1.2 to 4 devices?")
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    expect(page.locator("#begin-problem")).to_contain_text("devices")
    page.get_by_label("Serial numbers").fill("pi-1 pi-2")
    page.get_by_role("button", name="Start…").click()
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    expect(page.locator("#list tr")).to_have_count(2)
    assert site.face.rollouts.asked["target"] == Target(devices=("pi-1", "pi-2"))
    assert [text for text in console if "400" not in text] == []


def test_a_release_is_shown_and_revoked_once_it_is_confirmed(site, shown, console):
    release = shown.locator("#releases-list tr")
    expect(release.locator(".release")).to_have_text("1.2")
    expect(release.locator(".verdict")).to_have_text("ready")
    shown.get_by_role("button", name="Revoke 1.2").click()
    expect(shown.get_by_role("dialog")).to_contain_text("this cannot be taken back")
    shown.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(release.locator(".verdict")).to_have_text("revoked")
    expect(shown.locator("#begin")).to_be_hidden()
    assert console == []


def test_a_reader_is_offered_no_buttons(site, page):
    put(site, "r1")
    page.goto(site.url)
    page.get_by_label("Access token").fill("the-read-token")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Updates").click()
    expect(row(page)).to_be_visible()
    expect(row(page).get_by_role("button")).to_have_count(0)
    expect(page.locator("#releases-list tr")).to_be_visible()
    expect(page.get_by_role("button", name="Revoke 1.2")).to_have_count(0)
    expect(page.get_by_text("Start a rollout")).to_be_hidden()


def test_what_a_device_says_is_text_and_never_markup(site, shown, console):
    evil = '<img src=x onerror="document.title=1"><b>x</b>'
    site.face.rollouts.of["r1"] = [device(evil, "failed", reason=evil)]
    put(site, "r1", ({"failed": 1},), reason=evil, target=evil, version=evil, by=evil)
    expect(row(shown).locator(".said")).to_have_text(evil)
    row(shown).locator("summary").click()
    expect(row(shown).locator(".failed .quiet")).to_have_text(evil)
    assert shown.locator("main b, main img").count() == 0
    assert console == []


@pytest.mark.parametrize("width", [1280, 768, 360])
def test_at_every_width_nothing_is_cut_off(site, shown, width):
    shown.set_viewport_size({"width": width, "height": 800})
    put(site, "r9", status="halted", reason="x" * 300, target="group " + "y" * 64, by="z" * 64)
    expect(row(shown, "r9")).to_be_visible()
    begin(shown)
    shown.get_by_role("combobox", name="For").select_option("named")
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    for cell in row(shown, "r9").locator("td, th").all():
        assert cell.evaluate("e => e.scrollWidth <= e.clientWidth + 1"), (width, cell.text_content())
