"""The routes of commands."""

from __future__ import annotations

import pytest

from tests.web.fakes import Client, make_face, view

ONE = "/api/devices/pi-1/commands"


@pytest.fixture
def face():
    return make_face(view("pi-1"), view("pi-2"))


@pytest.fixture
def client(face):
    return Client(face, token="the-operate-token")


def test_a_command_is_taken_for_a_device(client, face):
    answer = client.post(ONE, {"name": "set", "args": {"heartbeat": 10}, "timeout": 5})
    assert (answer.status, answer.json) == (202, {"id": "c1"})
    assert face.commands.asked == {
        "serial": "pi-1",
        "name": "set",
        "args": {"heartbeat": 10},
        "timeout": 5.0,
        "by": "operate",
        "address": "192.0.2.7",
    }


def test_a_command_has_a_minute_where_nobody_says(client, face):
    client.post(ONE, {"name": "ping"})
    assert (face.commands.asked["timeout"], face.commands.asked["args"]) == (60.0, {})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "rm -rf"}, "name"),
        ({"name": "Ping"}, "name"),
        ({"name": "ping", "timeout": 0.5}, "timeout"),
        ({"name": "ping", "timeout": 1e9}, "timeout"),
        ({"name": "ping", "args": [1]}, "args"),
        ({"name": "ping", "argz": {}}, "argz"),
    ],
)
def test_a_body_that_makes_no_sense_is_refused_with_its_field(client, body, field):
    answer = client.post(ONE, body)
    assert answer.status == 400
    assert answer.error["details"] == {"field": field}


def test_an_unknown_device_is_told(client):
    answer = client.post("/api/devices/pi-9/commands", {"name": "ping"})
    assert answer.status == 404
    assert client.get("/api/devices/pi-9/commands").status == 404


def test_a_refusal_is_told_as_it_is(client):
    answer = client.post(ONE, {"name": "refused"})
    assert answer.status == 409
    assert answer.error == {"code": "too_many", "message": "pi-1 has too many", "details": {"device": "pi-1"}}


@pytest.mark.parametrize(
    ("target", "serials"),
    [
        ({"device": "pi-1"}, ["pi-1"]),
        ({"devices": ["pi-2", "pi-1"]}, ["pi-2", "pi-1"]),
        ({"group": "shed"}, ["pi-1", "pi-2"]),
        ({"all": True}, ["pi-1", "pi-2"]),
    ],
)
def test_one_request_commands_whoever_is_meant(client, target, serials):
    answer = client.post("/api/commands", target | {"name": "ping"})
    assert (answer.status, answer.json["id"]) == (202, "b1")
    assert [made["device"] for made in answer.json["commands"]] == serials
    listed = client.get("/api/commands?batch=b1").json["items"]
    assert {row["id"] for row in listed} == {made["id"] for made in answer.json["commands"]}


@pytest.mark.parametrize("target", [{}, {"device": "pi-1", "all": True}, {"devices": []}])
def test_a_request_that_means_nobody_or_two_things_is_refused(client, target):
    answer = client.post("/api/commands", target | {"name": "ping"})
    assert answer.status == 400
    assert "exactly one of device, devices, group, all" in answer.error["message"]


def test_an_unknown_group_is_told(client):
    answer = client.post("/api/commands", {"group": "attic", "name": "ping"})
    assert (answer.status, answer.error["details"]) == (404, {"group": "attic"})


def test_a_command_is_shown_with_its_times(client):
    client.post(ONE, {"name": "ping"})
    shown = client.get("/api/commands/c1").json
    assert shown == {
        "id": "c1",
        "device": "pi-1",
        "name": "ping",
        "args": {},
        "state": "queued",
        "result": None,
        "reason": None,
        "batch": None,
        "by": "operate",
        "created": "2025-10-09T08:53:20.000Z",
        "deadline": "2025-10-09T08:54:20.000Z",
        "sent": None,
        "accepted": None,
        "updated": "2025-10-09T08:53:20.000Z",
    }
    assert client.get("/api/commands/c2").status == 404


def test_the_lists_are_newest_first_in_pages_and_by_state(client):
    for name in ("ping", "status", "logs"):
        client.post(ONE, {"name": name})
    client.post("/api/commands/c1/cancel")
    page = client.get(f"{ONE}?limit=2").json
    assert [row["name"] for row in page["items"]] == ["logs", "status"]
    assert [row["name"] for row in client.get(f"{ONE}?cursor={page['cursor']}").json["items"]] == ["ping"]
    assert [row["id"] for row in client.get("/api/commands?state=cancelled").json["items"]] == ["c1"]
    assert client.get("/api/commands?state=gone").status == 400
    assert client.get("/api/commands?device=pi-2").json["items"] == []


def test_a_command_is_cancelled_by_name(client, face):
    client.post(ONE, {"name": "ping"})
    answer = client.post("/api/commands/c1/cancel")
    assert (answer.status, answer.json["state"], answer.json["reason"]) == (200, "cancelled", "cancelled by operate")
    assert face.commands.asked == {"by": "operate", "address": "192.0.2.7"}
    assert client.post("/api/commands/c9/cancel").error["code"] == "not_found"


def test_who_may_only_read_gives_no_commands_and_a_device_sees_only_its_own(face):
    reader = Client(face, token="the-read-token")
    assert reader.post(ONE, {"name": "ping"}).status == 403
    assert reader.post("/api/commands", {"all": True, "name": "ping"}).status == 403
    assert reader.get("/api/commands").status == 200
    device = Client(face, token="the-device-token")
    assert device.get(ONE).status == 200
    assert device.get("/api/devices/pi-2/commands").status == 403
    assert device.get("/api/commands").status == 403
    assert device.post(ONE, {"name": "ping"}).status == 403
