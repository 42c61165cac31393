"""`muster rollout` against a fake of the API."""

from __future__ import annotations

import pytest

from supervisor.cli import rollout as module
from tests.cli.conftest import error
from tests.web.fake_rollouts import device as fake_device
from tests.web.fake_rollouts import rollout as fake_rollout
from web.routes_rollouts import device_json, rollout_json

NIGHT = {"days": ["mon", "fri"], "begin": "22:00", "end": "04:30", "timezone": "Europe/Rome"}


def rollout(rollout_id="r1", **fields):
    return rollout_json(fake_rollout(rollout_id, **fields))


@pytest.fixture
def sent(server, muster_at):
    """Runs a command and returns what the server was sent in the first call."""

    def run(*arguments, code=0):
        server.calls.clear()
        result = muster_at("rollout", *arguments)
        assert result.code == code, result
        run.result = result
        return server.calls[0].body

    server.answers["POST", "/api/rollouts"] = 201, rollout()
    return run


def test_a_rollout_is_started_for_named_devices(sent):
    assert sent("start", "2.0", "pi-1", "pi-2") == {"release": "2.0", "devices": ["pi-1", "pi-2"]}
    assert "r1: 2.0 to all devices: running, wave 1 of 3." in sent.result.out


def test_all_that_can_be_said_of_it_is_sent(sent):
    options = ["--share=0.5", "--wave=0.1:1:60", "--wave=1", "--failures=0.2", "--silent-after=1800", "--retries=2"]
    assert sent("start", "2.0", "--group", "pumps", *options, "--force", "--no-call") == {
        "release": "2.0",
        "group": "pumps",
        "share": 0.5,
        "waves": [{"share": 0.1, "success": 1.0, "wait": 60.0}, {"share": 1.0}],
        "halt": {"failures": 0.2, "silent_after": 1800.0},
        "retries": 2,
        "force": True,
        "call": False,
    }
    assert sent("start", "2.0", "--all") == {"release": "2.0", "all": True}


