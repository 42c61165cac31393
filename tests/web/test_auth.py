"""Who may do what: tokens, sessions, other sites, limits."""

from __future__ import annotations

import pytest

from actors.runtime import ManualClock
from tests.web.fakes import Client, make_face, view
from web.app import ROUTES
from web.limits import Rate, RateLimiter, Rates
from web.sessions import IDLE, LIFETIME, SAVE_EVERY, Credential, SessionStore, digest

OPEN = {
    "/api/health",
    "/health",
    "/api/login",
    "/api/logout",
    "/",
    "/api/register_device",
    "/scans",
    "/alarms",
    "/notifications",
    "/hardware",
    "/updates",
    "/supervision",
    "/dead-letters",
    "/settings",
    "/reference",
    "/devices/<serial>",
    "/login",
    "/favicon.ico",
    "/static/core/icon.svg",
    "/static/login/page.js",
    "/static/core/theme.js",
    "/static/core/style.css",
    "/static/core/parts.css",
    "/static/core/narrow.css",
    "/static/login/page.css",
}


def url_of(route):
    path = route.path.replace("<path:path>", "links/local.data").replace("<action:re:[a-z]+>", "restart")
    return (
        path.replace("<serial>", "pi-1")
        .replace("<letter>", "7")
        .replace("<token>", "1")
        .replace("<name>", "x")
        .replace("<name:path>", "fleet/page.js")
    )


def logged_in(face=None):
    client = Client(face or make_face(view("pi-1")), token=None)
    assert client.post("/api/login", {"token": "the-operate-token"}).status == 200
    return client


def test_the_routes_that_are_open_are_these_and_no_other():
    assert {route.path for route in ROUTES if route.access == "open"} == OPEN


@pytest.mark.parametrize("route", [r for r in ROUTES if r.access != "open"], ids=lambda r: f"{r.method} {r.path}")
def test_without_a_token_a_route_that_is_not_open_answers_401(route):
    client = Client(make_face(view("pi-1")), token=None)
    answer = client.call(route.method, url_of(route))
    assert answer.status == 401
    assert answer.error["code"] == "unauthenticated"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "route",
    [r for r in ROUTES if r.access != "open" and not (r.speaks and r.access == "read")],
    ids=lambda r: f"{r.method} {r.path}",
)
def test_a_role_below_the_routes_is_refused(route):
    below = {"read": "device", "operate": "read", "admin": "operate"}[route.access]
    client = Client(make_face(view("pi-1"), view("pi-2")), token=f"the-{below}-token")
    answer = client.call(route.method, url_of(route).replace("pi-1", "pi-2"))
    assert answer.status == 403
    assert answer.error["details"] == {"needed": route.access}


@pytest.mark.parametrize("header", ["Bearer wrong", "Basic dGhl", "Bearer", "Bearer \xff", "Bearer " + "x" * 600])
def test_a_token_that_is_none_of_ours_is_refused_even_where_nothing_is_asked(header):
    client = Client(make_face(), token=None)
    assert client.get("/api/health", HTTP_AUTHORIZATION=header).status == 401


def test_a_wrong_token_is_not_excused_by_a_good_cookie():
    assert logged_in().get("/api/devices", HTTP_AUTHORIZATION="Bearer wrong").status == 401


def test_a_device_sees_itself_and_nothing_else():
    client = Client(make_face(view("pi-1"), view("pi-2")), token="the-device-token")
    assert client.get("/api/devices/pi-1").json["serial"] == "pi-1"
    assert client.get("/api/devices/pi-1/sensors").status == 200
    assert client.get("/api/devices/pi-2").status == 403
    assert client.get("/api/devices").status == 403
    assert client.call("PATCH", "/api/devices/pi-1", {"label": "x"}).status == 403


