"""`/api/devices/{serial}/payload_key`."""

from __future__ import annotations

import msgspec
import pytest

from tests.web.fakes import Client, make_face
from web.answers_payload_keys import DevicePayloadKey, DevicePayloadKeys

URL = "/api/devices/pi-1/payload_key"
KEY = "C" * 43 + "="


def client(role="admin"):
    return Client(make_face(), token=f"the-{role}-token")


def test_a_device_gives_its_own_key_and_is_told_the_servers():
    answer = client("device").post(URL, {"key": KEY})
    assert answer.status == 200
    assert msgspec.to_builtins(msgspec.convert(answer.json, DevicePayloadKey)) == answer.json
    assert answer.json["key"] == KEY


def test_a_device_reaches_nothing_of_another():
    assert client("device").get("/api/devices/pi-2/payload_key").status == 403
    assert client("device").post("/api/devices/pi-2/payload_key", {"key": KEY}).status == 403


def test_only_a_key_that_is_another_one_is_in_the_audit_log():
    """An edge gives its key again each hour."""
    device = client("device")
    for key in (KEY, KEY, "D" * 43 + "=", "D" * 43 + "="):
        assert device.post(URL, {"key": key}).status == 200
    assert len(device.face.audit.rows) == 2


@pytest.mark.parametrize("role", ["read", "operate", "device"])
def test_only_admins_decide_whether_a_device_has_to_seal(role):
    assert client(role).post(f"{URL}/require", {}).status == 403
    assert client(role).call("DELETE", URL).status == 403


def test_operators_give_no_keys():
    assert client("operate").post(URL, {"key": KEY}).status == 403


def test_a_key_that_is_none_is_refused_by_name():
    answer = client().post(URL, {"key": "x" * 44})
    assert (answer.status, answer.json["error"]["code"]) == (400, "bad_field")
    assert "`key`" in answer.json["error"]["message"]
    assert client().post(URL, {"key": "short"}).status == 400


def test_a_device_without_a_key_has_none_to_be_shown_or_forgotten():
    assert client().get("/api/devices/pi-9/payload_key").status == 404
    assert client().call("DELETE", "/api/devices/pi-9/payload_key").status == 404
    assert client().post("/api/devices/pi-9/payload_key/require", {}).json["key"] == ""


def test_who_reads_sees_which_devices_seal():
    answer = client("read").get("/api/payload_keys")
    assert [item.serial for item in msgspec.convert(answer.json, DevicePayloadKeys).items] == ["pi-1"]
    assert client("read").get("/api/payload_keys?cursor=rubbish").status == 400
    assert client("device").get("/api/payload_keys").status == 403
