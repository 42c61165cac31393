"""`muster command` and `muster commands` against a fake of the API."""

from __future__ import annotations

import pytest

from tests.cli.conftest import error

ID = "0" * 31 + "1"
BATCH = "0" * 31 + "b"
ONE = ("POST", "/api/devices/pi-1/commands")


def row(state="succeeded", device="pi-1", **fields):
    known = {"id": ID, "device": device, "name": "ping", "args": {}, "state": state, "result": None, "reason": None}
    times = {"created": "2026-01-31T12:00:00.000Z", "updated": "2026-01-31T12:00:00.000Z"}
    return known | times | {"batch": None, "by": "admin"} | fields


def in_turn(*answers):
    """Answers one after the other, the last for ever."""
    left = list(answers)
    return lambda _call: (200, left.pop(0) if len(left) > 1 else left[0])


@pytest.fixture
def taken(server):
    """A server that takes commands for `pi-1`, and for many."""
    server.answers[ONE] = 202, {"id": ID}
    many = {"id": BATCH, "commands": [{"device": "a", "id": "1"}, {"device": "b", "id": "2"}]}
    server.answers["POST", "/api/commands"] = 202, many
    return server


def body_of(server, number=0):
    return server.calls[number].body


def test_a_command_shows_how_it_goes_and_ends_with_what_the_device_gave_back(taken, muster_at):
    rows = (row("queued"), row("sent"), row("sent"), row("running"), row(result={"uptime": 5}))
    taken.answers["GET", f"/api/commands/{ID}"] = in_turn(*rows)
    told = muster_at("command", "pi-1", "ping")
    assert told.code == 0
    assert told.json == {"uptime": 5}
    first, *others = told.err.splitlines()
    assert first.startswith("pi-1: queued, the device is away")
    assert others == ["pi-1: sent", "pi-1: running", "pi-1: succeeded"]


def test_arguments_are_json_where_they_can_be(taken, muster_at):
    taken.answers["GET", f"/api/commands/{ID}"] = 200, row()
    assert muster_at("command", "pi-1", "set", "heartbeat=10", "name=a b", "on=true", "--timeout", "5").code == 0
    assert body_of(taken) == {"name": "set", "args": {"heartbeat": 10, "name": "a b", "on": True}, "timeout": 5.0}
    muster_at("command", "pi-1", "set", "--args", '{"a": [1]}', "b=2")
    assert taken.calls[-2].body["args"] == {"a": [1], "b": 2}
    deep = "[" * 5_000
    muster_at("command", "pi-1", "set", f"a={deep}", "b=\udcff")
    assert taken.calls[-2].body["args"] == {"a": deep, "b": "?"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pi-1",), "Name a device and a command"),
        (("pi-1", "set", "heartbeat"), "write KEY=VALUE"),
        (("pi-1", "set", "--args", "[1]"), "no JSON object"),
        (("pi-1", "set", "--args", '{"a":' + "[" * 5_000), "no JSON object"),
        (("ping", "--group", "shed", "--all"), "exclude each other"),
        (("pi-1", "ping", "--timeout", "0"), "--timeout"),
    ],
)
def test_wrong_usage_is_told(taken, muster_at, words, said):
    told = muster_at("command", *words)
    assert (told.code, said in told.err) == (2, True)
    assert taken.calls == []


def test_text_that_a_device_gives_back_is_printed_as_it_is(taken, muster_at):
    taken.answers["GET", f"/api/commands/{ID}"] = 200, row(result="line 1\nline 2")
    assert muster_at("command", "pi-1", "logs").out == "line 1\nline 2\n"


def test_a_command_that_fails_ends_with_its_reason_and_one(taken, muster_at):
    taken.answers["GET", f"/api/commands/{ID}"] = 200, row("failed", reason="`format` is\x1b none of the commands")
    told = muster_at("command", "pi-1", "format")
    assert (told.code, told.out) == (1, "")
    assert told.err == "pi-1: failed: `format` is? none of the commands\n"


def test_json_is_the_row_alone(taken, muster_at):
    taken.answers["GET", f"/api/commands/{ID}"] = in_turn(row("sent"), row("timed_out"))
    told = muster_at("command", "pi-1", "ping", "--json")
    assert (told.code, told.json, told.err) == (1, row("timed_out"), "")


def test_nobody_has_to_wait(taken, muster_at):
    assert muster_at("command", "pi-1", "ping", "--no-wait").out == f"{ID}\n"
    assert muster_at("command", "pi-1", "ping", "--no-wait", "--json").json == {"id": ID}
    assert len(taken.calls) == 2


@pytest.mark.parametrize(("option", "target"), [(("--group", "shed"), {"group": "shed"}), (("--all",), {"all": True})])
def test_a_group_and_all_are_counted_while_they_answer(taken, muster_at, option, target):
    pages = ([row("sent", "a"), row("queued", "b")], [row("succeeded", "a"), row("timed_out", "b", reason="asleep")])
    taken.answers["GET", "/api/commands"] = in_turn(*({"items": page, "cursor": None} for page in pages))
    told = muster_at("command", "ping", *option)
    assert told.code == 1
    assert body_of(taken) == {"name": "ping", "args": {}, "timeout": 60.0} | target
    assert taken.calls[1].query["batch"] == BATCH
    assert told.err.splitlines() == ["2 devices: 1 queued, 1 sent", "2 devices: 1 succeeded, 1 timed_out"]
    assert told.out.splitlines()[1].split() == ["b", "timed_out", "asleep"]


def test_all_that_has_become_of_a_group_is_there_as_json(taken, muster_at):
    taken.answers["GET", "/api/commands"] = 200, {"items": [row(device="a")], "cursor": None}
    told = muster_at("command", "ping", "--all", "--json")
    assert (told.code, told.json) == (0, {"id": BATCH, "commands": [row(device="a")]})


def test_an_unknown_device_is_one_sentence(server, muster_at):
    server.answers["POST", "/api/devices/pi-9/commands"] = error(404, "there is no device pi-9")
    told = muster_at("command", "pi-9", "ping")
    assert (told.code, told.err.count("\n")) == (1, 1)


def test_the_list_shows_what_was_asked_of_whom(server, muster_at):
    server.answers["GET", "/api/commands"] = 200, {"items": [row("failed", reason="no")], "cursor": None}
    told = muster_at("commands", "list", "--device", "pi-1", "--state", "failed", "--limit", "5")
    assert told.out.splitlines()[1].split()[-5:] == ["pi-1", "ping", "failed", "no", "admin"]
    assert server.calls[0].query == {"device": "pi-1", "state": "failed", "limit": "5"}
    assert muster_at("commands", "list", "--json").json["items"] == [row("failed", reason="no")]


def test_a_command_is_cancelled_by_its_id(server, muster_at):
    cancelled = row("cancelled", reason="cancelled by admin")
    server.answers["POST", f"/api/commands/{ID}/cancel"] = 200, cancelled
    assert muster_at("commands", "cancel", ID).out == "pi-1: cancelled: cancelled by admin\n"
    assert muster_at("commands", "cancel", ID, "--json").json == cancelled
