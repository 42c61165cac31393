"""The page of the updates in a real browser, on a real server, over fakes."""

from __future__ import annotations

import hashlib

import pytest
from playwright.sync_api import expect

from actors.targets import Target
from tests.support.axe import serious
from tests.web.fake_releases import RELEASE
from tests.web.fake_rollouts import device, rollout
from web.releases import ReleasesRefusedError


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
    expect(shown).to_have_title("Muster: updates")
    expect(row(shown).get_by_role("link")).to_have_text("2.0")
    expect(row(shown).locator(".target")).to_have_text("all devices, 20 devices")
    expect(row(shown).locator(".waves .tally")).to_have_text(["2 offered", "18 pending"])
    expect(row(shown).locator(".wave")).to_have_text(["Wave 1, 10%: canary", "Wave 2: the rest"])
    expect(row(shown).locator(".state .verdict")).to_have_text("running")
    put(site, "r1", ({"succeeded": 1, "downloading": 1}, {"pending": 18}))
    expect(row(shown).locator(".waves .tally").first).to_have_text("1 succeeded · 1 downloading")
    expect(row(shown).get_by_role("progressbar", name="Wave 1: 1 of 2")).to_have_js_property("value", 0.5)
    assert console == []


def test_a_link_to_a_part_shows_its_tab_on_a_phone(site, shown):
    shown.set_viewport_size({"width": 360, "height": 740})
    shown.context.add_cookies([{"name": "muster_lang", "value": "it", "url": site.url}])
    shown.goto("about:blank")
    shown.goto(f"{site.url}/updates#windows")
    tab = shown.get_by_role("link", name="Finestre di manutenzione")
    expect(tab).to_have_attribute("aria-current", "page")
    box = tab.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] < 360 - 40, "clear of what fades at the edge"


def confirm(page, verb):
    page.get_by_role("dialog").get_by_role("button", name=verb).click()


def open_one(page, rollout_id="r1"):
    row(page, rollout_id).get_by_role("link").click()
    return page.locator(".beside")


def test_waves_without_devices_have_no_bar(site, shown):
    put(site, "r1", ({"succeeded": 1}, {}, {"pending": 4}))
    expect(row(shown).locator(".wave")).to_have_text(["Wave 1, 10%: canary", "Wave 3: the rest"])
    expect(row(shown).get_by_role("progressbar")).to_have_count(2)


def test_a_rollout_that_halts_says_why_and_which_devices_failed(site, shown, console):
    site.face.rollouts.of["r1"] = [device("pi-1", "rolled_back", reason="starts", attempts=2), device("pi-2")]
    put(site, "r1", ({"rolled_back": 1, "offered": 1}, {"pending": 18}), status="halted", reason="1 of 2 failed")
    expect(row(shown).locator(".state .verdict")).to_have_text("halted")
    expect(row(shown).locator(".said")).to_have_text("1 of 2 failed")
    one = open_one(shown)
    expect(one.locator(".of-rollout li")).to_have_count(2)
    one.get_by_label("State of the devices").select_option("rolled_back")
    expect(one.locator(".of-rollout li")).to_have_count(1)
    expect(one.locator(".of-rollout .reason")).to_have_text("wave 1 · 2 attempts · starts")
    expect(one.get_by_role("link", name="pi-1")).to_have_attribute("href", "/devices/pi-1")
    assert console == []


def test_a_halted_rollout_of_a_revoked_release_offers_no_way_on(site, shown, console):
    put(site, "r1", ({"failed": 1}, {"pending": 18}), status="halted", reason="1 of 1 failed")
    expect(shown.get_by_role("button", name="Resume: rollout r1")).to_be_visible()
    expect(shown.get_by_role("button", name="Retry failed: rollout r1")).to_be_visible()
    site.face.releases.revoke("1.2", "", "admin")
    put(site, "r1", ({"failed": 1}, {"pending": 18}), status="halted", reason="the release is revoked")
    expect(shown.get_by_role("button", name="Resume: rollout r1")).to_have_count(0)
    expect(shown.get_by_role("button", name="Retry failed: rollout r1")).to_have_count(0)
    expect(shown.get_by_role("button", name="Cancel: rollout r1")).to_be_visible()
    expect(open_one(shown)).to_contain_text("Its release was revoked: it cannot be resumed.")
    assert console == []


