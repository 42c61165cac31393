"""The event stream of a page in a real Chromium: cut, asleep, out of sight, behind, and what is said of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.support.wait import eventually, throughout
from tests.web.fakes import view

FOLLOW = """async ({ kinds, device, since }) => {
  const { follow } = await import("/static/core/live.js");
  Object.assign(window, { events: [], batches: 0, resyncs: 0, states: [] });
  follow({
    kinds, device, since,
    onEvent: (kind, data) => events.push([kind, data]),
    onBatch: () => { window.batches += 1; },
    onResync: () => { window.resyncs += 1; },
    onState: (state) => states.push(state),
  });
}"""
NO_PAUSES = """() => {
  window.pauses = [];
  const set = setTimeout;
  window.setTimeout = (action, pause) => {
    pauses.push(pause);
    return set(action, 0);
  };
}"""
OUT_OF_SIGHT = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


class Follower:
    """A page that does nothing but follow events."""

    def __init__(self, site, page):
        self.site = site
        self.page = page
        # A document of this origin without a stream of its own, and none before it.
        page.request.get(f"{site.url}/login?key=the-page-key")
        page.goto(f"{site.url}/api/session")

    def follow(self, *kinds, device="", since=None):
        ring = self.site.face.ring
        given = ring.event_id(ring.last) if since is None else since
        self.page.evaluate(FOLLOW, {"kinds": list(kinds), "device": device, "since": given})
        eventually(lambda: self.states[-1:] == ["live"], what="the stream")
        return self

    def hide(self):
        self.page.evaluate(OUT_OF_SIGHT, True)

    def show(self):
        self.page.evaluate(OUT_OF_SIGHT, False)

    def read(self, name):
        return self.page.evaluate(name)

    @property
    def states(self):
        return self.read("states")

    @property
    def resyncs(self):
        return self.read("resyncs")

    def numbers(self):
        return [data["n"] for _, data in self.read("events")]

    def gets(self, *numbers):
        eventually(lambda: self.numbers() == list(numbers), what="the events")


@pytest.fixture
def follower(site, page):
    return Follower(site, page)


def publish(site, number, kind="scan", key="pi-1"):
    site.face.ring.publish(kind, key, {"n": number})


def ended(site):
    return site.face.http.streams_ended


def test_events_come_in_order_and_in_batches_of_a_frame(site, follower):
    follower.follow("scan")
    for number in range(1000):
        publish(site, number)
    follower.gets(*range(1000))
    # Four looks a second at most, and a few frames for each.
    assert follower.read("batches") < 100
    assert follower.resyncs == 0


def test_a_page_of_one_device_hears_of_no_other(site, follower):
    follower.follow("scan", device="pi-1")
    publish(site, 1, key="pi-2")
    publish(site, 2)
    follower.gets(2)


def test_what_happened_between_the_first_answer_and_the_stream_is_not_missed(site, follower):
    since = site.face.ring.event_id(site.face.ring.last)
    publish(site, 1)
    follower.follow("scan", since=since)
    follower.gets(1)
    assert follower.resyncs == 0


def test_who_does_not_know_where_he_is_fetches_everything(follower):
    follower.follow("scan", since="")
    eventually(lambda: follower.resyncs == 1, what="the resync")


# Cuts


def test_after_a_short_cut_follows_what_was_missed_and_nothing_is_fetched_anew(site, follower):
    follower.follow("scan")
    publish(site, 1)
    follower.gets(1)
    site.cut_streams()
    publish(site, 2)
    follower.gets(1, 2)
    assert follower.states == ["live", "reconnecting", "live"]
    assert follower.resyncs == 0


def test_a_page_that_has_heard_nothing_but_beats_knows_where_it_is(site, follower):
    follower.follow("alarm")
    for number in range(12_000):  # more than the ring keeps
        publish(site, number)
    site.restart()
    eventually(lambda: follower.resyncs == 1, what="the resync: the first beat is off the ring by now")
    site.cut_streams()
    publish(site, 7, kind="alarm")
    follower.gets(7)
    assert follower.resyncs == 1


def test_a_restart_of_the_http_server_misses_nothing(site, follower):
    follower.follow("scan")
    site.ref.stop()
    eventually(lambda: follower.states[-1] == "reconnecting", what="the mark")
    publish(site, 1)
    site.serve()
    follower.gets(1)
    assert follower.resyncs == 0


def test_another_process_is_noticed_and_everything_is_fetched_anew_once(site, follower):
    follower.follow("scan")
    site.become_another_process()
    eventually(lambda: follower.resyncs == 1, what="the resync")
    publish(site, 1)
    follower.gets(1)
    assert follower.resyncs == 1


def test_pages_do_not_come_back_in_one_instant(site, follower):
    follower.page.evaluate(NO_PAUSES)
    follower.follow("scan")
    for count in range(1, 6):
        site.cut_streams()
        seen = ["live", *["reconnecting", "live"] * count]
        eventually(lambda seen=seen: follower.states == seen, what="the next stream")
    pauses = follower.read("pauses.filter((ms) => ms >= 500)")
    assert len(pauses) == 5
    assert len(set(pauses)) == 5
    assert all(750 <= pause <= 2250 for pause in pauses)


# Sleep


def test_a_page_that_slept_trusts_no_old_connection_and_gets_what_it_missed(site, follower):
    follower.page.clock.install()
    follower.follow("scan")
    publish(site, 1)
    follower.gets(1)
    follower.page.clock.fast_forward(60_000)
    eventually(lambda: ended(site)["closed"] == 1, what="the end of the old stream")
    publish(site, 2)
    follower.gets(1, 2)
    assert follower.resyncs == 0


def test_a_page_that_was_frozen_is_right_when_it_thaws(site, follower):
    follower.follow("scan")
    session = follower.page.context.new_cdp_session(follower.page)
    session.send("Page.enable")
    session.send("Page.setWebLifecycleState", {"state": "frozen"})
    publish(site, 1)
    site.cut_streams()
    publish(site, 2)
    session.send("Page.setWebLifecycleState", {"state": "active"})
    follower.gets(1, 2)


def test_another_network_does_not_wait_for_the_next_attempt(site, follower):
    follower.page.clock.install()
    follower.follow("scan")
    site.ref.stop()
    follower.page.clock.run_for(40_000)
    eventually(lambda: follower.states[-1] == "stale", what="the mark")
    site.serve()
    follower.page.evaluate("dispatchEvent(new Event('online'))")
    eventually(lambda: follower.states[-1] == "live", what="the stream")


# Out of sight


def test_a_page_that_nobody_sees_draws_nothing_and_fetches_everything_when_it_is_seen(site, follower):
    follower.follow("scan")
    follower.hide()
    publish(site, 1)
    throughout(0.7, lambda: follower.numbers() == [], what="the peace")
    follower.show()
    eventually(lambda: follower.resyncs == 1, what="the resync")
    publish(site, 2)
    follower.gets(2)


def test_a_page_that_is_long_out_of_sight_leaves_its_place_to_others_and_comes_back(site, follower):
    follower.page.clock.install()
    follower.follow("scan")
    follower.hide()
    follower.page.clock.run_for(11_000)
    eventually(lambda: site.face.http.streams == 0, what="the free place")
    follower.show()
    eventually(lambda: site.face.http.streams == 1, what="the stream")
    publish(site, 1)
    follower.gets(1)


def test_a_page_that_opens_in_the_background_takes_no_connection_until_it_is_seen(site, follower):
    """A browser has six to a server: with as many streams in tabs behind this one it would open nothing more."""
    follower.hide()
    ring = site.face.ring
    follower.page.evaluate(FOLLOW, {"kinds": ["scan"], "device": "", "since": ring.event_id(ring.last)})
    throughout(0.7, lambda: site.face.http.streams == 0, what="the peace")
    publish(site, 1)
    follower.show()
    follower.gets(1)
    assert follower.resyncs == 1


def test_a_page_that_the_browser_keeps_for_the_way_back_is_live_again(site, follower):
    follower.follow("scan")
    follower.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    eventually(lambda: site.face.http.streams == 0, what="the free place")
    publish(site, 1)
    follower.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    follower.gets(1)


# What is said of it


def test_the_mark_tells_since_when_nothing_was_heard(site, page):
    page.clock.install(time=datetime(2026, 1, 31, 13, 3, 20, tzinfo=UTC))
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setTimezoneOverride", {"timezoneId": "Europe/Rome"})
    page.goto(f"{site.url}/login?key=the-page-key")
    mark = page.locator("#live")
    expect(mark).to_have_text("live")
    site.ref.stop()
    expect(mark).to_have_text("reconnecting")
    page.clock.run_for(40_000)
    expect(mark).to_have_text(re.compile(r"stale since 2:03:2\d\sPM"))
    site.serve()
    page.clock.run_for(20_000)
    expect(mark).to_have_text("live")


def test_the_number_of_alarms_in_the_title_is_kept_while_another_tab_is_looked_at(site, page):
    page.clock.install()
    page.goto(f"{site.url}/login?key=the-page-key")
    expect(page.locator("#live")).to_have_text("live")
    page.evaluate(OUT_OF_SIGHT, True)
    asked = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page.clock.run_for(25_000)
    eventually(lambda: page.title() and asked, what="a look")
    assert set(asked) == {"/api/alarms"}


def test_a_page_of_another_process_shows_what_changed(site, page):
    page.goto(f"{site.url}/login?key=the-page-key")
    expect(page.locator("#live")).to_have_text("live")
    site.face.fleet.put(view("pi-9", label="Came meanwhile"))
    site.become_another_process()
    expect(page.get_by_text("Came meanwhile")).to_be_visible(timeout=20_000)


def test_a_page_asks_for_everything_once_when_it_opens(site, page):
    page.goto(f"{site.url}/login?key=the-page-key")
    expect(page.locator("#live")).to_have_text("live")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/api/health" in request.url else None)
    page.reload()
    expect(page.locator("#live")).to_have_text("live")
    # A second time would come after half a second.
    throughout(1.0, lambda: len(asked) <= 2, what="the peace")


def test_a_page_that_is_opened_while_the_server_is_away_knows_who_looks_once_it_is_back(site, page):
    page.goto(f"{site.url}/login?key=the-page-key")
    expect(page.locator("#live")).to_have_text("live")
    role = page.locator("#role").text_content()
    assert role
    page.route("**/api/session", lambda route: route.abort(), times=2)
    page.reload()
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#role")).to_have_text(role)
