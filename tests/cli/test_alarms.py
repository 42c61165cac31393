"""`muster alarms` against a fake of the API."""

from __future__ import annotations

import pytest

from tests.cli.conftest import TOKEN, error
from tests.web.fake_alarms import NOON, alarm


@pytest.fixture(autouse=True)
def _environment(monkeypatch, server):
    monkeypatch.setenv("MUSTER_SERVER_URL", server.url)
    monkeypatch.setenv("MUSTER_API_TOKEN", TOKEN)


def test_without_a_command_the_open_alarms_are_listed(server, muster):
    quiet = alarm(2, acknowledged=NOON, summary="a\x1b[31mb")
    server.answers["GET", "/api/alarms"] = 200, {"items": [quiet, alarm(1)], "cursor": None}
    told = muster("alarms")
    assert told.code == 0
    first, second = told.out.splitlines()[1:]
    assert first.split()[:3] == ["2", "warning", "acknowledged"]
    assert "\x1b" not in told.out
    assert second.split()[:3] == ["1", "warning", "open"]
    assert "with 40 devices behind it" in second
    assert server.calls[-1].query["state"] == "open"


def test_the_list_is_filtered_by_the_server(server, muster):
    server.answers["GET", "/api/alarms"] = 200, {"items": [], "cursor": None}
    told = muster("alarms", "list", "--state", "all", "--site", "harbour", "--severity", "critical")
    assert told.out == "No alarms.\n"
    query = server.calls[-1].query
    assert (query["site"], query["severity"], "state" in query) == ("harbour", "critical", False)
    assert muster("alarms", "list", "--json").json == {"items": []}


def test_an_acknowledgement_says_by_whom(server, muster):
    server.answers["POST", "/api/alarms/7/acknowledge"] = 200, alarm(7, acknowledged_by="operate anna")
    assert muster("alarms", "acknowledge", "7").out == "Alarm 7 is acknowledged by operate anna.\n"


@pytest.mark.parametrize(("text", "seconds"), [("30m", 1_800), ("2h", 7_200), ("90", 90), ("1.5d", 129_600)])
def test_a_silence_has_an_end(server, muster, text, seconds):
    server.answers["POST", "/api/alarms/7/silence"] = 200, alarm(7, silenced_until=NOON)
    assert muster("alarms", "silence", "7", "--for", text).out == f"Alarm 7 is silenced until {NOON}.\n"
    assert server.calls[-1].body == {"seconds": seconds}


def test_a_silence_can_be_ended(server, muster):
    server.answers["POST", "/api/alarms/7/silence"] = 200, alarm(7)
    assert muster("alarms", "silence", "7", "--for", "0").out == "Alarm 7 is not silenced any more.\n"
    assert muster("alarms", "silence", "7", "--for", "0", "--json").json["id"] == 7


def test_a_length_of_time_that_is_none_is_wrong_usage(muster):
    told = muster("alarms", "silence", "7", "--for", "soon")
    assert told.code == 2
    assert "no length of time" in told.err


def test_the_rules_are_listed_with_their_limits(server, muster):
    hot = {"name": "hot", "kind": "metric", "severity": "critical", "enabled": True, "metric": "t", "over": 80.0}
    server.answers["GET", "/api/alarm-rules"] = (
        200,
        {"items": [hot | {"lasts": 60.0, "origin": "api"}], "cursor": None},
    )
    row = muster("alarms", "rules").out.splitlines()[1].split()
    assert row == ["hot", "metric", "critical", "yes", "60", "s", "t", "over", "80", "api"]
    assert muster("alarms", "rules", "--json").json["items"][0]["name"] == "hot"


def test_a_refusal_is_one_sentence(server, muster):
    server.answers["POST", "/api/alarms/9/acknowledge"] = error(404, "there is no alarm of this id")
    told = muster("alarms", "acknowledge", "9")
    assert (told.code, told.err.count("\n")) == (1, 1)
