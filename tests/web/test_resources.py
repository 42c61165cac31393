"""Health, history, links, supervision, dead letters, resolver; and what all answers have in common."""

from __future__ import annotations

import dataclasses
import re
from importlib import resources

import pykka
import pytest

from actors.storage.errors import StoreUnavailable
from tests.web.fakes import NOON, Client, make_face, view
from web.pages import PAGES


def test_health_is_open_and_tells_the_state():
    client = Client(make_face(view("a"), view("b", "offline")), token=None)
    for path in ("/api/health", "/health"):
        answer = client.get(path)
        assert answer.status == 200
        assert answer.json["devices"] == {"total": 2, "online": 1, "offline": 1, "unknown": 0}


@pytest.mark.parametrize(("state", "status"), [("ok", 200), ("degraded", 200), ("failing", 503)])
def test_health_is_503_only_when_nothing_can_be_served(state, status):
    face = dataclasses.replace(make_face(), health=lambda: {"status": state})
    assert Client(face, token=None).get("/api/health").status == status


def test_metrics_are_passed_on_as_they_are():
    answer = Client(make_face()).get("/metrics")
    assert (answer.body, answer.headers["Content-Type"]) == (
        b"muster_up 1\n",
        "text/plain; version=0.0.4; charset=utf-8",
    )


def test_readings_are_asked_for_with_a_range_and_come_with_readable_times():
    client = Client(make_face(view("pi-1")))
    client.face.history.rows["readings"] = [{"ts_us": NOON, "rx_us": NOON + 5000, "measures": {"t": 21.5}}]
    url = "/api/devices/pi-1/readings?metric=t&since=2025-10-09T08:00:00Z&until=2025-10-09T12:00:00%2B02:00"
    assert client.get(url).json == {
        "items": [{"ts": "2025-10-09T08:53:20.000Z", "rx": "2025-10-09T08:53:20.005Z", "measures": {"t": 21.5}}],
        "cursor": None,
    }
    assert client.face.history.asked == {
        "serial": "pi-1",
        "metric": "t",
        "since_us": 1_759_996_800_000_000,
        "until_us": 1_760_004_000_000_000,
    }


def test_a_zone_whose_plus_was_not_escaped_is_understood():
    client = Client(make_face(view("pi-1")))
    client.get("/api/devices/pi-1/readings?since=2025-10-09T12:00:00+02:00")
    assert client.face.history.asked["since_us"] == 1_760_004_000_000_000


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("since=yesterday", "since"),
        ("until=2025-13-01T00:00:00Z", "until"),
        ("since=0001-01-01T00:00:00%2B14:00", "since"),
        ("since=2025-10-09T08:00:00Z&until=2025-10-09T08:00:00Z", "until"),
        ("cursor=made-up", "cursor"),
        ("limit=0", "limit"),
    ],
)
def test_a_range_that_cannot_be_meant_is_400_and_named(query, field):
    answer = Client(make_face(view("pi-1"))).get(f"/api/devices/pi-1/readings?{query}")
    assert (answer.status, answer.error["details"]) == (400, {"field": field})


@pytest.mark.parametrize("part", ["readings", "events", "sensors"])
def test_history_of_a_device_that_is_not_known_is_404(part):
    assert Client(make_face()).get(f"/api/devices/nobody/{part}").status == 404


def test_events_and_dead_letters_come_in_pages():
    client = Client(make_face(view("pi-1")))
    for path, table in (("/api/devices/pi-1/events", "events"), ("/api/dead-letters", "dead_letters")):
        client.face.history.rows[table] = [{"id": number} for number in range(5)]
        first = client.get(f"{path}?limit=3").json
        rest = client.get(f"{path}?limit=3&cursor={first['cursor']}").json
        assert [item["id"] for item in first["items"] + rest["items"]] == [0, 1, 2, 3, 4]
        assert rest["cursor"] is None
        assert client.get(f"{path}?cursor=made-up").status == 400


def test_sensors_are_listed():
    client = Client(make_face(view("pi-1")))
    client.face.history.rows["sensors"] = [{"name": "temperature", "first_seen_us": NOON}]
    items = client.get("/api/devices/pi-1/sensors").json["items"]
    assert items == [{"name": "temperature", "first_seen": "2025-10-09T08:53:20.000Z"}]


def test_a_dead_letters_bytes_are_shown_as_text_or_as_base64():
    client = Client(make_face())
    client.face.history.rows["dead_letters"] = [{"id": 1, "payload": b'{"a"'}, {"id": 2, "payload": b"\xff\x00"}]
    assert client.get("/api/dead-letters").json["items"] == [
        {"id": 1, "payload": '{"a"'},
        {"id": 2, "payload": "/wA=", "payload_encoding": "base64"},
    ]


def test_dead_letters_are_chosen_by_reason_and_serial():
    client = Client(make_face())
    assert client.get("/api/dead-letters?reason=not_json&serial=A").status == 200
    assert client.face.history.asked == {"reason": "not_json", "serial": "A"}
    assert client.get("/api/dead-letters?reasons=not_json").status == 400


