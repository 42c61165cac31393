"""The routes of the broker's users."""

from __future__ import annotations

import msgspec
import pytest

from tests.web.fakes import Client, make_face
from web.answers_access import AccessStatus, NewFleetKey, NewServerUser, Renewal, Retired

ROTATIONS = {
    "fleet-key": ("fleet_key", NewFleetKey),
    "server-password": ("server", NewServerUser),
    "devices": (("devices",), Renewal),
}


@pytest.fixture
def client():
    return Client(make_face())


def hold(answer, type_):
    """The answer has all fields of the type and no other field."""
    assert answer.status == 200, answer
    assert msgspec.to_builtins(msgspec.convert(answer.json, type_)) == answer.json


def test_the_status_tells_times_and_no_secret(client):
    answer = client.get("/api/access")
    hold(answer, AccessStatus)
    assert answer.json["server_user_ends"] is None
    assert answer.json["fleet_key_ends"].endswith("Z")


@pytest.mark.parametrize("what", ROTATIONS)
def test_a_rotation_tells_when_what_was_before_ends(client, what):
    asked, answer = ROTATIONS[what]
    hold(client.post(f"/api/access/{what}", {}), answer)
    hold(client.post(f"/api/access/{what}", {"grace": 60}), answer)
    assert client.face.access.asked == [(asked, None), (asked, 60.0)]


def test_devices_may_be_named(client):
    answer = client.post("/api/access/devices", {"devices": ["pi-7"], "grace": 5})
    assert answer.json["devices"] == ["pi-7"]


def test_the_shared_user_is_retired(client):
    hold(client.post("/api/access/retire-shared", {}), Retired)


@pytest.mark.parametrize("body", [{"grace": -1}, {"grace": "x"}, {"grace": 1e12}, {"wrong": 1}, []])
def test_a_bad_body_is_refused(client, body):
    for what in ROTATIONS:
        assert client.post(f"/api/access/{what}", body).status == 400
    assert client.face.access.asked == []


def test_a_broker_that_is_not_ours_is_told_so(client):
    client.face.access.refusal = "the broker is not Muster's to manage"
    for what in (*ROTATIONS, "retire-shared"):
        answer = client.post(f"/api/access/{what}", {})
        assert (answer.status, answer.json["error"]["code"]) == (409, "not_managed")