def test_a_rollout_is_paused_resumed_and_cancelled(site, shown, console):
    shown.get_by_role("button", name="Pause: rollout r1").click()
    confirm(shown, "Pause")
    expect(row(shown).locator(".state .verdict")).to_have_text("paused")
    expect(shown.get_by_role("alert").filter(has_text="Paused.")).to_be_visible()
    expect(shown.get_by_role("button", name="Pause: rollout r1")).to_have_count(0)
    one = open_one(shown)
    one.get_by_role("button", name="Resume: rollout r1").click()
    confirm(shown, "Resume")
    expect(one.locator(".verdict").first).to_have_text("running")
    expect(row(shown).locator(".state .verdict")).to_have_text("running")
    one.get_by_role("button", name="Cancel: rollout r1").click()
    confirm(shown, "Cancel")
    expect(row(shown).locator(".state .verdict")).to_have_text("cancelled")
    expect(row(shown).get_by_role("button")).to_have_count(0)
    assert console == []


def test_what_has_failed_is_tried_again(site, shown):
    put(site, "r1", ({"failed": 2},))
    shown.get_by_role("button", name="Retry failed: rollout r1").click()
    confirm(shown, "Retry failed")
    expect(shown.get_by_role("alert").filter(has_text="offered again")).to_be_visible()
    assert site.face.rollouts.asked["serials"] is None


def test_rollouts_are_chosen_by_status(site, shown):
    put(site, "r2", status="completed")
    expect(shown.locator("#list tr")).to_have_count(2)
    shown.get_by_label("Status").select_option("completed")
    expect(shown.locator("#list tr")).to_have_count(1)
    shown.get_by_label("Status").select_option("halted")
    expect(shown.locator("#none")).to_contain_text("No rollout matches.")


def begin(page):
    page.get_by_text("Start a rollout", exact=True).click()
    expect(page.locator("#begin-release")).to_have_text("1.2")


def test_a_rollout_is_started_once_it_is_confirmed(site, shown, console):
    begin(shown)
    shown.get_by_label("First, in percent").fill("7")
    shown.get_by_role("button", name="Start…").click()
    question = shown.get_by_role("dialog")
    expect(question).to_contain_text("Bring 1.2 to all devices (now 2)? 7% get it first")
    question.get_by_role("button", name="Back").click()
    expect(question).to_have_count(0)
    assert site.face.rollouts.asked is None
    shown.get_by_role("button", name="Start…").click()
    question.get_by_role("button", name="Start").click()
    expect(shown.locator("#list tr")).to_have_count(2)
    asked = site.face.rollouts.asked
    assert (asked["target"], asked["release"]) == (Target(all=True), "0" * 32)
    assert [(wave.share, wave.success) for wave in asked["plan"].waves] == [(0.07, 1.0), (0.25, 0.95), (1.0, 0.95)]
    assert asked["plan"].failures == 0.1
    expect(shown.locator("#begin")).not_to_have_attribute("open", "")
    expect(shown.locator(".beside")).to_contain_text("for all devices")
    assert console == []


def test_a_rollout_is_started_for_a_group_or_for_devices_by_name_and_an_error_stays_to_be_read(site, page, console):
    site.face.groups.create({"name": "pumps"}, "admin", "10.0.0.7")
    page.goto(f"{site.url}/login?key=the-page-key")
    page.get_by_role("link", name="Updates").click()
    begin(page)
    page.get_by_role("combobox", name="For").select_option("group pumps")
    page.get_by_label("First, in percent").fill("100")
    page.get_by_role("button", name="Start…").click()
    expect(page.get_by_role("dialog")).to_contain_text("All of them get it at once.")
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


@pytest.fixture
def releases(site, page, console):
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}/updates#releases")
    expect(page.locator("#releases-list tr")).to_have_count(1)
    return page


def open_release(page, version="1.2"):
    page.locator("#releases-list").get_by_role("link", name=version).click()
    return page.get_by_role("region", name=f"Release {version}")


