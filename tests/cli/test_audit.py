"""`muster audit` against a fake of the API, and against a real server."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import TOKEN
from tests.support.muster import MusterUp
from tests.support.wait import eventually


def entry(**changes):
    return {
        "id": 7,
        "ts": "2026-01-31T12:00:00.000Z",
        "who": "admin ops",
        "address": "192.0.2.7",
        "action": "post_api_tokens",
        "subject": "grafana",
        "outcome": "done",
        "status": 201,
        "repeated": 0,
        "details": {"role": "read", "serial": None},
    } | changes


@pytest.fixture
def _fake(monkeypatch, server):
    monkeypatch.setenv("MUSTER_SERVER_URL", server.url)
    monkeypatch.setenv("MUSTER_API_TOKEN", TOKEN)


@pytest.mark.usefixtures("_fake")
def test_changes_and_refusals_are_listed_for_people(server, muster):
    refused = entry(who=None, subject="a\x1b[31mb", outcome="refused", status=401, repeated=12, details={})
    server.answers["GET", "/api/audit"] = 200, {"items": [entry(), refused], "cursor": None}
    told = muster("audit")
    assert told.code == 0
    first, second = told.out.splitlines()[1:]
    assert "admin ops" in first
    assert "role=read" in first
    assert "serial" not in first
    assert "refused 401 (12 more before)" in second
    assert "\x1b" not in told.out


@pytest.mark.usefixtures("_fake")
def test_filters_are_handed_on_and_json_is_what_the_server_said(server, muster):
    server.answers["GET", "/api/audit"] = 200, {"items": [entry()], "cursor": None}
    told = muster("audit", "--who", "admin ops", "--outcome", "done", "--since", "2026-01-31", "--limit", "5", "--json")
    assert told.json == {"items": [entry()]}
    asked = server.calls[-1].query
    assert asked == {"who": "admin ops", "outcome": "done", "since": "2026-01-31", "limit": "5"}


def test_a_command_that_changes_something_is_in_the_list_and_outlives_the_server():
    with MusterUp() as up:
        assert up.run("token", "create", "grafana", "--role", "read")[0] == 0

        def listed():
            code, text = up.run("audit", "--action", "post_api_tokens", "--json")
            assert code == 0, text
            return json.loads(text)["items"]

        made = eventually(listed, what="the entry")[0]
        assert (made["who"], made["address"], made["subject"]) == ("admin", "127.0.0.1", "grafana")
        assert made["details"]["role"] == "read"
        up.kill()
        up.restart()
        assert listed() == [made]
