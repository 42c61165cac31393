"""`/api/tokens`."""

from __future__ import annotations

import pytest

from tests.web.fakes import NOON, Client, make_face, view


def test_a_token_is_made_and_its_text_is_in_that_answer_alone():
    client = Client(make_face())
    made = client.post("/api/tokens", {"name": "ci", "role": "operate"})
    assert made.status == 201
    assert {name: made.json[name] for name in ("id", "name", "role", "token")} == {
        "id": 1,
        "name": "ci",
        "role": "operate",
        "token": "the-new-token-1",
    }
    listed = client.get("/api/tokens")
    assert listed.json == {
        "items": [
            {
                "id": 1,
                "name": "ci",
                "role": "operate",
                "serial": None,
                "created": "2025-10-09T08:53:20.000Z",
                "expires": None,
                "revoked": None,
            }
        ],
        "cursor": None,
    }
    assert b"the-new-token" not in listed.body


def test_a_token_may_end_by_itself():
    client = Client(make_face())
    made = client.post("/api/tokens", {"name": "ci", "role": "read", "expires_in": 3600})
    assert made.json["expires"] == "2025-10-09T09:53:20.000Z"


def test_a_devices_token_reaches_its_device():
    client = Client(make_face(view("pi-1"), view("pi-2")))
    made = client.post("/api/tokens", {"name": "pi", "role": "device", "serial": "pi-1"}).json
    device = Client(client.face, token=made["token"])
    assert device.get("/api/devices/pi-1").status == 200
    assert device.get("/api/devices/pi-2").status == 403


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x", "role": "device"}, "serial"),
        ({"name": "x", "role": "read", "serial": "pi-1"}, "serial"),
        ({"name": "x", "role": "device", "serial": "a b"}, "serial"),
        ({"name": "", "role": "read"}, "name"),
        ({"name": "x" * 129, "role": "read"}, "name"),
        ({"name": "x\x00", "role": "read"}, "name"),
        ({"name": "x", "role": "king"}, "role"),
        ({"name": "x", "role": "read", "expires_in": 0}, "expires_in"),
        ({"name": "x", "role": "read", "expires_in": 1e300}, "expires_in"),
        ({"name": "x"}, "role"),
    ],
)
def test_a_token_that_makes_no_sense_is_400_and_the_field_is_named(body, field):
    client = Client(make_face())
    answer = client.post("/api/tokens", body)
    assert (answer.status, answer.error["details"]) == (400, {"field": field})
    assert client.face.tokens.rows == []


def test_a_revoked_token_ends_at_once():
    client = Client(make_face())
    made = client.post("/api/tokens", {"name": "ci", "role": "read"}).json
    other = Client(client.face, token=made["token"])
    assert other.get("/api/devices").status == 200
    assert client.call("DELETE", "/api/tokens/1").status == 204
    assert other.get("/api/devices").status == 401
    assert client.get("/api/tokens").json["items"][0]["revoked"] == "2025-10-09T08:53:20.000Z"


@pytest.mark.parametrize("token", ["1", "x", "-1", "9" * 30, "%D9%A7"])
def test_what_is_no_token_cannot_be_revoked(token):
    assert Client(make_face()).call("DELETE", f"/api/tokens/{token}").status == 404


def test_tokens_come_in_pages():
    client = Client(make_face())
    for number in range(5):
        client.post("/api/tokens", {"name": str(number), "role": "read"})
    first = client.get("/api/tokens?limit=2").json
    second = client.get(f"/api/tokens?limit=3&cursor={first['cursor']}").json
    assert [item["id"] for item in first["items"] + second["items"]] == [1, 2, 3, 4, 5]
    assert second["cursor"] is None
    newest = client.get("/api/tokens?limit=2&order=desc").json
    older = client.get(f"/api/tokens?limit=3&order=desc&cursor={newest['cursor']}").json
    assert [item["id"] for item in newest["items"] + older["items"]] == [5, 4, 3, 2, 1]
    assert older["cursor"] is None
    assert client.get("/api/tokens?cursor=x").status == 400
    assert client.get("/api/tokens?limit=0").status == 400


def names(client, query):
    return [item["name"] for item in client.get(f"/api/tokens?{query}").json["items"]]


def test_tokens_are_found_by_role_state_and_a_part_of_name_or_serial():
    client = Client(make_face())
    made = [
        client.post("/api/tokens", body).json["id"]
        for body in (
            {"name": "grafana", "role": "read"},
            {"name": "soil", "role": "device", "serial": "soil-1"},
            {"name": "ended", "role": "read", "expires_in": 1},
            {"name": "taken", "role": "operate"},
        )
    ]
    client.call("DELETE", f"/api/tokens/{made[3]}")
    client.face.clock.advance(NOON / 1e6 + 60 - client.face.clock.time())
    assert names(client, "role=device") == ["soil"]
    assert names(client, "state=valid") == ["grafana", "soil"]
    assert names(client, "state=expired") == ["ended"]
    assert names(client, "state=revoked") == ["taken"]
    assert names(client, "q=SOIL-") == ["soil"]
    assert client.get("/api/tokens?state=none").error["details"] == {"field": "state"}
