"""The page of the settings in a real browser, on a real server, over fakes."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.support.axe import serious
from tests.web.fake_enrolments import asker
from tests.web.fakes import view
from tests.web.page_site import NOW

TABS = ("tokens", "enrolment", "rosters", "groups", "audit", "access")
DAY = 86_400


@pytest.fixture
def shown(site, page):
    def show(tab, token="the-admin-token"):
        page.goto(f"{site.url}/login")
        page.get_by_label(re.compile("token|Token")).fill(token)
        page.keyboard.press("Enter")
        expect(page.locator("#live")).to_have_text("live")
        page.goto(f"{site.url}/settings?tab={tab}")
        expect(page.locator("#live")).to_have_text("live")
        return page

    return show


def fill_all(site):
    """Something on every tab."""
    tokens, face = site.face.tokens, site.face
    tokens.create(name="grafana", role="read", serial="", expires_in=None)
    tokens.create(name="gate", role="device", serial="pi-1", expires_in=1)
    face.enrolments.rows |= {"pi-9": asker("pi-9"), "pi-8": asker("pi-8", "enrolled", enrolled_us=NOW)}
    face.groups.sites["harbour"] = ("gw-7", "plc-07")
    face.groups.create(group("pumps", members=("gw-7", "pi-1")), "admin ops", "")


def group(name, **fields):
    return {"name": name, "description": "hall 1", "rule": None} | fields


def row(page, key):
    return page.locator(f'#list > [data-key="{key}"]')


def sure(page, label):
    """Say yes to the question that is asked."""
    page.locator("dialog.ask").get_by_role("button", name=label).click()


def test_a_token_is_made_its_text_is_shown_once_and_can_be_copied(site, shown, console):
    page = shown("tokens")
    expect(page.locator("#none")).to_contain_text("muster token create")
    page.get_by_text("Make a token").click()
    page.get_by_label("Name", exact=True).fill("grafana")
    page.get_by_label("Valid for days").fill("30")
    page.get_by_role("button", name="Make it").click()
    expect(page.locator("#made")).to_contain_text("It is shown only now")
    expect(page.locator("#made code")).to_have_text("the-new-token-1")
    expect(page.locator("#toast")).to_have_text("The token grafana is made.")
    assert site.face.tokens.rows[0]["expires_us"] - site.face.tokens.rows[0]["created_us"] == 30 * DAY * 1_000_000
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy this secret").click()
    expect(page.locator("#made .copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "the-new-token-1"
    page.get_by_role("button", name="I have put it away").click()
    expect(page.locator("#made")).to_be_hidden()
    expect(row(page, 1).locator(".label")).to_have_text("grafana")
    page.reload()
    expect(row(page, 1)).to_be_visible()
    assert "the-new-token" not in page.content()
    assert console == []


def test_a_device_s_token_needs_its_serial_number(site, shown):
    page = shown("tokens")
    page.get_by_text("Make a token").click()
    expect(page.locator("#make-serial")).to_be_hidden()
    page.locator("#make-role").select_option("device")
    expect(page.locator("#make-role-words")).to_contain_text("one device alone")
    page.get_by_label("Name", exact=True).fill("gate")
    page.locator("#make-serial").fill("pi-1")
    page.get_by_role("button", name="Make it").click()
    expect(row(page, 1).locator(".serial")).to_have_attribute("href", "/devices/pi-1")


def test_a_token_is_revoked_after_a_question_and_found_by_state(site, shown):
    fill_all(site)
    page = shown("tokens")
    page.get_by_role("button", name="Revoke the token grafana").click()
    expect(page.locator("dialog.ask")).to_contain_text("shut out at once")
    page.get_by_role("button", name="Back").click()
    expect(row(page, 1).locator(".verdict")).to_have_text("valid")
    page.get_by_role("button", name="Revoke the token grafana").click()
    sure(page, "Revoke")
    expect(row(page, 1).locator(".verdict")).to_have_text("revoked")
    expect(page.locator("#toast")).to_have_text("The token grafana opens nothing any more.")
    expect(row(page, 2).locator(".verdict")).to_have_text("expired")
    page.locator("#state").select_option("expired")
    expect(page.locator("#list tr")).to_have_count(1)
    assert page.url.endswith("/settings?tab=tokens&state=expired")
    page.reload()
    expect(page.locator("#list tr")).to_have_count(1)


@pytest.mark.parametrize(
    ("token", "tab", "needed"),
    [
        ("the-read-token", "tokens", "admin"),
        ("the-operate-token", "tokens", "admin"),
        ("the-read-token", "enrolment", "operate"),
        ("the-operate-token", "audit", "admin"),
        ("the-operate-token", "access", "admin"),
    ],
)
def test_who_may_not_look_is_told_why(shown, console, token, tab, needed):
    page = shown(tab, token)
    expect(page.locator("#refused")).to_contain_text(f"This needs the role {needed}")
    assert page.locator("#list").count() == 0
    assert console == []


def test_without_a_tab_in_the_address_the_first_that_may_be_seen_is_shown(site, shown):
    page = shown("", "the-operate-token")
    expect(page.locator("#tabs [aria-current]")).to_have_text("Enrolment")
    page = shown("nonsense", "the-read-token")
    expect(page.locator("#tabs [aria-current]")).to_have_text("Rosters")
    expect(page.locator("#begin")).to_be_hidden()


def test_who_waits_to_enrol_appears_and_is_let_in_as_the_one_that_was_seen(site, shown, console):
    page = shown("enrolment")
    expect(page.locator("#none")).to_contain_text("muster-edge install")
    site.face.enrolments.rows["pi-9"] = asker("pi-9", mac_address="dc:a6:32:01:02:03")
    site.face.ring.publish("enrolment", "pi-9", {"serial": "pi-9"})
    waiting = row(page, "pi-9")
    expect(waiting.locator(".verdict")).to_have_text("waits")
    expect(waiting).to_contain_text("192.168.1.9")
    expect(waiting).to_contain_text("dc:a6:32:01:02:03")
    site.face.enrolments.rows["pi-9"]["request"] = "somebody else"
    waiting.get_by_role("button", name="Approve").click()
    expect(page.locator("#toast")).to_contain_text("does not wait any more")
    waiting.get_by_role("button", name="Approve").click()
    expect(page.locator("#toast")).to_contain_text("within the next 24 hours")
    expect(waiting.locator(".verdict")).to_have_text("approved")
    waiting.get_by_role("button", name="Deny").click()
    sure(page, "Deny")
    expect(waiting.locator(".verdict")).to_have_text("denied")
    assert [decision for decision, *_ in site.face.enrolments.decided] == ["approve", "deny"]
    assert [line for line in console if "409" not in line] == []


def test_an_enrolled_device_is_revoked_after_a_question_by_an_admin_alone(site, shown):
    fill_all(site)
    page = shown("enrolment", "the-operate-token")
    keys = [each.get_attribute("data-key") for each in page.locator("#list tr").all()]
    assert keys == ["pi-9", "pi-8"]
    assert page.locator("#list button").count() == 0
    page = shown("enrolment")
    row(page, "pi-8").get_by_role("button", name="Revoke").click()
    sure(page, "Revoke")
    expect(row(page, "pi-8").locator(".verdict")).to_have_text("denied")


def test_a_roster_is_pasted_and_faults_are_told_by_their_lines(site, shown, console):
    page = shown("rosters")
    expect(page.locator("#none")).to_contain_text("There is no roster yet.")
    page.get_by_text("Set a roster").click()
    page.get_by_label("Site").fill("harbour")
    page.locator("#edit-serials").fill("gw-7\npi 1\n\ngw-7")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#edit-problem")).to_contain_text("Line 2: “pi 1” is no serial number")
    expect(page.locator("#edit-problem")).to_contain_text("Line 4: gw-7 stands in line 1 already.")
    assert site.face.groups.sites == {}
    page.locator("#edit-serials").fill(" gw-7 \r\nplc-07\n")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#toast")).to_have_text("2 devices are expected at harbour.")
    assert site.face.groups.sites == {"harbour": ("gw-7", "plc-07")}
    roll = page.locator('[data-key="harbour"]')
    expect(roll).to_contain_text("2 declared")
    roll.get_by_text("Who is where").click()
    expect(roll.locator('[data-key="silent"]').first).to_contain_text("plc-07 never heard of")
    roll.get_by_role("button", name="Change the roster").click()
    expect(page.locator("#edit-serials")).to_have_value("gw-7\nplc-07")
    roll.get_by_role("button", name="Delete the roster").click()
    sure(page, "Delete")
    expect(page.locator("#none")).to_be_visible()
    assert console == []


def test_what_a_roster_says_is_told_in_counts_and_lists(site, shown):
    entry = {"presence": "online", "since_us": NOW, "last_seen_us": NOW, "label": "Gate", "site": "plant-2"}
    counts = {"healthy": 1, "silent": 0, "unknown": 0, "elsewhere": 1, "undeclared": 0}
    lists = {state: [{"serial": f"pi-{state}"} | entry] if count else [] for state, count in counts.items()}
    groups = site.face.groups
    groups.rosters = lambda: [{"site": "harbour", "source": "configuration", "declared": 2, "counts": counts}]
    groups.roster = lambda name: {"site": name, "source": "configuration", "declared": 2} | lists
    page = shown("rosters")
    roll = page.locator('[data-key="harbour"]')
    expect(roll.locator(".counts-of .verdict")).to_have_text(["1 healthy", "1 elsewhere"])
    expect(roll).to_contain_text("It stands in the configuration")
    expect(roll.locator(".buttons")).to_be_hidden()
    roll.get_by_text("Who is where").click()
    expect(roll.get_by_role("link", name="pi-elsewhere")).to_have_attribute("href", "/devices/pi-elsewhere")
    expect(roll).to_contain_text("Gate · online · plant-2")


def test_a_group_is_made_by_rule_and_hand_changed_and_deleted(site, shown, console):
    page = shown("groups")
    page.get_by_text("Make a group").click()
    page.get_by_label("Group", exact=True).fill("pumps")
    page.locator("#rule-site").fill("plant-*")
    page.locator("#rule-labels").fill("zone")
    page.locator("#edit-members").fill("gw-7\npi-1")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#edit-problem")).to_have_text("“zone” is no label: write key=value.")
    page.locator("#rule-labels").fill("zone=north")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#toast")).to_have_text("The group pumps is saved.")
    made = site.face.groups.told[-1][1]
    assert (made["rule"].site, made["rule"].labels, made["members"]) == ("plant-*", {"zone": "north"}, ("gw-7", "pi-1"))
    pumps = row(page, "pumps")
    expect(pumps.locator(".rule")).to_contain_text("by the rule: Site plant-*")
    pumps.get_by_text("Who is in it").click()
    expect(pumps.locator(".how-many")).to_have_text("2 devices, 1 online")
    expect(pumps.locator(".serials li")).to_have_count(2)
    pumps.get_by_role("button", name="Change the group").click()
    expect(page.locator("#edit-members")).to_have_value("gw-7\npi-1")
    page.locator("#edit-description").fill("hall 2")
    page.get_by_role("button", name="Save").click()
    expect(pumps.locator(".description")).to_have_text("hall 2")
    assert site.face.groups.told[-1][0] == "change"
    pumps.get_by_role("button", name="Delete the group").click()
    sure(page, "Delete")
    expect(page.locator("#none")).to_contain_text("There is no group yet.")
    assert console == []


def test_what_the_server_refuses_of_a_form_is_told_in_it(site, shown):
    site.face.groups.create(group("pumps", members=()), "admin ops", "")
    page = shown("groups")
    page.get_by_text("Make a group").click()
    page.get_by_label("Group", exact=True).fill("pumps")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#edit-problem")).to_have_text("there is a group pumps already")


def test_a_server_that_is_away_or_a_proxy_that_speaks_for_it_is_told_in_words_of_the_page(site, shown, page):
    shown("groups")
    page.get_by_text("Make a group").click()
    page.get_by_label("Group", exact=True).fill("pumps")
    save, problem = page.get_by_role("button", name="Save"), page.locator("#edit-problem")
    page.route("**/api/groups", lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Bad"))
    save.click()
    expect(problem).to_have_text("This is no answer of Muster, but of something before it (HTTP 502).")
    page.unroute("**/api/groups")
    site.ref.stop()
    save.click()
    expect(problem).to_have_text("The server cannot be reached.")


def deed(**fields):
    known = {"who": "admin ops", "address": "192.0.2.7", "action": "post_api_tokens", "subject": "4", "status": 201}
    return known | {"details": {"role": "read"}} | fields


def test_the_audit_log_tells_who_has_changed_what_and_is_narrowed_by_a_click(site, shown, console):
    page = shown("audit")
    expect(row(page, 1)).to_be_visible()
    site.face.audit.rows[:] = [deed(id=1), deed(id=2, who="", action="post_api_login", status=401, details={})]
    page.reload()
    expect(row(page, 2)).to_contain_text("nobody known")
    expect(row(page, 2).locator(".verdict")).to_have_text("refused")
    expect(row(page, 1)).to_contain_text("from 192.0.2.7")
    row(page, 1).get_by_text("Details").click()
    expect(row(page, 1).locator("pre")).to_contain_text('"role": "read"')
    row(page, 1).get_by_role("link", name="admin ops").click()
    expect(page.locator("#who")).to_have_value("admin ops")
    expect(page.locator("#live")).to_have_text("live")
    expect(row(page, 1)).to_be_visible()
    assert site.face.audit.asked["who"] == "admin ops"
    page.locator("#outcome").select_option("failed")
    expect(page).to_have_url(re.compile("outcome=failed"))
    page.locator("#action").focus()
    expect(page.locator('#actions option[value="post_api_tokens"]')).to_have_count(1)
    assert console == []


def test_the_fleet_s_key_is_changed_after_a_question_and_the_new_one_told_once(site, shown, console):
    page = shown("access")
    expect(page.locator("#access-facts")).to_contain_text("its plugin for dynamic security")
    page.get_by_label("What was good before stays good").select_option("86400")
    page.get_by_role("button", name="New fleet key").click()
    sure(page, "New fleet key")
    expect(page.locator("#made code")).to_have_text("the next key of the fleet")
    expect(page.locator("#toast")).to_have_text("The fleet has a new key.")
    page.get_by_label("Which devices").fill("pi-1, pi-2")
    page.get_by_role("button", name="New passwords of devices").click()
    sure(page, "New passwords")
    expect(page.locator('[data-order="devices"] .result')).to_have_text("2 devices have to fetch new passwords.")
    page.get_by_role("button", name="End the shared user").click()
    sure(page, "End the shared user")
    expect(page.locator("#toast")).to_have_text("The shared user is gone.")
    assert site.face.access.asked == [("fleet_key", 86400), (("devices", "pi-1", "pi-2"), 86400), ("retire", None)]
    assert console == []


def test_a_broker_that_is_not_ours_and_a_refusal_are_told(site, shown):
    site.face.access.refusal = "no key was configured: there is none to rotate"
    page = shown("access")
    page.get_by_role("button", name="New fleet key").click()
    sure(page, "New fleet key")
    expect(page.locator("#toast")).to_have_text("no key was configured: there is none to rotate")
    status = site.face.access.status()
    site.face.access.status = lambda: status | {"mechanism": "none"}
    page.reload()
    expect(page.locator("#access-problem")).to_contain_text("not Muster's to manage")
    expect(page.locator("#access-known")).to_be_hidden()


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_can_be_used_by_everybody_at_every_width(site, shown, page, console, tab):
    fill_all(site)
    site.face.fleet.put(view("x" * 64))
    shown(tab)
    for each in page.locator("#settings details").all():
        each.evaluate("each => { each.open = true; }")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert serious(page) == []
    for width in (1280, 768, 360):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert console == []


def test_on_a_phone_a_time_of_the_audit_log_is_seen_whole(site, shown, page):
    page.set_viewport_size({"width": 360, "height": 740})
    shown("audit")
    for field in ("#since", "#until"):
        assert page.locator(field).bounding_box()["width"] > 200, "a date and a time"


def test_in_italian_nothing_is_left_in_english(site, shown, page):
    page.set_extra_http_headers({"Accept-Language": "it"})
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}/settings?tab=tokens")
    expect(page.locator("#tabs [aria-current]")).to_have_text("Token")
    expect(page.locator("#none")).to_contain_text("Non ci sono ancora token.")
    expect(page.get_by_role("link", name="Accesso al broker")).to_be_visible()
