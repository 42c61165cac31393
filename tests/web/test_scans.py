"""`/api/scans`."""

from __future__ import annotations

import msgspec
import pytest

from actors.payloads import LARGEST_PAYLOAD, RefusedError
from tests.web.fake_scans import scan
from tests.web.fakes import Client, make_face, view
from web.answers_scans import Scans, StoredScan

SCAN = {"scan_id": "s-1", "code": "4006381333931", "device_id": "pi-1"}
URL = "/api/scans"


def hold(answer, type_):
    """The answer has all fields of the type and no other field."""
    assert msgspec.to_builtins(msgspec.convert(answer, type_)) == answer


# A scan handed in


def test_a_new_scan_is_answered_with_201_and_all_that_was_stored():
    answer = Client(make_face(), token="the-operate-token").post(URL, SCAN)
    assert answer.status == 201
    hold(answer.json, StoredScan)
    assert answer.json == {
        "scan_id": "s-1",
        "device_id": "pi-1",
        "code": "4006381333931",
        "symbology": "EAN-13",
        "valid": True,
        "timestamp": "2025-10-09T08:53:20.000Z",
        "received": "2025-10-09T08:53:20.005Z",
        "scanner": "usb-Datalogic",
        "clock": "ntp",
        "stored": True,
        "duplicate": False,
    }


def test_a_scan_that_was_known_is_answered_with_200():
    client = Client(make_face())
    client.post(URL, SCAN)
    again = client.post(URL, SCAN)
    assert (again.status, again.json["duplicate"]) == (200, True)


def test_the_key_of_a_request_names_a_scan_without_a_name():
    client = Client(make_face())
    nameless = {"code": "A-17", "device_id": "pi-1"}
    assert client.post(URL, nameless, HTTP_IDEMPOTENCY_KEY="k-1").json["scan_id"] == "k-1"
    assert client.post(URL, nameless, HTTP_IDEMPOTENCY_KEY="k-1").status == 200
    refused = client.post(URL, nameless, HTTP_IDEMPOTENCY_KEY="a b")
    assert (refused.status, refused.error["details"]) == (400, {"field": "Idempotency-Key"})


def test_a_devices_token_speaks_for_that_device_alone():
    client = Client(make_face(view("pi-1")), token="the-device-token")
    assert client.post(URL, SCAN).status == 201
    assert client.post(URL, {"code": "A-17"}).json["device_id"] == "pi-1"
    refused = client.post(URL, SCAN | {"device_id": "pi-2"})
    assert (refused.status, refused.error["details"]) == (403, {"reason": "unbound"})
    assert client.get(URL).status == 403


def test_a_refused_scan_is_400_with_its_reason_and_the_field_at_fault():
    client = Client(make_face())
    client.face.scans.failure = RefusedError("missing_field", "the scan has no `code`")
    answer = client.post(URL, SCAN)
    assert (answer.status, answer.error["details"]) == (400, {"reason": "missing_field", "field": "code"})


def test_a_scan_that_is_too_large_is_413_unread():
    answer = Client(make_face()).call("POST", URL, body=b" " * (LARGEST_PAYLOAD + 1))
    assert (answer.status, answer.error["details"]) == (413, {"limit": LARGEST_PAYLOAD})


def test_a_scan_that_could_not_be_stored_in_time_is_503(caplog):
    client = Client(make_face())
    client.face.scans.failure = TimeoutError()
    assert client.post(URL, SCAN).status == 503
    assert "not answered in time" in caplog.text


# What was kept


def test_scans_are_listed_of_the_whole_fleet_of_one_device_of_one_code_and_of_a_time():
    client = Client(make_face())
    client.face.scans.rows = [scan("s-2", code="01\x1d17"), scan("s-1", valid=None, symbology="")]
    answer = client.get(URL).json
    hold(answer, Scans)
    assert [item["scan_id"] for item in answer["items"]] == ["s-2", "s-1"]
    assert client.face.scans.asked == {"serial": None, "code": None, "since_us": None, "until_us": None}
    query = "device=pi-1&code=01%1D17&since=2025-10-09T08:00:00Z&until=2025-10-09T09:00:00Z"
    assert [item["code"] for item in client.get(f"{URL}?{query}").json["items"]] == ["01\x1d17"]
    assert client.face.scans.asked == {
        "serial": "pi-1",
        "code": "01\x1d17",
        "since_us": 1_759_996_800_000_000,
        "until_us": 1_760_000_400_000_000,
    }


def test_scans_come_in_pages():
    client = Client(make_face())
    client.face.scans.rows = [scan(f"s-{number}") for number in range(5)]
    first = client.get(f"{URL}?limit=3").json
    rest = client.get(f"{URL}?limit=3&cursor={first['cursor']}").json
    assert [item["scan_id"] for item in first["items"] + rest["items"]] == [f"s-{number}" for number in range(5)]
    assert rest["cursor"] is None


def test_a_code_as_long_as_a_scan_may_have_is_found():
    assert Client(make_face()).get(f"{URL}?code={'x' * 4096}").status == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=1001", "limit"),
        ("cursor=made-up", "cursor"),
        ("serial=x", "serial"),
        (f"code={'x' * 4097}", "code"),
        ("code=%00", "code"),
        ("since=yesterday", "since"),
        ("since=2025-10-09T08:00:00Z&until=2025-10-09T08:00:00Z", "until"),
    ],
)
def test_a_question_that_cannot_be_meant_is_400_and_named(query, field):
    answer = Client(make_face()).get(f"{URL}?{query}")
    assert (answer.status, answer.error["details"]) == (400, {"field": field})