def test_a_login_gives_a_cookie_that_scripts_and_other_sites_cannot_use():
    client = Client(make_face(), token=None)
    answer = client.post("/api/login", {"token": "the-read-token"})
    assert answer.json == {"role": "read"}
    attributes = answer.headers["Set-Cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(attributes)
    assert "Secure" not in attributes
    assert client.get("/api/session").json["role"] == "read"


def test_under_tls_the_cookie_is_secure():
    answer = Client(make_face(), token=None).post(
        "/api/login", {"token": "the-read-token"}, **{"wsgi.url_scheme": "https"}
    )
    assert answer.headers["Set-Cookie"].endswith("; Secure")


def test_a_wrong_token_opens_no_session():
    client = Client(make_face(), token=None)
    answer = client.post("/api/login", {"token": "wrong"})
    assert (answer.status, answer.error["code"], client.cookie) == (401, "unauthenticated", "")


def test_a_devices_token_does_not_open_the_page():
    assert Client(make_face(), token=None).post("/api/login", {"token": "the-device-token"}).status == 403


def test_a_page_key_opens_the_page_more_than_once():
    for _ in range(2):
        client = Client(make_face(), token=None)
        answer = client.get("/login?key=the-page-key")
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        assert client.get("/").status == 200


def test_a_page_key_that_is_not_valid_shows_the_login():
    answer = Client(make_face(), token=None).get("/login?key=wrong")
    assert answer.status == 401
    assert b"<form" in answer.body
    assert "Set-Cookie" not in answer.headers


def test_the_page_sends_those_without_a_session_to_the_login():
    answer = Client(make_face(), token=None).get("/")
    assert (answer.status, answer.headers["Location"]) == (303, "/login")


def test_a_revoked_token_ends_its_session_at_once():
    face = make_face()
    client = logged_in(face)
    assert client.get("/api/links").status == 200
    del face.tokens.known["the-operate-token"]
    assert client.get("/api/links").status == 401


def test_a_change_by_cookie_needs_our_header_or_the_same_origin():
    client = logged_in()
    url = "/api/links/local.data/reconnect"
    refused = client.post(url)
    assert (refused.status, refused.error["code"]) == (403, "forbidden")
    assert client.post(url, HTTP_SEC_FETCH_SITE="cross-site").status == 403
    assert client.post(url, HTTP_SEC_FETCH_SITE="cross-site", HTTP_X_MUSTER_CSRF="1").status == 403
    assert client.face.links.reconnected == []
    assert client.post(url, HTTP_SEC_FETCH_SITE="same-origin").status == 202
    assert client.post(url, HTTP_X_MUSTER_CSRF="1").status == 202


def test_a_token_needs_no_header_against_other_sites():
    assert Client(make_face()).post("/api/links/local.data/reconnect").status == 202


def test_another_site_cannot_log_a_browser_in():
    client = Client(make_face(), token=None)
    answer = client.post("/api/login", {"token": "the-read-token"}, HTTP_SEC_FETCH_SITE="cross-site")
    assert (answer.status, client.cookie) == (403, "")


def test_logging_out_ends_the_session_and_not_only_the_cookie():
    client = logged_in()
    cookie = client.cookie
    assert client.post("/api/logout").status == 403
    assert client.post("/api/logout", HTTP_X_MUSTER_CSRF="1").status == 204
    client.cookie = cookie
    assert client.get("/api/session").status == 401


def test_a_cookie_header_that_cannot_be_read_is_no_session():
    client = Client(make_face(), token=None)
    for cookie in ("\x00;;=", "muster_5000", "muster_5000=" + "x" * 600):
        assert client.get("/api/session", HTTP_COOKIE=cookie).status == 401


def test_servers_on_two_ports_of_one_host_keep_their_sessions_apart():
    client = logged_in()
    assert client.get("/api/session", SERVER_PORT="5001").status == 401
    assert client.get("/api/session").status == 200


def test_sessions_end_when_idle_and_after_their_lifetime():
    store = SessionStore()
    cookie = store.open("token", "secret", now=0.0)
    assert store.find(cookie, IDLE) is not None
    assert store.find(cookie, 2 * IDLE + 1) is None
    cookie, now = store.open("token", "secret", now=0.0), 0.0
    while now <= LIFETIME:
        assert store.find(cookie, now) is not None
        now += IDLE / 2
    assert store.find(cookie, now) is None
    assert len(store) == 0


def test_sessions_outlive_a_restart_and_no_secret_does():
    saved, clock = [], ManualClock()
    store = SessionStore(save=saved.append, wall=clock.time)
    cookie = store.open("token", "the-secret", clock.monotonic())
    gone = store.open("key", "the-key", clock.monotonic())
    store.close(gone, clock.monotonic())
    clock.advance(60)
    later = SessionStore(wall=clock.time)
    assert later.restore(saved[-1], now=5.0) == 1, "the monotonic clock begins anew with the machine"
    found = later.find(cookie, 5.0)
    assert (found.source, found.proof) == ("token", digest("the-secret"))
    assert found.opened_at == pytest.approx(-55.0, abs=0.01)
    assert later.find(gone, 5.0) is None
    assert not any(secret in kept for kept in saved for secret in (b"the-secret", b"the-key", cookie.encode()))


def test_a_restart_gives_no_session_more_time():
    saved, clock = [], ManualClock()
    store = SessionStore(save=saved.append, wall=clock.time)
    cookie = store.open("key", "a", clock.monotonic())
    later = SessionStore(wall=clock.time)
    later.restore(saved[-1], clock.monotonic())
    assert later.find(cookie, clock.monotonic() + IDLE + 1) is None
    back = SessionStore(wall=lambda: clock.time() - 10 * LIFETIME)
    back.restore(saved[-1], now=7.0)
    assert back.find(cookie, 7.0 + IDLE + 1) is None


def test_that_a_session_is_in_use_is_kept_now_and_then():
    saved = []
    store = SessionStore(save=saved.append)
    cookie = store.open("token", "a", 0.0)
    for now in (1.0, SAVE_EVERY, SAVE_EVERY + 1, SAVE_EVERY + 2):
        store.find(cookie, now)
    assert len(saved) == 2


def test_the_session_unused_for_longest_makes_room():
    store = SessionStore(capacity=2)
    first, second = store.open("token", "a", 0.0), store.open("token", "b", 0.0)
    store.find(first, 1.0)
    store.open("token", "c", 2.0)
    assert store.find(first, 3.0) is not None
    assert store.find(second, 3.0) is None


def test_guessing_at_the_login_is_slowed_down_and_later_let_in_again():
    clock = ManualClock()
    client = Client(make_face(clock=clock), token=None)
    statuses = [client.post("/api/login", {"token": f"guess-{n}"}).status for n in range(11)]
    assert statuses == [401] * 10 + [429]
    refused = client.post("/api/login", {"token": "the-read-token"})
    assert int(refused.headers["Retry-After"]) >= 1
    assert client.get("/login?key=the-page-key").status == 429
    assert client.post("/api/login", {"token": "the-read-token"}, REMOTE_ADDR="192.0.2.8").status == 200
    clock.advance(6)
    client.cookie = ""
    assert client.post("/api/login", {"token": "the-read-token"}).status == 200


def test_tokens_that_are_none_of_ours_are_counted_by_client():
    client = Client(make_face(), token="wrong", rates=Rates(refused=Rate(1, 3)))
    assert [client.get("/api/devices").status for _ in range(4)] == [401, 401, 401, 429]
    client.token = "the-read-token"
    assert client.get("/api/devices").status == 200


def test_each_token_has_a_limit_of_its_own():
    client = Client(make_face(), rates=Rates(token=Rate(1, 2)))
    assert [client.get("/api/devices").status for _ in range(3)] == [200, 200, 429]
    client.token = "the-read-token"
    assert client.get("/api/devices").status == 200


def test_requests_without_a_token_are_limited_by_client():
    client = Client(make_face(), token=None, rates=Rates(client=Rate(1, 2)))
    assert [client.get("/api/health").status for _ in range(3)] == [200, 200, 429]
    assert client.get("/api/health", REMOTE_ADDR="192.0.2.8").status == 200


@pytest.mark.parametrize(
    ("others", "status"),
    [
        ("2001:db8:1:2:ffff::9", 429),
        ("2001:db8:1:2::1%eth0", 429),
        ("2001:db8:1:3::1", 401),
        ("198.51.100.1", 401),
        ("nonsense", 401),
    ],
)
def test_all_addresses_of_an_ipv6_network_are_one_client(others, status):
    client = Client(make_face(), token=None, rates=Rates(login=Rate(0.1, 2)))
    guesses = [client.post("/api/login", {"token": "x"}, REMOTE_ADDR=f"2001:db8:1:2::{n}").status for n in range(3)]
    assert guesses == [401, 401, 429]
    assert client.post("/api/login", {"token": "x"}, REMOTE_ADDR=others).status == status


def test_an_ipv4_client_is_the_same_on_a_socket_for_both():
    client = Client(make_face(), token=None, rates=Rates(login=Rate(0.1, 1)))
    assert client.post("/api/login", {"token": "x"}, REMOTE_ADDR="192.0.2.1").status == 401
    assert client.post("/api/login", {"token": "x"}, REMOTE_ADDR="::ffff:192.0.2.1").status == 429
    assert client.post("/api/login", {"token": "x"}, REMOTE_ADDR="::ffff:192.0.2.2").status == 401


def test_a_login_with_a_long_body_is_not_read():
    answer = Client(make_face(), token=None).post("/api/login", {"token": "x" * 5_000})
    assert (answer.status, answer.error["details"]) == (413, {"limit": 4096})


def test_a_bucket_refills_no_higher_than_its_burst_and_names_the_wait():
    limiter = RateLimiter(Rate(per_second=2.0, burst=3.0))
    assert [limiter.take("a", 0.0) for _ in range(3)] == [0.0] * 3
    assert limiter.take("a", 0.0) == pytest.approx(0.5)
    assert [limiter.take("a", 100.0) > 0 for _ in range(4)] == [False, False, False, True]


def test_the_table_of_buckets_is_bounded():
    limiter = RateLimiter(Rate(per_second=1.0, burst=1.0), capacity=10)
    for number in range(1000):
        limiter.take(str(number), 0.0)
    assert len(limiter._buckets) == 10


def test_a_device_credential_without_a_serial_sees_nothing():
    face = make_face(view("pi-1"))
    face.tokens.known["odd"] = Credential("device", None)
    client = Client(face, token="odd")
    assert client.get("/api/devices/pi-1").status == 403
    # No route without a serial is anybody's own: None is not equal to None here.
    assert client.get("/api/devices").status == 403
