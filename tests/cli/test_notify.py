"""`muster notify` against a fake of the API."""

from __future__ import annotations

import json

import pytest

from supervisor.cli import notify
from tests.cli.conftest import error

SENT = {"id": "n1", "recipients": 1, "warnings": [], "duplicate": False}


def found(*, waiting=0, **counts):
    delivery = {"device": "plc-01", "topic": "factory/alerts", "state": "accepted", "reason": None, "updated": None}
    known = {"id": "n1", "status": "accepted", "recipients": sum(counts.values()), "waiting": waiting}
    return known | {"counts": counts, "deliveries": [delivery]}


@pytest.fixture
def api(server):
    server.answers["POST", "/api/notifications"] = 202, SENT
    server.answers["GET", "/api/notifications/n1"] = 200, found(accepted=1)
    return server


def body_of(api):
    return next(call.body for call in api.calls if call.method == "POST")


def test_a_notification_to_a_device_is_followed_until_the_broker_has_it(api, muster_at):
    told = muster_at("notify", "plc-01", "Temperature alert", "85 °C", "--priority", "high")
    assert told.code == 0
    assert body_of(api) == {"device": "plc-01", "title": "Temperature alert", "body": "85 °C", "priority": "high"}
    assert told.out.splitlines()[1].split() == ["plc-01", "factory/alerts", "accepted", "-"]


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (("--group", "pumps", "Noon"), {"group": "pumps", "title": "Noon"}),
        (("--all", "Noon", "now"), {"all": True, "title": "Noon", "body": "now"}),
        (("--topic", "a/b", "Noon", "--retain"), {"topic": "a/b", "title": "Noon", "retain": True}),
        (("pi-1", "Noon", "--qos", "0", "--ttl", "9"), {"device": "pi-1", "title": "Noon", "qos": 0, "ttl": 9.0}),
        (("pi-1", "--data", '{"a": 1}'), {"device": "pi-1", "data": {"a": 1}}),
    ],
)
def test_options_say_for_whom_and_how(api, muster_at, arguments, body):
    assert muster_at("notify", *arguments, "--no-wait").code == 0
    assert body_of(api) == body


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("pi-1",),
        ("pi-1", "a", "b", "c"),
        ("--group", "g", "--all", "x"),
        ("pi-1", "x", "--data", "[1]"),
        ("pi-1", "x", "--priority", "critical"),
        ("pi-1", "x", "--qos", "3"),
        ("pi-1", "x", "--ttl", "nan"),
        ("pi-1", "x", "--ttl", "inf"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(api, muster_at, arguments):
    assert muster_at("notify", *arguments).code == 2
    assert api.calls == []


def test_without_waiting_only_the_id_is_told(api, muster_at):
    assert muster_at("notify", "pi-1", "x", "--no-wait").out == "n1\n"
    assert muster_at("notify", "pi-1", "x", "--no-wait", "--json").json == SENT


def test_warnings_are_shown(api, muster_at):
    api.answers["POST", "/api/notifications"] = 202, SENT | {"warnings": ["large"]}
    assert muster_at("notify", "pi-1", "x").err == "Warning: large.\n"


@pytest.mark.parametrize("counts", [{"failed": 1}, {"expired": 1, "accepted": 1}])
def test_what_failed_is_a_failure(api, muster_at, counts):
    api.answers["GET", "/api/notifications/n1"] = 200, found(**counts)
    assert muster_at("notify", "pi-1", "x").code == 1


def test_what_is_not_with_the_broker_in_time_is_a_failure(api, muster_at):
    api.answers["GET", "/api/notifications/n1"] = 200, found(waiting=1, queued=1)
    assert muster_at("notify", "pi-1", "x", "--timeout", "0").code == 1


def test_a_refusal_is_one_sentence(api, muster_at):
    api.answers["POST", "/api/notifications"] = error(404, "there is no device pi-1")
    told = muster_at("notify", "pi-1", "x")
    assert (told.code, told.err.count("\n")) == (1, 1)
    assert "there is no device pi-1" in told.err


def test_a_server_that_restarts_is_asked_again_for_the_same(api, muster_at):
    answers = iter([error(503, "restarting"), (200, SENT)])
    api.answers["POST", "/api/notifications"] = lambda _call: next(answers)
    assert muster_at("notify", "pi-1", "x").code == 0
    assert sum(call.method == "POST" for call in api.calls) == 2


@pytest.fixture
def bulk(api, tmp_path):
    answer = SENT | {"recipients": 2, "accepted": 2, "refused": 0}
    results = [{"id": "n1-0", "error": None}, {"id": "n1-1", "error": None}]
    api.answers["POST", "/api/notifications/bulk"] = 202, answer | {"notifications": results}
    api.answers["GET", "/api/notifications/n1"] = 200, found(accepted=2)
    path = tmp_path / "alerts.jsonl"
    path.write_text('{"topic": "a", "payload": {"title": "x"}}\n\n{"device": "pi-1", "title": "y"}\n')
    return path


def test_a_file_is_sent_in_one_call(api, muster_at, bulk):
    told = muster_at("notify", "--bulk", str(bulk))
    assert (told.code, told.out) == (0, "2 accepted\n")
    assert body_of(api)["notifications"] == [json.loads(line) for line in bulk.read_text().splitlines() if line]


def test_what_is_refused_of_a_file_is_told(api, muster_at, bulk):
    answer = api.answers["POST", "/api/notifications/bulk"][1]
    answer["notifications"][1] = {"id": None, "error": {"code": "bad_topic", "message": "topic: no", "details": {}}}
    told = muster_at("notify", "--bulk", str(bulk), "--json")
    assert (told.code, told.err) == (1, "Refused: line 3: topic: no.\n")
    assert told.json["found"][0]["counts"] == {"accepted": 2}


def test_a_long_file_goes_in_several_calls(api, muster_at, bulk, monkeypatch):
    monkeypatch.setattr(notify, "_AT_ONCE", 1)
    told = muster_at("notify", "--bulk", str(bulk), "--no-wait")
    assert (told.code, told.out) == (0, "n1\nn1\n")
    assert [len(call.body["notifications"]) for call in api.calls] == [1, 1]


def test_a_heavy_file_goes_in_several_calls(api, muster_at, bulk):
    bulk.write_text(json.dumps({"topic": "a", "body": "y" * 1_000_000}) + "\n")
    bulk.write_text(bulk.read_text() * 10)
    assert muster_at("notify", "--bulk", str(bulk), "--no-wait").code == 0
    assert [len(call.body["notifications"]) for call in api.calls] == [3, 3, 3, 1]


def test_a_line_that_the_server_cannot_read_is_named_and_nothing_is_sent(api, muster_at, bulk):
    refusal = {"code": "bad_request", "message": "no", "details": {"field": "notifications[1].titel"}}
    api.answers["POST", "/api/notifications/bulk"] = 400, {"error": refusal}
    told = muster_at("notify", "--bulk", str(bulk))
    assert (told.code, told.out, told.err.count("\n")) == (1, "", 1)
    assert f"Line 3 of {bulk}: " in told.err
    assert "Nothing was sent." in told.err


def test_what_was_sent_before_a_refused_call_is_told(api, muster_at, bulk, monkeypatch):
    monkeypatch.setattr(notify, "_AT_ONCE", 1)
    good = api.answers["POST", "/api/notifications/bulk"]
    refusal = {"code": "bad_request", "message": "no", "details": {"field": "notifications[0].titel"}}
    answers = iter([good, (400, {"error": refusal})])
    api.answers["POST", "/api/notifications/bulk"] = lambda _call: next(answers)
    told = muster_at("notify", "--bulk", str(bulk))
    assert (told.code, told.err.count("\n")) == (1, 1)
    assert f"Line 3 of {bulk}: " in told.err
    assert "What stands above line 3 was sent." in told.err


def test_a_bulk_whose_server_stays_away_is_told_as_in_doubt(api, muster_at, bulk, monkeypatch):
    monkeypatch.setattr(notify, "_PATIENCE", 0.0)
    api.answers["POST", "/api/notifications/bulk"] = error(503, "restarting")
    told = muster_at("notify", "--bulk", str(bulk))
    assert (told.code, told.err.count("\n")) == (1, 1)
    assert "Whether what stands from line 1 on was sent is not known." in told.err


def test_a_bulk_is_watched_without_its_deliveries(api, muster_at, bulk):
    muster_at("notify", "--bulk", str(bulk))
    assert [call.query["limit"] for call in api.calls if call.method == "GET"] == ["1"]


@pytest.mark.parametrize("text", ["", "\n", "{", "[1]\n"])
def test_a_file_that_holds_no_notifications_is_wrong_usage(api, muster_at, tmp_path, text):
    path = tmp_path / "bad.jsonl"
    path.write_text(text)
    told = muster_at("notify", "--bulk", str(path))
    assert told.code == 2
    assert api.calls == []


def test_a_file_goes_with_no_other_text(api, muster_at, bulk):
    assert muster_at("notify", "pi-1", "x", "--bulk", str(bulk)).code == 2
    assert muster_at("notify", "--topic", "a", "--bulk", str(bulk)).code == 2