def test_a_release_is_shown_and_revoked_once_it_is_confirmed(site, releases, console):
    one = open_release(releases)
    expect(one.locator(".verdict")).to_have_text("ready")
    expect(one.locator("dl")).to_contain_text("cp311-linux_x86_64")
    one.get_by_label("Why it is revoked").fill("loses readings")
    one.get_by_role("button", name="Revoke 1.2").click()
    expect(releases.get_by_role("dialog")).to_contain_text("this cannot be taken back")
    confirm(releases, "Revoke")
    expect(one.locator(".verdict")).to_have_text("revoked")
    expect(releases.locator("#releases-list .verdict")).to_have_text("revoked")
    expect(one.get_by_role("button", name="Revoke 1.2")).to_be_hidden()
    assert site.face.releases.told == [("revoke", "1.2", "loses readings", "admin")]
    assert serious(releases) == []
    assert console == []


def test_a_release_is_deleted_once_it_is_confirmed_and_a_refusal_is_told(site, releases):
    def refuse(version, by):
        raise ReleasesRefusedError(409, "in_use", "the rollout r1 needs it")

    delete, site.face.releases.delete = site.face.releases.delete, refuse
    one = open_release(releases)
    one.get_by_role("button", name="Delete 1.2").click()
    confirm(releases, "Delete")
    expect(releases.get_by_role("alert").filter(has_text="the rollout r1 needs it")).to_be_visible()
    site.face.releases.delete = delete
    one.get_by_role("button", name="Delete 1.2").click()
    confirm(releases, "Delete")
    expect(releases.get_by_role("alert").filter(has_text="1.2 is deleted.")).to_be_visible()
    assert site.face.releases.told == [("delete", "1.2", "admin")]


class Uploads:
    """Takes uploads of up to 1 MB, and makes a release of one that is complete; `failures` pieces break off before."""

    def __init__(self, releases, failures=0):
        self.releases = releases
        self.failures = failures
        self.content = b""
        releases.begin, releases.append = self.begin, self.append

    def begin(self, *, size, sha256, name, by):
        self.size, self.sha256, self.name = size, sha256, name
        return {"id": sha256[:32], "offset": len(self.content), "release": None}

    def append(self, upload, offset, chunk, by):
        if self.failures:
            self.failures -= 1
            raise ReleasesRefusedError(503, "busy", "four uploads are under way")
        assert offset == len(self.content)
        self.content += chunk
        done = len(self.content) == self.size
        assert not done or hashlib.sha256(self.content).hexdigest() == self.sha256
        if done:
            self.releases.rows["1.3"] = RELEASE | {"id": self.sha256[:32], "version": "1.3"}
        return {"offset": len(self.content), "release": "1.3" if done else None}


def choose_file(page, content):
    page.get_by_text("Upload a release", exact=True).click()
    file = {"name": "x-1.3.muster", "mimeType": "application/octet-stream", "buffer": content}
    page.get_by_label("File, made by muster release build").set_input_files(file)
    page.get_by_role("button", name="Upload", exact=True).click()


def test_a_release_is_uploaded_in_pieces_and_goes_on_where_it_broke_off(site, releases, console):
    content = bytes(range(256)) * 2800
    uploads = Uploads(site.face.releases, failures=1)
    uploads.content = content[:1000]
    choose_file(releases, content)
    expect(releases.get_by_role("region", name="Release 1.3")).to_be_visible()
    expect(releases.get_by_role("alert").filter(has_text="1.3 is uploaded and verified")).to_be_visible()
    assert uploads.content == content
    assert uploads.name == "x-1.3.muster"
    expect(releases.locator("#releases-list tr")).to_have_count(2)
    assert [text for text in console if "503" not in text] == []


def test_an_upload_that_is_refused_says_why_and_can_be_begun_again(site, releases):
    def refuse(**_):
        raise ReleasesRefusedError(409, "no_keys", "this server trusts nobody's releases yet")

    site.face.releases.begin = refuse
    choose_file(releases, b"no release")
    expect(releases.locator("#upload-problem")).to_have_text("this server trusts nobody's releases yet")
    expect(releases.get_by_role("button", name="Upload", exact=True)).to_be_enabled()
    expect(releases.get_by_role("button", name="Stop")).to_be_hidden()


NIGHT = {"days": ["sat", "sun"], "begin": "22:00", "end": "04:30", "timezone": "Europe/Rome"}


def windows_of(site, page):
    site.face.rollouts.sites = {
        "harbour": {"site": "harbour", "source": "configuration", "open": False, "windows": [NIGHT]},
        "plant-1": {"site": "plant-1", "source": "api", "open": True, "windows": [NIGHT]},
    }
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}/updates#windows")
    expect(page.locator("#windows-list tr")).to_have_count(2)


