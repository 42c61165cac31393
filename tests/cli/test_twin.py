"""`muster twin` against a fake of the API."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import error

PATH = "/api/devices/pi-1/twin"


def twin(version=3, reported_version=3, desired=None, reported=None, difference=None):
    return {
        "serial": "pi-1",
        "desired": desired or {},
        "desired_version": version,
        "reported": reported or {},
        "reported_version": reported_version,
        "difference": difference or {},
        "updated": None,
        "desired_updated": None,
        "reported_updated": None,
        "changed_by": "operate joe",
    }


@pytest.fixture
def at(server):
    """The device's twin, which takes every change."""
    server.answers["GET", PATH] = 200, twin()
    server.answers["PATCH", PATH] = 200, twin(4)
    return server


def sent(server):
    return [call.body for call in server.calls if call.method == "PATCH"]


def test_a_twin_is_shown_property_by_property(at, muster_at):
    at.answers["GET", PATH] = (
        200,
        twin(
            desired={"led": {"on": True}, "heartbeat": 15},
            reported={"led": {"on": False}, "heartbeat": 15, "note": "a\u202eb"},
            difference={"led": {"on": True}},
        ),
    )
    told = muster_at("twin", "get", "pi-1")
    assert told.code == 0
    lines = told.out.splitlines()
    assert lines[0] == "pi-1: desired is version 3 by operate joe, the device reports version 3."
    assert [line.split() for line in lines[2:]] == [
        ["heartbeat", "15", "15", "-"],
        ["led.on", "true", "false", "differs"],
        ["note", "-", '"a?b"', "-"],
    ]
    assert muster_at("twin", "get", "pi-1", "--json").json["desired_version"] == 3


def test_a_change_is_made_at_the_version_that_was_read(at, muster_at):
    told = muster_at("twin", "set", "pi-1", "heartbeat=15", "led.on=true", "led.colour=red", 'name="7"', "a.b=1=2")
    assert told.code == 0, told.err
    assert sent(at) == [
        {
            "version": 3,
            "desired": {"heartbeat": 15, "led": {"on": True, "colour": "red"}, "name": "7", "a": {"b": "1=2"}},
        }
    ]


def test_a_version_that_is_given_is_not_read_first(at, muster_at):
    assert muster_at("twin", "set", "pi-1", "a=1", "--version", "2").code == 0
    assert [call.method for call in at.calls] == ["PATCH"]
    assert sent(at)[0]["version"] == 2


def test_properties_are_taken_away_and_a_file_is_merged(at, muster_at, tmp_path):
    (tmp_path / "patch.json").write_text(json.dumps({"led": {"on": False}, "old": 1}))
    told = muster_at("twin", "set", "pi-1", "led.colour=blue", "--unset", "old", "--file", str(tmp_path / "patch.json"))
    assert told.code == 0, told.err
    assert sent(at)[0]["desired"] == {"led": {"on": False, "colour": "blue"}, "old": None}


def test_a_conflict_is_one_sentence_and_exit_code_1(at, muster_at):
    at.answers["PATCH", PATH] = error(409, "the twin of pi-1 is at version 5, not 3: read it and try again")
    told = muster_at("twin", "set", "pi-1", "a=1")
    assert told.code == 1
    assert "is at version 5, not 3" in told.err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("pi-1",),
        ("a=1",),
        ("pi-1", "a"),
        ("pi-1", "=1"),
        ("pi-1", "a..b=1"),
        ("pi-1", "a=1", "a.b=2"),
        ("--group", "pumps"),
        ("--group", "pumps", "--all", "a=1"),
        ("--group", "pumps", "a=1", "--version", "1"),
        ("--all", "a=1", "--wait", "1"),
    ],
)
def test_what_is_no_change_is_wrong_usage(at, muster_at, arguments):
    told = muster_at("twin", "set", *arguments)
    assert told.code == 2, told
    assert sent(at) == []


def test_a_file_that_is_no_object_is_wrong_usage(at, muster_at, tmp_path):
    (tmp_path / "patch.json").write_text("[1]")
    told = muster_at("twin", "set", "pi-1", "--file", str(tmp_path / "patch.json"))
    assert told.code == 2
    assert "--file" in told.err


def test_waiting_ends_when_the_device_has_applied_it(at, muster_at):
    states = [twin(3), twin(4, 3, difference={"a": 1}), twin(4, 4)]
    at.answers["GET", PATH] = lambda _call: (200, states.pop(0) if len(states) > 1 else states[0])
    at.answers["PATCH", PATH] = 200, twin(4, 3, difference={"a": 1})
    told = muster_at("twin", "set", "pi-1", "a=1", "--wait", "20")
    assert told.code == 0
    assert "the device reports version 4" in told.out


def test_waiting_in_vain_is_exit_code_1(at, muster_at):
    at.answers["GET", PATH] = 200, twin(4, 3, difference={"a": 1})
    at.answers["PATCH", PATH] = 200, twin(4, 3, difference={"a": 1})
    assert muster_at("twin", "set", "pi-1", "a=1", "--wait", "0.05").code == 1


def test_a_group_is_changed_in_one_call_and_refusals_are_told(at, muster_at):
    items = [
        {"device": "a", "state": "changed", "desired_version": 1, "reason": None},
        {"device": "b", "state": "refused", "desired_version": None, "reason": "`desired` is too large"},
    ]
    at.answers["PATCH", "/api/twins"] = 200, {"changed": 1, "unchanged": 0, "refused": 1, "items": items}
    told = muster_at("twin", "set", "--group", "pumps", "a=1")
    assert (told.code, told.err) == (1, "b: `desired` is too large\n")
    assert told.out == "1 changed, 0 as desired already, 1 refused.\n"
    assert sent(at) == [{"group": "pumps", "desired": {"a": 1}}]
    items.pop()
    at.answers["PATCH", "/api/twins"] = 200, {"changed": 1, "unchanged": 0, "refused": 0, "items": items}
    assert muster_at("twin", "set", "--all", "a=1", "--json").json["changed"] == 1
    assert sent(at)[-1] == {"all": True, "desired": {"a": 1}}