def test_dead_letters_are_counted_by_reason_of_all_devices_or_of_one():
    client = Client(make_face())
    rows = [("not_json", "A"), ("not_json", "B"), ("nul", "A")]
    client.face.history.rows["dead_letters"] = [{"reason": reason, "serial": serial} for reason, serial in rows]
    counts = [{"reason": "not_json", "count": 2}, {"reason": "nul", "count": 1}]
    assert client.get("/api/dead-letters/reasons").json == {"items": counts, "cursor": None}
    assert client.get("/api/dead-letters/reasons?serial=B").json["items"] == [{"reason": "not_json", "count": 1}]


def test_one_dead_letter_is_shown_by_its_id():
    client = Client(make_face())
    client.face.history.rows["dead_letters"] = [{"id": 7, "payload": b"\xff"}]
    assert client.get("/api/dead-letters/7").json == {"id": 7, "payload": "/w==", "payload_encoding": "base64"}
    for unknown in ("8", "x", "9" * 30):
        assert client.get(f"/api/dead-letters/{unknown}").status == 404


def test_a_dead_letter_is_replayed_by_its_id():
    client = Client(make_face())
    answer = client.post("/api/dead-letters/7/replay")
    assert (answer.status, client.face.dead_letters.replayed) == (202, [7])
    for unknown in ("8", "x", "-7", "7" * 30, "%D9%A7"):
        assert client.post(f"/api/dead-letters/{unknown}/replay").status == 404


def test_a_dead_letter_that_nobody_can_take_again_is_409_and_says_why():
    answer = Client(make_face()).post("/api/dead-letters/6/replay")
    assert (answer.status, answer.error["message"]) == (409, "this dead letter has no topic")


def test_links_are_listed_and_reconnected_by_name():
    client = Client(make_face())
    assert client.get("/api/links").json["items"][0] == {
        "name": "local.data",
        "state": "subscribed",
        "since": "2025-10-09T08:53:20.000Z",
        "reconnects": 0,
        "detail": "",
    }
    assert client.post("/api/links/local.data/reconnect").status == 202
    assert client.post("/api/links/other/reconnect").status == 404
    assert client.face.links.reconnected == ["local.data"]


def test_a_link_is_paused_and_resumed_once():
    client = Client(make_face())
    answer = client.post("/api/links/local.data/pause")
    assert (answer.status, answer.json) == (202, {"name": "local.data", "action": "pause"})
    assert client.get("/api/links").json["items"][0]["state"] == "paused"
    assert client.post("/api/links/local.data/pause").status == 409
    refused = client.post("/api/links/local.data/reconnect")
    assert (refused.status, refused.error["message"]) == (409, "local.data is paused; resume it")
    assert client.post("/api/links/local.data/resume").json == {"name": "local.data", "action": "resume"}
    assert client.post("/api/links/local.data/resume").status == 409
    for action in ("pause", "resume"):
        assert client.post(f"/api/links/other/{action}").status == 404


def test_pausing_a_link_is_kept_in_the_audit_log_and_not_for_readers():
    face = make_face()
    Client(face).post("/api/links/local.data/pause")
    (row,) = face.audit.rows
    assert (row["action"], row["subject"], row["status"]) == ("post_api_links_name_pause", "local.data", 202)
    assert Client(face, token="the-read-token").post("/api/links/local.data/resume").status == 403


def test_brokers_tell_their_figures_with_when_they_were_heard():
    (broker,) = Client(make_face()).get("/api/brokers").json["items"]
    assert broker["figures"] == {"clients_connected": {"value": 3, "unit": "", "heard": "2025-10-09T08:53:20.000Z"}}
    assert broker["reason"] is None


def test_one_node_is_asked_for_by_its_path_though_the_tree_does_not_list_it():
    client = Client(make_face())
    client.face.supervision.unlisted = [{"path": "devices/pi-1", "state": "running"}]
    assert client.get("/api/supervision/links/local.data").json["mailbox"] == 3
    assert client.get("/api/supervision/devices/pi-1").json["state"] == "running"
    assert client.get("/api/supervision/devices/unknown").status == 404


def test_crashes_are_listed_by_group_and_one_group_with_its_crashes():
    client = Client(make_face())
    page = client.get("/api/crashes?limit=1").json
    (group,) = page["items"]
    assert (group["last"], group["count"], page["cursor"]) == ("2025-10-09T08:54:20.000Z", 3, None)
    assert "crashes" not in group
    shown = client.get("/api/crashes/7").json
    assert shown["crashes"] == [{"at": "2025-10-09T08:54:20.000Z", "path": "server/devices/pi-1", "error": "no"}]
    for unknown in ("8", "x", "7" * 30):
        assert client.get(f"/api/crashes/{unknown}").status == 404
    assert client.get("/api/crashes?cursor=x").status == 400


def test_the_tree_comes_whole_and_with_readable_times():
    root = Client(make_face()).get("/api/supervision").json
    child = root["children"][0]
    assert (root["path"], child["path"]) == ("server", "links/local.data")
    assert child["last_exception"] == {
        "error": "ValueError: x",
        "traceback": "Traceback ...",
        "at": "2025-10-09T08:53:20.000Z",
    }


