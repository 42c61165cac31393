"""`/api/devices/{serial}/supervision`: what a device tells of its own tree."""

from __future__ import annotations

import json

import msgspec
import pytest

from supervisor import describe
from tests.supervision.support import Lab
from tests.web.fakes import NOON, Client, make_face, view
from web.answers_supervision import Node

URL = "/api/devices/pi-1/supervision"


def told(**fields):
    """A tree as an edge tells it."""
    link = {
        "id": "link",
        "path": "edge/contact/link",
        "kind": "worker",
        "state": "backing_off",
        "restart": "permanent",
        "restarts": 2,
        "incarnation": 3,
        "next_restart_in": 1.5,
        "mailbox": {"depth": 1, "oldest_age": 0.25, "stashed": 2},
        "last_exception": {
            "reason": "crashed",
            "type": "OSError",
            "message": "no route",
            "traceback": "Traceback ...",
            "when": NOON / 1e6,
            "where": "connection.py:7",
        },
    }
    return link | {"id": "edge", "path": "edge", "kind": "supervisor", "state": "running", "children": [link]} | fields


def ask(tree, **client):
    raw = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
    return Client(make_face(view("pi-1", supervision=raw), view("pi-2")), **client).get(URL)


def test_a_devices_own_tree_is_told_as_the_servers():
    answer = ask(told(last_exception=None, total=1, counts={"backing_off": 1}))
    msgspec.convert(answer.json, Node)
    (link,) = answer.json["children"]
    assert (link["path"], link["state"], link["restarts"], link["mailbox"]) == (
        "edge/contact/link",
        "backing_off",
        2,
        3,
    )
    assert link["last_exception"]["error"] == "OSError: no route"
    assert link["last_exception"]["at"] == "2025-10-09T08:53:20.000Z"
    assert "children" not in link


def test_what_a_supervisor_tells_of_itself_is_understood():
    lab = Lab()
    lab.supervise(lab.spec("link"), lab.spec("outbox"))
    lab.child("link").tell("boom")
    lab.run()
    answer = ask(msgspec.json.encode(describe(lab.root.ref)))
    msgspec.convert(answer.json, Node)
    assert [child["id"] for child in answer.json["children"]] == ["link", "outbox"]
    assert answer.json["children"][0]["last_exception"]["error"] == "BoomError: told to"


def test_a_device_without_a_tree_is_404_and_says_so_in_its_json():
    client = Client(make_face(view("pi-1"), view("pi-2", supervision=b"{}")))
    answer = client.get(URL)
    assert (answer.status, answer.error["message"]) == (404, "this device has not told its supervision")
    assert client.get("/api/devices/pi-9/supervision").status == 404
    assert client.get("/api/devices/pi-1").json["supervised"] is False
    assert client.get("/api/devices/pi-2").json["supervised"] is True


def test_a_device_may_see_its_own_tree_alone():
    assert ask(told(), token="the-device-token").status == 200
    client = Client(make_face(view("pi-2", supervision=json.dumps(told()).encode())), token="the-device-token")
    assert client.get("/api/devices/pi-2/supervision").status == 403


@pytest.mark.parametrize(
    "tree",
    [
        b"{}",
        b"[]",
        b"no JSON",
        b"\xff",
        told(restarts=-1),
        told(id="x" * 201),
        told(children=[{"id": "x"}]),
        told(last_exception={"when": 1e300}),
        b'{"id":"a","path":"a","kind":"k","state":"s","children":[' * 100_000,
    ],
    ids=str,
)
def test_what_is_no_tree_is_404_in_words(tree):
    answer = ask(tree)
    assert answer.status == 404
    assert answer.error["message"].startswith("what this device tells of its supervision cannot be read: ")