@pytest.mark.parametrize(
    "arguments",
    [
        ["start", "2.0"],
        ["start", "2.0", "pi-1", "--all"],
        ["start", "2.0", "--all", "--wave", "a:b"],
        ["start", "2.0", "--all", "--wave", "1:1:1:1"],
        ["start", "2.0", "--all", "--share", "0"],
        ["windows", "--clear"],
        ["windows", "x", "--clear", "--between", "01:00", "02:00"],
        ["windows", "x", "--between", "25:00", "02:00"],
        ["windows", "x", "--between", "01:00", "2:00"],
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_sent(server, muster_at, arguments):
    assert muster_at("rollout", *arguments).code == 2
    assert server.calls == []


def test_a_refusal_is_a_sentence(server, muster_at):
    server.answers["POST", "/api/rollouts"] = error(409, "pi-1 is in the rollout r0 of 1.9, which is running")
    result = muster_at("rollout", "start", "2.0", "pi-1")
    assert result.code == 1
    assert "pi-1 is in the rollout r0" in result.err


def test_rollouts_are_listed(server, muster_at):
    items = [rollout("r2", status="halted", reason="too many\x1b[31m", counts={"succeeded": 3, "silent": 1}), rollout()]
    server.answers["GET", "/api/rollouts"] = 200, {"items": items, "cursor": None}
    result = muster_at("rollout", "list", "--status", "halted")
    _, first, second = result.out.splitlines()
    assert "halted" in first
    assert "3 of 4" in first
    assert "\x1b" not in first
    assert "0 of 20" in second
    assert server.calls[0].query["status"] == "halted"
    assert muster_at("rollout", "list", "--json").json["items"][0]["id"] == "r2"


def test_a_rollout_is_shown_with_its_waves_and_devices(server, muster_at):
    waves = [{"share": 1.0, "success": 1.0, "wait": 0.0, "devices": 1, "counts": {"rolled_back": 1}}]
    server.answers["GET", "/api/rollouts/r1"] = 200, rollout(waves=waves)
    devices = [device_json(fake_device("pi-1", "rolled_back", reason="starts", progress=0.5))]
    server.answers["GET", "/api/rollouts/r1/devices"] = 200, {"items": devices, "cursor": None}
    out = muster_at("rollout", "show", "r1").out
    assert "wave 1: 1 rolled back" in out
    assert "pi-1" in out
    assert "50%" in out
    assert muster_at("rollout", "show", "r1", "--json").json["items"][0]["device"] == "pi-1"


@pytest.mark.parametrize(("status", "code"), [("completed", 0), ("halted", 1), ("cancelled", 1)])
def test_watching_ends_with_the_rollout_and_tells_how(server, muster_at, monkeypatch, status, code):
    monkeypatch.setattr(module, "LOOK_EVERY", 0.01)
    answers = iter([rollout(), rollout(), (503, {}), rollout(counts={"succeeded": 20}, status=status)])

    def answer(_call):
        told = next(answers)
        return told if isinstance(told, tuple) else (200, told)

    server.answers["GET", "/api/rollouts/r1"] = answer
    result = muster_at("rollout", "watch", "r1")
    assert result.code == code
    first, last = result.out.splitlines()
    assert first.endswith("running, wave 1 of 3. 1 offered, 19 pending")
    assert last.endswith(f"{status}, wave 1 of 3. 20 succeeded")
    assert "looking again for 60 s" in result.err


def test_watching_begins_only_with_a_server_that_answers(server, muster_at):
    server.answers["GET", "/api/rollouts/r1"] = lambda _call: (503, {})
    assert muster_at("rollout", "watch", "r1").code == 1
    assert len(server.calls) == 1


def test_watching_a_rollout_that_there_is_not_fails(server, muster_at):
    assert muster_at("rollout", "watch", "r9").code == 1


def test_the_live_table_shows_waves_and_what_has_failed(server, muster_at):
    from rich.console import Console

    from supervisor.cli.client import ApiClient

    devices = [device_json(fake_device("pi-1", "rolled_back", reason="starts \x1b[31m"))]
    server.answers["GET", "/api/rollouts/r1/devices"] = 200, {"items": devices, "cursor": None}
    waves = [
        {"share": 0.1, "success": 1.0, "wait": 0.0, "devices": 3, "counts": {"rolled_back": 1, "succeeded": 2}},
        {"share": 1.0, "success": 1.0, "wait": 0.0, "devices": 9, "counts": {"pending": 9}},
    ]
    shown = rollout(waves=waves, counts={"rolled_back": 1, "succeeded": 2, "pending": 9})
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    with ApiClient(server.url, "s3cret") as client, console.file:
        console.print(module._table(client, shown))
        text = console.export_text()
    assert [line.split() for line in text.splitlines()[2:4]] == [
        [">", "1", "3", "2", "0", "1", "0"],
        ["2", "9", "0", "0", "0", "9"],
    ]
    assert "pi-1: rolled_back starts ?[31m" in text


def test_starting_can_go_on_to_watch(server, sent):
    server.answers["GET", "/api/rollouts/r1"] = 200, rollout(status="completed")
    sent("start", "2.0", "--all", "--watch", "--json")
    assert sent.result.json["status"] == "completed"


@pytest.mark.parametrize("order", ["pause", "resume", "cancel"])
def test_a_rollout_is_ordered_about(server, sent, order):
    server.answers["POST", f"/api/rollouts/r1/{order}"] = 200, rollout(status="paused")
    assert sent(order, "r1") == {}
    assert "paused" in sent.result.out


def test_a_retry_may_name_devices(server, sent):
    server.answers["POST", "/api/rollouts/r1/retry"] = 200, rollout()
    assert sent("retry", "r1") == {}
    assert sent("retry", "r1", "pi-1") == {"devices": ["pi-1"]}


def test_windows_are_listed_set_and_cleared(server, sent):
    row = {"site": "plant-1", "source": "api", "open": False, "windows": [NIGHT]}
    server.answers["GET", "/api/maintenance-windows"] = 200, {"items": [row], "cursor": None}
    server.answers["PUT", "/api/maintenance-windows/plant-1"] = 200, row
    sent("windows")
    assert "mon fri 22:00-04:30 Europe/Rome" in sent.result.out
    arguments = ("--between", "22:00", "04:30", "--day", "mon", "--day", "fri", "--timezone", "Europe/Rome")
    assert sent("windows", "plant-1", *arguments) == {"windows": [NIGHT]}
    assert sent("windows", "plant-1", "--clear", "--json") == {"windows": []}