@pytest.mark.parametrize("action", ["restart", "quarantine", "resume"])
def test_a_child_is_told_by_a_path_with_slashes(action):
    client = Client(make_face())
    answer = client.post(f"/api/supervision/links/local.data/{action}")
    assert (answer.status, answer.json) == (202, {"path": "links/local.data", "action": action})
    assert client.face.supervision.done == [(action, "links/local.data")]


def test_what_the_tree_cannot_do_is_said():
    client = Client(make_face())
    assert client.post("/api/supervision/nowhere/else/restart").status == 404
    assert client.post("/api/supervision/links/local.data/explode").status == 404
    refused = client.post("/api/supervision/server/restart")
    assert (refused.status, refused.error["message"]) == (409, "the root cannot be told anything")


def test_the_resolver_answers_with_raspberry_pis_unless_told_otherwise():
    client = Client(make_face())
    client.face.resolver.found = {"raspberry_pi": {"address": "10.0.0.4", "how": "roll_call", "seen_us": NOON}}
    assert client.get("/api/resolve").json["address"] == "10.0.0.4"
    assert client.get("/api/resolve?type=raspberry_pi").json["seen"] == "2025-10-09T08:53:20.000Z"
    answer = client.get("/api/resolve?type=toaster")
    assert (answer.status, answer.error["details"]) == (404, {"type": "toaster"})


def test_a_path_that_leads_nowhere_is_404_in_the_common_form():
    answer = Client(make_face()).get("/api/nowhere")
    assert answer.status == 404
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == {
        "error": {"code": "not_found", "message": "there is nothing at this path", "details": {}},
    }


def test_a_method_that_a_path_does_not_take_is_405_and_names_those_it_takes():
    answer = Client(make_face()).call("PUT", "/api/devices/pi-1")
    assert (answer.status, answer.error["code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "DELETE,GET,PATCH"


@pytest.mark.parametrize("error", [pykka.Timeout(), TimeoutError(), pykka.ActorDeadError(), StoreUnavailable()])
def test_an_answer_that_does_not_come_is_503(error, caplog):
    client = Client(make_face(view("pi-1")))
    client.face.history.failure = error
    answer = client.get("/api/devices/pi-1/readings")
    assert (answer.status, answer.error["code"], answer.headers["Retry-After"]) == (503, "unavailable", "1")
    assert "not answered in time" in caplog.text


def test_a_bug_is_500_without_its_secrets_and_with_a_log_line(caplog):
    client = Client(make_face(view("pi-1")))
    client.face.history.failure = RuntimeError("password hunter2")
    answer = client.get("/api/devices/pi-1/readings")
    assert (answer.status, answer.error["code"]) == (500, "internal")
    assert b"hunter2" not in answer.body
    assert "GET /api/devices/<serial>/readings failed" in caplog.text


@pytest.mark.parametrize("path", ["/api/health", "/api/nowhere", "/login", "/", "/api/devices?limit=0"])
def test_every_answer_carries_the_strict_headers(path):
    headers = Client(make_face()).get(path).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_answers_of_the_api_are_not_kept_by_caches():
    assert Client(make_face()).get("/api/devices").headers["Cache-Control"] == "no-store"


def test_head_answers_like_get_without_a_body():
    answer = Client(make_face()).call("HEAD", "/api/devices")
    assert (answer.status, answer.body) == (200, b"")


def test_files_of_the_page_have_a_strong_tag_and_are_sent_once():
    client = Client(make_face())
    first = client.get("/static/fleet/page.js")
    assert first.headers["Content-Type"].startswith("text/javascript")
    assert not first.headers["ETag"].startswith("W/")
    again = client.get("/static/fleet/page.js", HTTP_IF_NONE_MATCH=first.headers["ETag"])
    assert (again.status, again.body) == (304, b"")


def test_the_gzipped_form_of_a_file_has_a_tag_of_its_own():
    client = Client(make_face())
    plain = client.get("/static/core/style.css")
    zipped = client.get("/static/core/style.css", HTTP_ACCEPT_ENCODING="br, gzip")
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert len(zipped.body) < len(plain.body) / 2
    assert zipped.headers["ETag"] != plain.headers["ETag"]


@pytest.mark.parametrize(
    "name", ["nothing.js", "..%2Fapp.py", "%2e%2e", "__init__.py", "core/frame.html", "fleet/page.html", "core"]
)
def test_only_files_of_the_page_are_served(name):
    assert Client(make_face()).get(f"/static/{name}").status == 404


def test_the_page_loads_nothing_from_elsewhere():
    client = Client(make_face())
    static = resources.files("web").joinpath("static")
    folders = [folder for folder in static.iterdir() if folder.name != "vendor"]
    files = [f"/static/{folder.name}/{entry.name}" for folder in folders for entry in folder.iterdir()]
    ours = [file for file in files if file.endswith((".css", ".js"))]
    assert "/static/core/list.js" in ours
    for name in (*(page.path.replace("<serial>", "pi-1") for page in PAGES), "/login", *ours):
        body = client.get(name).body.replace(b"http://www.w3.org/2000/svg", b"")
        assert not re.search(rb"""https?://|["'(=]//""", body), name
