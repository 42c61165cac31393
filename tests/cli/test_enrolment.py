"""`muster enrolment` against a fake of the API."""

from __future__ import annotations

import pytest

from tests.cli.conftest import TOKEN, error


def row(serial, state="enrolled", **fields):
    known = {
        "serial": serial,
        "state": state,
        "hostname": "shed",
        "mac_address": None,
        "device_type": "raspberry_pi",
        "address": "10.0.0.7",
        "requested": "2026-01-31T12:00:00.000Z",
        "enrolled": None,
        "approved_until": None,
        "changed_by": "device",
        "request": "0a1b2c3d" if state in ("pending", "approved") else None,
    }
    return known | fields


@pytest.fixture(autouse=True)
def _environment(monkeypatch, server):
    monkeypatch.setenv("MUSTER_SERVER_URL", server.url)
    monkeypatch.setenv("MUSTER_API_TOKEN", TOKEN)


def test_the_list_shows_who_waits(server, muster):
    waiting = row("pi-1", "pending", hostname="a\x1b[31mb")
    server.answers["GET", "/api/enrolments"] = 200, {"items": [waiting, row("pi-2")], "cursor": None}
    told = muster("enrolment", "list")
    assert told.code == 0
    first, second = told.out.splitlines()[1:]
    assert first.split()[:2] == ["pi-1", "pending"]
    assert "\x1b" not in told.out
    assert first.split()[-1] == "0a1b2c3d"
    assert second.split()[:4] == ["pi-2", "enrolled", "shed", "10.0.0.7"]


def test_only_those_that_wait_can_be_listed(server, muster):
    server.answers["GET", "/api/enrolments"] = 200, {"items": [row("pi-1", "pending"), row("pi-2")], "cursor": None}
    told = muster("enrolment", "list", "--waiting", "--json")
    assert [item["serial"] for item in told.json["items"]] == ["pi-1"]


def test_an_approval_says_for_whom_and_until_when(server, muster):
    approved = row("pi-1", "approved", approved_until="2026-02-01T12:00:00.000Z")
    server.answers["POST", "/api/enrolments/pi-1/approve"] = 200, approved
    told = muster("enrolment", "approve", "pi-1")
    assert told.out == "pi-1 (shed at 10.0.0.7) may enrol until 2026-02-01T12:00:00.000Z.\n"
    assert muster("enrolment", "approve", "pi-1", "--json").json == approved


def test_an_approval_may_be_of_the_request_that_the_list_has_shown(server, muster):
    server.answers["POST", "/api/enrolments/pi-1/approve"] = 200, row("pi-1", "approved", approved_until="then")
    assert muster("enrolment", "approve", "pi-1", "--request", "0a1b2c3d").code == 0
    assert muster("enrolment", "approve", "pi-1").code == 0
    assert [call.body for call in server.calls] == [{"request": "0a1b2c3d"}, {}]


def test_a_denial_and_a_revocation_are_confirmed(server, muster):
    server.answers["POST", "/api/enrolments/pi-1/deny"] = 200, row("pi-1", "denied")
    server.answers["DELETE", "/api/enrolments/pi-1"] = 204, b""
    assert muster("enrolment", "deny", "pi-1").out == "pi-1 is denied.\n"
    assert muster("enrolment", "revoke", "pi-1").out.startswith("pi-1 has no credentials any more")
    assert muster("enrolment", "revoke", "pi-1", "--json").json == {"serial": "pi-1", "state": "denied"}


def test_a_refusal_is_one_sentence(server, muster):
    server.answers["POST", "/api/enrolments/pi-9/approve"] = error(404, "no device of this serial has asked to enrol")
    told = muster("enrolment", "approve", "pi-9")
    assert told.code == 1
    assert told.err.count("\n") == 1
    assert "has asked to enrol" in told.err
