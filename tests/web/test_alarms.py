"""`/api/alarms` and `/api/alarm-rules`."""

from __future__ import annotations

import pytest

from tests.web.fake_alarms import NOON, alarm
from tests.web.fakes import Client, make_face

RULE = {"name": "hot", "kind": "metric", "metric": "t", "over": 80}


@pytest.fixture
def client():
    client = Client(make_face())
    client.face.alarms.rows = [alarm(3), alarm(2, state="cleared"), alarm(1)]
    return client


def test_alarms_come_newest_first_in_pages(client):
    first = client.get("/api/alarms?limit=2").json
    rest = client.get(f"/api/alarms?limit=2&cursor={first['cursor']}").json
    assert [item["id"] for item in first["items"] + rest["items"]] == [3, 2, 1]
    assert rest["cursor"] is None


def test_they_are_filtered(client):
    assert [item["id"] for item in client.get("/api/alarms?state=cleared").json["items"]] == [2]
    client.get("/api/alarms?rule=offline&severity=warning&device=gw-7&site=harbour")
    wanted = {"state": None, "rule": "offline", "severity": "warning", "serial": "gw-7", "site": "harbour"}
    assert client.face.alarms.asked == wanted
    for query in ("state=loud", "severity=grave", "cursor=made-up", "limit=0", "colour=red"):
        assert client.get(f"/api/alarms?{query}").status == 400, query


def test_an_alarm_tells_who_was_told_of_it(client):
    shown = client.get("/api/alarms/3").json
    assert shown["summary"].endswith("with 40 devices behind it")
    assert shown["notices"][0]["channel"] == "ops"
    assert shown["notices"][0]["due"] is None
    for wrong in ("9", "x", "1e3", "9" * 30):
        assert client.get(f"/api/alarms/{wrong}").status == 404


def test_it_is_acknowledged_in_the_name_of_who_asks(client):
    answer = client.post("/api/alarms/3/acknowledge", {})
    assert (answer.status, answer.json["acknowledged"], answer.json["acknowledged_by"]) == (200, NOON, "admin ops")
    assert client.post("/api/alarms/9/acknowledge", {}).status == 404


def test_it_is_silenced_until_a_time(client):
    now = client.face.clock.time()
    assert client.post("/api/alarms/3/silence", {"seconds": 60}).json["silenced_until"] == NOON
    assert client.face.alarms.asked["until_us"] == int((now + 60) * 1e6)
    for body in ({}, {"seconds": -1}, {"seconds": 1e12}, {"seconds": "1h"}, {"seconds": 1, "why": "tea"}):
        answer = client.post("/api/alarms/3/silence", body)
        assert answer.status == 400, body
    assert client.post("/api/alarms/x/silence", {"seconds": 1}).status == 404


def test_a_rule_is_made_listed_changed_and_deleted(client):
    made = client.post("/api/alarm-rules", RULE)
    assert (made.status, made.json["origin"], made.json["over"]) == (201, "api", 80.0)
    assert client.post("/api/alarm-rules", RULE).status == 409
    assert client.call("PATCH", "/api/alarm-rules/hot", {"over": 70, "hysteresis": 2}).json["over"] == 70
    assert [rule["name"] for rule in client.get("/api/alarm-rules").json["items"]] == ["hot"]
    assert client.call("DELETE", "/api/alarm-rules/hot").status == 204
    assert client.call("DELETE", "/api/alarm-rules/hot").status == 404
    assert client.call("PATCH", "/api/alarm-rules/hot", {"over": 70}).status == 404


def test_the_rules_come_in_pages(client):
    for name in ("c", "a", "b"):
        client.post("/api/alarm-rules", RULE | {"name": name})
    first = client.get("/api/alarm-rules?limit=2").json
    assert [rule["name"] for rule in first["items"]] == ["a", "b"]
    assert [rule["name"] for rule in client.get("/api/alarm-rules?cursor=b").json["items"]] == ["c"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"over": None}, "over"),
        ({"metric": ""}, "metric"),
        ({"kind": "loudness"}, "kind"),
        ({"name": "Hot Rule"}, "name"),
        ({"window": 60}, "window"),
        ({"lasts": -1}, "lasts"),
        ({"colour": "red"}, "colour"),
        ({"under": 3}, "over"),
        ({"min_group": 7}, "min_group"),
        ({"devices": [7]}, "devices[0]"),
    ],
)
def test_what_makes_no_rule_is_refused_and_the_field_is_named(client, change, field):
    answer = client.post("/api/alarm-rules", RULE | change)
    assert answer.status == 400
    assert answer.error["details"] == {"field": field}


def test_a_change_names_fields_that_there_are(client):
    client.post("/api/alarm-rules", RULE)
    assert client.call("PATCH", "/api/alarm-rules/hot", {}).status == 400
    assert client.call("PATCH", "/api/alarm-rules/hot", {"kind": "offline_for"}).status == 400


def test_operators_say_what_becomes_of_alarms_and_readers_look(client):
    reader = Client(client.face, token="the-read-token")
    assert reader.get("/api/alarms").status == 200
    assert reader.get("/api/alarm-rules").status == 200
    assert reader.post("/api/alarms/3/acknowledge", {}).status == 403
    assert reader.post("/api/alarm-rules", RULE).status == 403