def test_the_windows_of_sites_are_told_in_words_and_those_of_the_configuration_are_read_only(site, page, console):
    windows_of(site, page)
    expect(page.locator("#windows-list .times").first).to_have_text("Sat, Sun, 22:00 to 04:30 (Europe/Rome)")
    expect(page.locator("#windows-list .verdict")).to_have_text(["closed", "open"])
    page.get_by_role("link", name="harbour").click()
    one = page.get_by_role("region", name="harbour")
    expect(one).to_contain_text("stand in the configuration file")
    expect(one.get_by_role("button")).to_have_count(1)
    assert serious(page) == []
    assert console == []


def test_the_windows_of_a_site_are_changed_and_removed(site, page, console):
    windows_of(site, page)
    page.get_by_role("link", name="plant-1").click()
    one = page.get_by_role("region", name="plant-1")
    one.get_by_label("Sun").uncheck()
    one.get_by_role("button", name="Add a time").click()
    expect(one.locator(".time-row")).to_have_count(2)
    one.get_by_role("button", name="Take this time away").last.click()
    one.get_by_label("to", exact=True).fill("06:00")
    one.get_by_role("button", name="Set", exact=True).click()
    expect(page.locator("#windows-list .times").last).to_have_text("Sat, 22:00 to 06:00 (Europe/Rome)")
    assert site.face.rollouts.sites["plant-1"]["windows"] == (NIGHT | {"days": ("sat",), "end": "06:00"},)
    put_windows = site.face.rollouts.put_windows
    site.face.rollouts.put_windows = lambda name, *rest: put_windows(name, *rest) | site.face.rollouts.sites.pop(name)
    one.get_by_role("button", name="Remove all windows of plant-1").click()
    confirm(page, "Remove all")
    expect(page.locator("#windows-list tr")).to_have_count(1)
    expect(one).to_be_hidden()
    assert console == []


def test_windows_are_set_for_a_site_that_had_none_and_a_wrong_one_is_told(site, page):
    windows_of(site, page)
    page.get_by_role("link", name="Set windows for a site").click()
    form = page.get_by_role("form", name="Set windows for a site")
    form.get_by_label("Site").fill("field 7")
    form.get_by_label("Time zone").fill("Mars/Olympus")
    form.get_by_role("button", name="Set", exact=True).click()
    expect(form.locator(".problem")).to_contain_text("timezone")
    form.get_by_label("Time zone").fill("Europe/Rome")
    form.get_by_role("button", name="Set", exact=True).click()
    expect(page.get_by_role("region", name="field 7")).to_contain_text("every day, 22:00 to 05:00 (Europe/Rome)")
    expect(page.locator("#windows-list tr")).to_have_count(3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(site, shown, scheme):
    site.face.rollouts.of["r1"] = [device(f"pi-{number}", "rolled_back", reason="starts") for number in range(4)]
    shown.emulate_media(color_scheme=scheme)
    expect(open_one(shown).locator(".of-rollout li")).to_have_count(4)
    begin(shown)
    assert serious(shown) == []


def test_a_reader_is_offered_no_buttons(site, page):
    put(site, "r1")
    page.goto(site.url)
    page.get_by_label("Access token").fill("the-read-token")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Updates").click()
    expect(row(page)).to_be_visible()
    expect(row(page).get_by_role("button")).to_have_count(0)
    expect(page.get_by_text("Start a rollout", exact=True)).to_be_hidden()
    page.get_by_role("link", name="Releases").click()
    expect(open_release(page)).to_be_visible()
    expect(page.get_by_role("button", name="Revoke 1.2")).to_have_count(0)
    expect(page.get_by_text("Upload a release", exact=True)).to_be_hidden()
    page.get_by_role("link", name="Maintenance windows").click()
    expect(page.get_by_text("Set windows for a site")).to_be_hidden()


def test_what_a_device_says_is_text_and_never_markup(site, shown, console):
    evil = '<img src=x onerror="document.title=1"><b>x</b>'
    site.face.rollouts.of["r1"] = [device(evil, "failed", reason=evil)]
    put(site, "r1", ({"failed": 1},), reason=evil, target=evil, version=evil, by=evil)
    expect(row(shown).locator(".said")).to_have_text(evil)
    expect(open_one(shown).locator(".of-rollout .reason")).to_contain_text(evil)
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
