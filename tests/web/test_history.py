"""What is kept of one device, as the face tells it: its timeline and what its presence was."""

from __future__ import annotations

import pytest

from tests.web.fakes import Client, make_face, view
from web.routes_history import DAY_US

HOUR_US = 3_600_000_000


@pytest.fixture
def client():
    return Client(make_face(view("pi-1")))


def now_us(client):
    return int(client.face.clock.time() * 1e6)


def test_the_timeline_is_asked_for_by_kind_and_time(client):
    query = "kind=presence&since=2026-01-31T12:00:00Z&until=2026-01-31T13:00:00Z"
    assert client.get(f"/api/devices/pi-1/events?{query}").status == 200
    asked = client.face.history.asked
    assert asked["kind"] == "presence"
    assert asked["until_us"] - asked["since_us"] == HOUR_US


def test_the_presence_of_the_last_day_is_told_where_nothing_else_is_asked_for(client):
    row = {"since_us": 0, "until_us": HOUR_US, "presence": "online", "reason": "heartbeat"}
    client.face.history.rows["presence"] = [row]
    (segment,) = client.get("/api/devices/pi-1/presence").json["items"]
    assert set(segment) == {"since", "until", "presence", "reason"}
    asked = client.face.history.asked
    assert asked == {"since_us": now_us(client) - DAY_US, "until_us": None}


def test_no_answer_tells_the_future(client):
    client.get("/api/devices/pi-1/presence?since=1970-01-01T00:00:00Z&until=9999-01-01T00:00:00Z")
    assert client.face.history.asked == {"since_us": 0, "until_us": None}


def test_a_time_that_has_not_come_is_refused_by_name(client):
    answer = client.get("/api/devices/pi-1/presence?since=9999-01-01T00:00:00Z")
    assert (answer.status, answer.error["details"]) == (400, {"field": "since"})


def test_a_time_in_which_too_much_changed_is_refused_by_name(client):
    client.face.history.failure = OverflowError("more than 5000 events")
    answer = client.get("/api/devices/pi-1/presence")
    assert (answer.status, answer.error["details"]) == (400, {"field": "since"})
    assert "shorter" in answer.error["message"]


@pytest.mark.parametrize(
    ("query", "since_us"),
    [("until=1970-01-01T12:00:00Z", 0), ("since=0001-01-01T00:00:00Z", 0), ("until=0001-01-01T00:00:01Z", None)],
)
def test_nothing_is_told_of_the_time_before_1970(client, query, since_us):
    answer = client.get(f"/api/devices/pi-1/presence?{query}")
    if since_us is None:
        assert (answer.status, answer.error["details"]) == (400, {"field": "until"})
    else:
        assert client.face.history.asked["since_us"] == since_us


def test_an_unknown_device_has_no_past(client):
    assert client.get("/api/devices/nobody/presence").status == 404
