"""Every page of a real server with a living fleet, in a real browser: nothing to complain about, for anybody."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.support.axe import serious
from tests.support.muster import MusterUp
from tests.support.wait import eventually
from web.pages import PAGES

WITHIN = 20_000  # ms
MOST = 200_000  # bytes of a first view over the wire
SCHEMES = ("light", "dark")
SMALLEST = {"width": 360, "height": 740}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def up():
    with MusterUp("--demo") as server:
        eventually(lambda: server.health()["devices"]["online"] > 10, 60, "the fleet is there")
        eventually(lambda: server.items("/api/scans"), 60, "something has been scanned")
        yield server


@pytest.fixture(scope="module")
def serial(up):
    return next(item["serial"] for item in up.items("/api/devices") if item["kind"] == "raspberry_pi")


@pytest.fixture(scope="module")
def session(browser, up):
    """One login for all: how often somebody may try is limited."""
    with browser.new_context() as context:
        answer = context.request.post(
            f"http://{up.address}/api/login", data={"token": up.token}, headers={"X-Muster-CSRF": "1"}
        )
        assert answer.ok
        return context.storage_state()


@pytest.fixture
def visit(browser, up, serial, session):
    """`visit(page, **settings)`: a page of the face that is live, in a browser of its own; what it complained about."""
    opened = []

    def go(page, **settings):
        context = browser.new_context(storage_state=session, **settings)
        opened.append(context)
        context.set_default_timeout(WITHIN)
        tab, said = context.new_page(), []
        tab.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto(f"http://{up.address}{page.path.replace('<serial>', serial)}")
        expect(tab.locator("#live")).to_have_attribute("data-state", "live", timeout=WITHIN)
        tab.wait_for_load_state("load")
        return tab, said

    yield go
    for context in opened:
        context.close()


EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.area)


@EACH_PAGE
@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_serious_and_the_console_is_quiet(visit, page, scheme):
    tab, said = visit(page, color_scheme=scheme)
    expect(tab.locator("main")).not_to_have_text("")
    assert serious(tab) == []
    assert said == []


@EACH_PAGE
@pytest.mark.parametrize("locale", ["en-GB", "it-IT"])
def test_at_360_pixels_nothing_is_cut_off_in_either_language(visit, page, locale):
    tab, said = visit(page, viewport=SMALLEST, locale=locale)
    expect(tab.locator("html")).to_have_attribute("lang", locale[:2])
    assert tab.evaluate("document.documentElement.scrollWidth") <= SMALLEST["width"]
    assert said == []


@EACH_PAGE
def test_the_keyboard_leads_first_to_the_content(visit, page):
    tab, _ = visit(page)
    tab.keyboard.press("Tab")
    expect(tab.locator(".skip")).to_be_focused()
    tab.keyboard.press("Enter")
    assert tab.evaluate("location.hash") == "#main"


def test_the_login_page_is_for_everybody_too(browser, up):
    for scheme in SCHEMES:
        with browser.new_context(color_scheme=scheme, viewport=SMALLEST, locale="it-IT") as context:
            tab = context.new_page()
            tab.goto(f"http://{up.address}/login")
            expect(tab.get_by_label("Token di accesso")).to_be_focused()
            assert serious(tab) == []


@EACH_PAGE
def test_a_first_view_is_small(browser, up, page, serial, session):
    with browser.new_context(storage_state=session) as context:
        tab = context.new_page()
        wire = context.new_cdp_session(tab)
        wire.send("Network.enable")
        sizes = []
        wire.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
        tab.goto(f"http://{up.address}{page.path.replace('<serial>', serial)}")
        expect(tab.locator("#live")).to_have_attribute("data-state", "live", timeout=WITHIN)
        tab.wait_for_load_state("load")
        assert sizes
        assert sum(sizes) < MOST


def test_light_dark_and_the_language_are_chosen_and_kept(visit):
    tab, said = visit(PAGES[0], color_scheme="light", locale="en-GB")
    ground = "getComputedStyle(document.body).backgroundColor"
    bright = tab.evaluate(ground)
    tab.locator("#menu summary").click()
    tab.locator("#theme").select_option("dark")
    assert tab.evaluate(ground) != bright
    tab.locator("#language").select_option("it")
    expect(tab.locator("html")).to_have_attribute("lang", "it")
    expect(tab.locator('nav a[aria-current="page"]')).to_have_text("Flotta")
    assert tab.evaluate(ground) != bright, "the choice outlives a reload"
    assert said == []


def test_a_wrong_token_is_refused_and_the_right_one_lets_in(browser, up):
    with browser.new_context(locale="en-GB") as context:
        tab = context.new_page()
        tab.goto(f"http://{up.address}/supervision")
        tab.get_by_label("Access token").fill("not-a-token")
        tab.get_by_role("button", name="Log in").click()
        expect(tab.locator("#problem")).not_to_be_empty()
        expect(tab).to_have_url(f"http://{up.address}/login?next=%2Fsupervision")
        tab.get_by_label("Access token").fill(up.token)
        tab.get_by_role("button", name="Log in").click()
        expect(tab).to_have_url(f"http://{up.address}/supervision")
