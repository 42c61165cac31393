"""What the gate writes into the audit log, and `GET /api/audit`."""

from __future__ import annotations

import pytest

from tests.web.fakes import Client, make_face, view
from tests.web.test_auth import url_of
from web.app import ROUTES
from web.proxies import Proxies


@pytest.fixture
def client():
    return Client(make_face(view("pi-1")))


def last(client):
    return client.face.audit.rows[-1] if client.face.audit.rows else None


def test_a_change_is_kept_with_who_what_and_from_where(client):
    assert client.call("DELETE", "/api/devices/pi-1").status == 204
    assert last(client) == {
        "who": "admin ops",
        "address": "192.0.2.7",
        "action": "delete_api_devices_serial",
        "subject": "pi-1",
        "status": 204,
        "details": {},
    }


def test_a_token_that_is_made_is_kept_without_its_text(client):
    made = client.post("/api/tokens", {"name": "grafana", "role": "device", "serial": "pi-1"}).json
    assert (last(client)["action"], last(client)["subject"]) == ("post_api_tokens", "pi-1")
    assert last(client)["details"] == {"id": 1, "role": "device", "serial": "pi-1", "expires_in": None}
    assert made["token"] not in str(client.face.audit.rows)


def test_looking_changes_nothing_and_is_not_kept(client):
    for url in ("/api/devices", "/api/health", "/api/nothing", "/login", "/"):
        client.get(url)
    client.call("PUT", "/api/devices")
    assert client.face.audit.rows == []


def test_what_came_to_nothing_is_no_change(client):
    assert client.call("DELETE", "/api/devices/pi-9").status == 404
    assert client.post("/api/devices", {"serial": "a b"}).status == 400
    assert client.face.audit.rows == []


def test_what_devices_send_is_no_change_of_anybodys(client):
    reading = {"publisher_id": "pi-1", "sensor_readings": {"pH": 6.5}}
    assert client.post("/api/soil-health/analyze", reading).status in (200, 201)
    assert client.face.audit.rows == []


def test_a_right_that_is_refused_is_kept_of_any_method(client):
    client.token = "the-device-token"
    assert client.get("/api/tokens").status == 403
    assert (last(client)["who"], last(client)["action"], last(client)["status"]) == (
        "device pi-1",
        "get_api_tokens",
        403,
    )
    client.token = "the-read-token"
    assert client.call("DELETE", "/api/devices/pi-1").status == 403
    assert (last(client)["who"], last(client)["subject"]) == ("read", "pi-1")


def test_a_token_that_is_none_of_ours_is_kept_and_none_at_all_is_not(client):
    client.token = "wrong"
    assert client.get("/api/devices").status == 401
    assert (last(client)["who"], last(client)["status"]) == ("", 401)
    assert "wrong" not in str(client.face.audit.rows)
    client.token = None
    assert client.get("/api/devices").status == 401
    assert len(client.face.audit.rows) == 1


def test_logins_are_kept_whether_they_were_let_in_or_not():
    client = Client(make_face(), token=None)
    client.post("/api/login", {"token": "wrong"})
    client.post("/api/login", {"token": "the-admin-token"})
    client.post("/api/logout", HTTP_X_MUSTER_CSRF="1")
    client.cookie = ""
    client.get("/login?key=wrong")
    client.get("/login?key=the-page-key")
    assert [(row["who"], row["action"], row["status"]) for row in client.face.audit.rows] == [
        ("", "post_api_login", 401),
        ("admin ops", "post_api_login", 200),
        ("admin ops", "post_api_logout", 204),
        ("", "get_login", 401),
        ("admin", "get_login", 303),
    ]


def test_a_change_that_another_site_has_tried_is_kept():
    client = Client(make_face(), token=None)
    client.post("/api/login", {"token": "the-operate-token"})
    client.post("/api/links/local.data/reconnect", HTTP_SEC_FETCH_SITE="cross-site")
    assert (last(client)["who"], last(client)["status"]) == ("operate", 403)


def test_behind_a_proxy_the_address_is_that_of_the_client():
    client = Client(make_face(view("pi-1")), proxies=Proxies(["192.0.2.7"]))
    client.call("DELETE", "/api/devices/pi-1", HTTP_X_FORWARDED_FOR="198.51.100.1")
    assert last(client)["address"] == "198.51.100.1"


def test_of_an_upload_the_piece_that_makes_it_a_release_is_kept(client):
    path = client.post("/api/releases/uploads", {"size": 12, "sha256": "c" * 64, "name": "x"}).headers["Location"]
    kept = len(client.face.audit.rows)
    assert client.call("PATCH", path, body=b"a piece", HTTP_UPLOAD_OFFSET="3").status == 200
    assert len(client.face.audit.rows) == kept
    assert client.call("PATCH", path, body=b"the end", HTTP_UPLOAD_OFFSET="3").json["release"] == "1.2"
    assert (last(client)["action"], last(client)["details"]) == (
        "patch_api_releases_uploads_upload",
        {"release": "1.2"},
    )


@pytest.mark.parametrize(("error", "status"), [(TimeoutError(), 503), (RuntimeError("a bug"), 500)])
def test_a_change_that_failed_is_kept_since_it_may_have_been_done_all_the_same(client, monkeypatch, error, status):
    def delete(_serial):
        raise error

    monkeypatch.setattr(client.face.fleet, "delete", delete)
    assert client.call("DELETE", "/api/devices/pi-1").status == status
    assert (last(client)["who"], last(client)["subject"], last(client)["status"]) == ("admin ops", "pi-1", status)
    assert client.get("/api/audit").json["items"][0]["outcome"] == "failed"


CHANGES = [route for route in ROUTES if route.is_audited and route.access not in ("open", "read")]


@pytest.mark.parametrize("route", CHANGES, ids=lambda route: route.operation)
def test_every_route_that_changes_something_keeps_who_was_refused(route):
    client = Client(make_face(view("pi-1")), token="the-read-token")
    assert client.call(route.method, url_of(route)).status == 403
    assert (last(client)["who"], last(client)["action"]) == ("read", route.operation)


def test_the_routes_that_change_something_and_are_not_kept_are_these():
    left_out = {route.path for route in ROUTES if route.method not in ("GET", "HEAD") and not route.is_audited}
    assert left_out == {
        "/api/soil-health/analyze",
        "/api/scans",
        "/api/register_device",
        "/api/ota/update_status",
    }


def test_the_log_is_listed_with_its_filters(client):
    client.call("DELETE", "/api/devices/pi-1")
    (entry,) = client.get("/api/audit?who=admin+ops&subject=pi-1&outcome=done&since=2023-01-01T00:00:00Z").json["items"]
    assert entry["ts"] == "2023-11-14T22:13:20.000Z"
    assert (entry["outcome"], entry["repeated"], entry["details"]) == ("done", 0, {})
    assert client.face.audit.asked == {
        "who": "admin ops",
        "action": None,
        "subject": "pi-1",
        "outcome": "done",
        "since_us": 1_672_531_200_000_000,
        "until_us": None,
    }


@pytest.mark.parametrize(
    ("query", "field"), [("outcome=x", "outcome"), ("cursor=x", "cursor"), ("limit=0", "limit"), ("whom=x", "whom")]
)
def test_a_question_to_the_log_that_makes_no_sense_is_refused(client, query, field):
    answer = client.get(f"/api/audit?{query}")
    assert (answer.status, answer.error["details"]) == (400, {"field": field})


def test_the_log_is_for_admins():
    assert Client(make_face(), token="the-operate-token").get("/api/audit").status == 403
