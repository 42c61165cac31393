"""The reading commands: the same facts for people and, with `--json`, for programs."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from actors.version import __version__
from supervisor.cli.common import ago, show
from supervisor.cli.main import _COMMANDS
from supervisor.cli.status import duration
from tests.cli.conftest import TOKEN, error

HEALTH = {
    "status": "ok",
    "version": "1.2.3",
    "uptime": 3720.5,
    "broker": {"connected": True},
    "database": {"ok": True},
    "actors": {"alive": 120, "restarts": 3},
    "devices": {"total": 5, "online": 3, "offline": 1, "unknown": 1},
}
DEVICE = {
    "serial": "817994ccfe14",
    "kind": "raspberry_pi",
    "type": None,
    "site": None,
    "label": None,
    "hostname": "raspberrypi",
    "presence": "online",
    "reason": "heartbeat",
    "since": "2025-08-22T15:30:00.000Z",
    "last_seen": "2025-08-22T15:30:00.000Z",
    "ip_address": "192.168.1.100",
}
TREE = {
    "id": "server",
    "path": "server",
    "type": "supervisor",
    "state": "running",
    "restarts": 0,
    "mailbox": 0,
    "counts": {"running": 1, "backing_off": 1},
    "children": [
        {
            "id": "registry",
            "state": "backing_off",
            "restarts": 4,
            "mailbox": 17,
            "next_restart_in": 2.44,
            "last_exception": {"error": "StoreUnavailable: no disk", "at": "2025-08-22T15:30:00.000Z"},
            "children": [],
        },
        {
            "id": "devices",
            "state": "running",
            "restarts": 0,
            "children": [],
            "counts": {"running": 900, "backing_off": 2},
        },
    ],
}


# -- status -----------------------------------------------------------------------------------------------------------


def test_status_tells_how_server_and_fleet_are(muster_at, server):
    server.answers["GET", "/api/health"] = (200, HEALTH)
    result = muster_at("status")
    assert result.code == 0
    for words in (
        "ok",
        "1.2.3",
        "1 h 2 min",
        "connected",
        "120 alive",
        "3 restarts",
        "5 devices: 3 online, 1 offline, 1 unknown",
    ):
        assert words in result.out


def test_status_as_json_is_the_servers_answer(muster_at, server):
    server.answers["GET", "/api/health"] = (200, HEALTH)
    assert muster_at("status", "--json").json == HEALTH


def test_a_degraded_server_still_serves(muster_at, server):
    server.answers["GET", "/api/health"] = (200, {**HEALTH, "status": "degraded"})
    assert muster_at("status").code == 0


def test_a_failing_server_is_shown_with_its_reasons_and_is_a_failure(muster_at, server):
    broker = {"connected": False, "links": {"local.data": "backing_off"}}
    database = {"ok": False, "error": "no route"}
    failing = HEALTH | {"status": "failing", "broker": broker, "database": database}
    server.answers["GET", "/api/health"] = (503, failing)
    result = muster_at("status")
    assert result.code == 1
    assert "failing" in result.out
    assert "not connected: local.data is backing off" in result.out
    assert "away: no route" in result.out


@pytest.mark.parametrize(
    ("seconds", "text"), [(5.9, "5 s"), (65, "1 min 5 s"), (3725, "1 h 2 min"), (90_000, "1 d 1 h")]
)
def test_durations_are_for_people(seconds, text):
    assert duration(seconds) == text


# -- devices ----------------------------------------------------------------------------------------------------------


def test_devices_are_listed_in_whole_lines_when_no_terminal_reads(muster_at, server):
    server.answers["GET", "/api/devices"] = (200, {"items": [DEVICE], "cursor": None})
    result = muster_at("devices")
    header, line = result.out.splitlines()
    assert header.split()[:3] == ["SERIAL", "NAME", "KIND"]
    assert line.split()[:5] == ["817994ccfe14", "raspberrypi", "raspberry_pi", "-", "online"]
    assert line.rstrip().endswith("192.168.1.100")


def test_filters_are_passed_on(muster_at, server):
    server.answers["GET", "/api/devices"] = (200, {"items": [], "cursor": None})
    muster_at("devices", "--site", "plant 1", "--kind", "gateway", "--type", "t", "--presence", "offline", "-q", "a&b")
    assert server.calls[-1].query == {
        "site": "plant 1",
        "kind": "gateway",
        "type": "t",
        "presence": "offline",
        "q": "a&b",
        "limit": "1000",
    }


def test_devices_as_json_are_complete(muster_at, server):
    server.answers["GET", "/api/devices"] = (200, {"items": [DEVICE], "cursor": None})
    assert muster_at("devices", "--json").json == {"items": [DEVICE]}


def test_every_page_is_shown(muster_at, server):
    pages = {None: ([{**DEVICE, "serial": "a"}], "2"), "2": ([{**DEVICE, "serial": "b"}], None)}

    def page(call):
        items, cursor = pages[call.query.get("cursor")]
        return 200, {"items": items, "cursor": cursor}

    server.answers["GET", "/api/devices"] = page
    assert [item["serial"] for item in muster_at("devices", "--json").json["items"]] == ["a", "b"]


def test_a_name_full_of_control_characters_cannot_touch_the_terminal(muster_at, server):
    server.answers["GET", "/api/devices"] = (200, {"items": [{**DEVICE, "hostname": "\x1b[2J[red]x"}], "cursor": None})
    out = muster_at("devices").out
    assert "\x1b" not in out
    assert "?[2J[red]x" in out


def test_an_unknown_presence_is_wrong_usage(muster_at):
    assert muster_at("devices", "--presence", "asleep").code == 2


# -- resolve ----------------------------------------------------------------------------------------------------------


def test_resolve_prints_the_address_alone_on_stdout(muster_at, server):
    found = {"serial": "817994ccfe14", "address": "192.168.1.100", "hostname": "raspberrypi", "method": "mdns"}
    server.answers["GET", "/api/resolve"] = (200, found)
    result = muster_at("resolve")
    assert (result.code, result.out) == (0, "192.168.1.100\n")
    assert "raspberrypi" in result.err
    assert "mDNS" in result.err
    assert server.calls[-1].query == {"type": "raspberry_pi"}
    assert muster_at("resolve", "--type", "gateway", "--json").json == found
    assert server.calls[-1].query == {"type": "gateway"}


# -- the tree, dead letters, tokens -----------------------------------------------------------------------------------


def test_the_tree_shows_what_is_remarkable(muster_at, server):
    server.answers["GET", "/api/supervision"] = (200, TREE)
    result = muster_at("tree")
    assert result.code == 0
    registry = next(line for line in result.out.splitlines() if "registry" in line)
    for words in ("backing off, next start in 2.4 s", "4 restarts", "17 waiting", "StoreUnavailable: no disk ("):
        assert words in registry
    assert "900 running, 2 backing off" in result.out
    assert "1 running" not in result.out
    assert muster_at("tree", "--json").json == TREE


def test_dead_letters_are_listed_with_their_reason(muster_at, server):
    letter = {
        "id": 7,
        "rx": "2025-08-22T15:30:00.000Z",
        "reason": "not_json",
        "topic": "devices/announce",
        "detail": "it ends too early",
        "payload": '{"device_id": "',
    }
    server.answers["GET", "/api/dead-letters"] = (200, {"items": [letter], "cursor": "6"})
    result = muster_at("dead-letters", "--limit", "1")
    for words in ("7", "not_json", "devices/announce", "it ends too early"):
        assert words in result.out
    assert len(server.calls) == 1
    assert muster_at("dead-letters", "--limit", "1", "--json").json == {"items": [letter]}


def test_a_token_is_made_and_printed_alone(muster_at, server):
    server.answers["POST", "/api/tokens"] = (201, {"id": 3, "name": "ci", "role": "operate", "token": "abc"})
    result = muster_at("token", "create", "ci", "--role", "operate")
    assert (result.code, result.out) == (0, "abc\n")
    assert server.calls[-1].body == {"name": "ci", "role": "operate"}


def test_a_devices_token_names_its_serial(muster_at, server):
    server.answers["POST", "/api/tokens"] = (201, {"id": 3, "name": "d", "role": "device", "token": "abc"})
    assert muster_at("token", "create", "d", "--role", "device", "--serial", "S1").code == 0
    assert server.calls[-1].body == {"name": "d", "role": "device", "serial": "S1"}
    assert muster_at("token", "create", "d", "--role", "device").code == 2
    assert muster_at("token", "create", "d", "--serial", "S1").code == 2


def test_tokens_are_listed_and_revoked(muster_at, server):
    item = {"id": 3, "name": "ci", "role": "read", "serial": None, "created": "2025-08-22T15:30:00.000Z"}
    server.answers["GET", "/api/tokens"] = (200, {"items": [item], "cursor": None})
    server.answers["DELETE", "/api/tokens/3"] = (200, {"id": 3})
    assert "ci" in muster_at("token", "list").out
    assert muster_at("token", "list", "--json").json == {"items": [item]}
    assert muster_at("token", "revoke", "3").code == 0
    assert (server.calls[-1].method, server.calls[-1].path) == ("DELETE", "/api/tokens/3")
    assert muster_at("token", "revoke", "three").code == 2


def test_a_refusal_is_a_failure(muster_at, server):
    server.answers["DELETE", "/api/tokens/9"] = error(403, "this needs the role admin")
    result = muster_at("token", "revoke", "9")
    assert result.code == 1
    assert "this needs the role admin" in result.err


# -- the frame --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", list(_COMMANDS))
def test_every_command_explains_itself(muster, command):
    result = muster(command, "--help")
    assert result.code == 0
    assert "Usage: muster" in result.out


def test_the_list_of_commands_is_whole_sentences(muster):
    out = muster("--help").out
    assert all(command in out for command in _COMMANDS)
    assert "..." not in out.partition("Commands:")[2]


@pytest.mark.parametrize("arguments", [["fly"], ["status", "--fly"], ["token", "create"]])
def test_wrong_usage_is_exit_code_2(muster, arguments):
    result = muster(*arguments)
    assert result.code == 2
    assert "Traceback" not in result.err


def test_the_version_is_told(muster):
    assert muster("--version").out == f"muster {__version__}\n"


def test_asking_for_help_loads_neither_tables_nor_the_server():
    code = (
        "import sys; from supervisor.cli.main import run; run(['--help']);"
        "print(sorted({'rich', 'peewee', 'bottle'} & {name.partition('.')[0] for name in sys.modules}))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.splitlines()[-1] == "[]"


@pytest.mark.parametrize("arguments", [("status",), ("status", "--json"), ("devices",), ("tree",)])
def test_a_reader_that_has_seen_enough_is_no_failure(server, arguments):
    server.answers["GET", "/api/health"] = (200, HEALTH)
    server.answers["GET", "/api/devices"] = (200, {"items": [DEVICE], "cursor": None})
    server.answers["GET", "/api/supervision"] = (200, TREE)
    code = f"import sys; from supervisor.cli.main import run; sys.exit(run({[*arguments, '--url', server.url]!r}))"
    read_end, write_end = os.pipe()
    os.close(read_end)
    command, environment = [sys.executable, "-c", code], os.environ | {"MUSTER_API_TOKEN": TOKEN}
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("seconds", "text"), [(1, "1 s"), (119, "119 s"), (150, "2 min"), (7500, "2 h"), (200_000, "2 d"), (-5, "0 s")]
)
def test_ages_are_short(seconds, text):
    now = datetime(2025, 8, 22, 15, 30, tzinfo=UTC)
    when = datetime.fromtimestamp(now.timestamp() - seconds, UTC).isoformat().replace("+00:00", "Z")
    assert ago(when, now) == text


def test_what_is_not_known_is_a_dash():
    assert (show(None), show(""), show(0), ago(None)) == ("-", "-", "0", "-")
