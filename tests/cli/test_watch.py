"""`--watch`: live on a terminal, in lines elsewhere, right after a restart, and gone without a trace."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue

import pytest

from supervisor.cli.watch import Mark
from supervisor.process.rundir import RuntimeDirectory, ServerFiles
from tests.cli.conftest import TOKEN, FakeServer, error
from tests.cli.test_commands import DEVICE, HEALTH, TREE
from tests.support.terminal import Terminal

LEAVES = "\x1b[?1049l"
"""Gives the screen back as it was."""
LINK = {"name": "local.data", "state": "subscribed", "connected": True, "detail": "", "since": None}
ALARM = {"id": 7, "severity": "critical", "state": "open", "rule": "r", "summary": "Tank 4 is hot", "raised": None}
SITE = {"site": "plant-1", "total": 5, "online": 3, "offline": 1, "unknown": 1, "flapping": 2, "quarantined": 0}


@pytest.fixture
def live(server):
    """The fake with a fleet and a stream; `live.put(frame)` sends an event, `live.put(None)` ends the stream."""
    queue = SimpleQueue()
    server.answers |= {
        ("GET", "/api/health"): (200, HEALTH),
        ("GET", "/api/devices"): (200, {"items": [DEVICE], "cursor": None, "matches": 1}),
        ("GET", "/api/supervision"): (200, TREE),
        ("GET", "/api/events"): lambda _: (200, iter(queue.get, None)),
    }
    yield queue
    for _ in range(4):
        queue.put(None)


def watch(server, *arguments, columns=100, **env):
    env = {"MUSTER_API_TOKEN": TOKEN, "MUSTER_SERVER_URL": server.url, **env}
    return Terminal(sys.executable, "-m", "supervisor.cli", *arguments, "--watch", env=env, columns=columns)


def event(kind="presence"):
    return f"id: e-1\nevent: {kind}\ndata: {{}}\n\n".encode()


def test_the_list_changes_when_something_happens_and_ctrl_c_leaves_a_clean_screen(server, live):
    with watch(server, "devices", columns=120) as terminal:
        assert "817994ccfe14" in terminal.wait_for("live")
        assert "5 devices: 3 online, 1 offline, 1 unknown" in terminal.screen
        server.answers["GET", "/api/devices"] = (200, {"items": [{**DEVICE, "presence": "offline"}], "cursor": None})
        live.put(event())
        terminal.wait_for("offline   heartbeat")
        assert terminal.interrupt() == 0
        assert terminal.raw.rstrip().endswith(LEAVES)
        assert "Traceback" not in terminal.text


def test_what_is_wrong_comes_first_unless_another_order_is_wanted(server, live):
    with watch(server, "devices", "--presence", "offline", "--quarantined", "--steady") as terminal:
        terminal.wait_for("live")
    asked = next(call.query for call in server.calls if call.path == "/api/devices")
    assert {name: asked[name] for name in ("sort", "presence", "quarantined", "flapping")} == {
        "sort": "presence",
        "presence": "offline",
        "quarantined": "true",
        "flapping": "false",
    }
    with watch(server, "devices", "--sort", "last_seen", "--reverse") as terminal:
        terminal.wait_for("live")
    asked = [call.query for call in server.calls if call.path == "/api/devices"][-1]
    assert (asked["sort"], asked["order"]) == ("last_seen", "desc")


def test_more_devices_than_the_window_has_lines_are_told(server, live):
    items = [{**DEVICE, "serial": f"pi-{number}", "flapping": True} for number in range(24)]
    server.answers["GET", "/api/devices"] = (200, {"items": items, "cursor": "x", "matches": 90_000})
    with watch(server, "devices", columns=120) as terminal:
        screen = terminal.wait_for("24 of 90000 shown")
        assert "flapping" in screen
    assert server.calls[0].query["limit"] == "24"  # lines of the terminal but for those around


def test_a_tree_that_is_too_large_shows_what_there_is_to_say_something_of(server, live):
    dull = [{"id": f"quiet.{number}", "state": "running", "children": []} for number in range(40)]
    broken = {**TREE["children"][0], "id": "broken"}
    server.answers["GET", "/api/supervision"] = (200, {**TREE, "counts": {}, "children": [*dull, broken]})
    with watch(server, "tree") as terminal:
        screen = terminal.wait_for("live")
        assert "StoreUnavailable: no disk" in screen
        assert "and 40 that run" in screen
        assert "quiet" not in screen


def test_what_has_no_room_is_counted(server, live):
    broken = [{**TREE["children"][0], "id": f"broken.{number}"} for number in range(40)]
    server.answers["GET", "/api/supervision"] = (200, {**TREE, "counts": {}, "children": broken})
    with watch(server, "tree", columns=140) as terminal:
        assert "broken.25" in terminal.wait_for("and 14 lines more")


def test_a_narrow_terminal_shows_less_and_cuts_no_word(server, live):
    with watch(server, "devices", columns=60) as terminal:
        terminal.wait_for("live")
        lines = terminal.wait_for("817994ccfe14  online").splitlines()
        assert any(line.split() == ["SERIAL", "PRESENCE", "SINCE", "NAME"] for line in lines)
        assert all(len(line) <= 60 for line in lines)


def test_an_empty_fleet_says_what_to_do(server, live):
    server.answers["GET", "/api/devices"] = (200, {"items": [], "cursor": None})
    with watch(server, "devices") as terminal:
        terminal.wait_for("muster up --demo")


def test_a_server_that_is_away_is_marked_and_found_again(server, live):
    with watch(server, "status") as terminal:
        terminal.wait_for("live")
        server.answers["GET", "/api/health"] = server.answers["GET", "/api/events"] = error(503, "it starts")
        live.put(None)
        assert "reconnecting, stale since" in terminal.wait_for("it starts")
        server.answers["GET", "/api/health"] = (200, {**HEALTH, "version": "9.9.9"})
        server.answers["GET", "/api/events"] = lambda _: (200, iter(live.get, None))
        assert "live" in terminal.wait_for("9.9.9", 30)
        assert terminal.interrupt() == 0


def test_a_server_that_has_started_again_elsewhere_is_found_by_its_files(server, live, tmp_path):
    def files(url):
        return ServerFiles(url=url, token=TOKEN, enrolment_key="k", broker_url="", pid=os.getpid())

    directory = RuntimeDirectory(tmp_path / "run")
    directory.publish(files(server.url))
    try:
        with watch(server, "status", MUSTER_SERVER_URL="", MUSTER_API_TOKEN="") as terminal:
            terminal.wait_for("live")
            other = FakeServer()
            try:
                other.answers |= server.answers | {("GET", "/api/health"): (200, {**HEALTH, "version": "9.9.9"})}
                directory.publish(files(other.url))
                server.answers.clear()
                live.put(None)
                assert other.url in terminal.wait_for("9.9.9", 30)
                assert terminal.interrupt() == 0
            finally:
                live.put(None)
                other.close()
    finally:
        directory.withdraw()


def test_a_token_that_is_not_good_any_more_ends_it_with_the_servers_sentence(server, live):
    with watch(server, "tree") as terminal:
        terminal.wait_for("live")
        server.answers["GET", "/api/events"] = error(401, "this token has ended")
        live.put(None)
        assert terminal.end() == 1
        assert "this token has ended" in terminal.text.split(LEAVES)[-1]


def test_a_polite_end_leaves_a_clean_screen_too(server, live):
    with watch(server, "tree") as terminal:
        terminal.wait_for("live")
        assert terminal.terminate() == 0
        assert LEAVES in terminal.raw


def test_without_a_terminal_changes_are_lines(server, live):
    command = [sys.executable, "-m", "supervisor.cli", "tree", "--watch"]
    env = os.environ | {"MUSTER_API_TOKEN": TOKEN, "MUSTER_SERVER_URL": server.url, "PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True) as process:
        first = [process.stdout.readline() for _ in range(3)]
        assert first[0] == "server  running\n"
        assert "StoreUnavailable: no disk" in first[1]
        assert process.stderr.readline().rstrip().endswith("live")
        healed = {**TREE["children"][0], "state": "running", "restarts": 5, "last_exception": None}
        server.answers["GET", "/api/supervision"] = (200, {**TREE, "children": [healed]})
        live.put(event("supervision"))
        changes = {process.stdout.readline()[10:].rstrip(), process.stdout.readline()[10:].rstrip()}
        assert changes == {"registry  running  5 restarts", "devices: gone"}
        process.send_signal(2)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


def test_a_terminal_that_cannot_be_drawn_on_gets_lines(server, live):
    with watch(server, "tree", TERM="dumb") as terminal:
        terminal.wait_for("live")
        assert "server  running" in terminal.text
        assert "\x1b" not in terminal.raw
        assert terminal.interrupt() == 0


def test_no_colour_where_none_is_wanted(server, live):
    with watch(server, "status", NO_COLOR="1") as terminal:
        terminal.wait_for("live")
        assert "1 offline" in terminal.text
        assert "\x1b[31m" not in terminal.raw


@pytest.mark.parametrize("command", ["devices", "tree", "status"])
def test_programs_are_told_where_to_look(muster_at, command):
    result = muster_at(command, "--watch", "--json")
    assert result.code == 2
    assert "muster tail --json" in result.err


@pytest.mark.parametrize("command", ["devices", "tree", "status"])
def test_a_server_that_is_not_there_at_the_start_is_a_failure(muster, command):
    result = muster(command, "--watch", "--url", "http://127.0.0.1:1")
    assert result.code == 1
    assert "cannot be reached" in result.err


def test_the_mark_tells_how_old_it_is():
    now = [datetime(2026, 1, 31, 12, tzinfo=UTC)]
    mark = Mark(lambda: now[0])
    assert str(mark) == "connecting"
    mark.seen()
    mark.opened()
    assert str(mark) == "live"
    now[0] += timedelta(seconds=11)
    assert str(mark).startswith("no answer, stale since ")
    mark.seen()
    mark.broke("gone")
    assert str(mark).startswith("reconnecting, stale since ")
    mark.seen()
    assert (str(mark), mark.reason) == ("reconnecting", "gone")
    mark.opened()
    assert mark.is_live


# -- what `status` says -----------------------------------------------------------------------------------------------


def test_what_is_wrong_comes_first_and_the_worst_of_it_before_all(muster_at, server):
    down = {**LINK, "state": "backing_off", "connected": False, "detail": "connection refused"}
    parked = {"id": "local.data", "path": "server/links/local.data", "state": "quarantined", "children": []}
    server.answers |= {
        ("GET", "/api/health"): (200, HEALTH),
        ("GET", "/api/links"): (200, {"items": [down, {**LINK, "name": "x", "dropped_by_broker": 4}]}),
        ("GET", "/api/alarms"): (200, {"items": [{**ALARM, "severity": "info", "summary": "dull"}, ALARM]}),
        ("GET", "/api/sites"): (200, {"items": [SITE, {**SITE, "site": "", "offline": 0, "unknown": 0}]}),
        ("GET", "/api/supervision"): (200, {"id": "server", "state": "running", "children": [parked]}),
    }
    lines = muster_at("status").out.splitlines()
    wrong = lines[: lines.index("")]
    assert [line.split()[0] for line in wrong] == ["critical"] * 2 + ["warning"] * 4 + ["info"] * 2
    for words in (
        "link local.data is backing off for -: connection refused",
        "alarm 7 for -: Tank 4 is hot",
        "the broker has dropped 4 messages (x)",
        "server/links/local.data is quarantined",
        "1 device is offline",
        "4 devices are coming and going",
    ):
        assert any(words in line for line in wrong), words
    assert "1 critical, 1 info open" in "\n".join(lines)
    plant = next(line.split() for line in lines if line.startswith("plant-1"))
    assert plant == ["plant-1", "5", "3", "1", "1"]


def test_nothing_wrong_is_nothing_said(muster_at, server):
    fine = {**HEALTH, "devices": {"total": 3, "online": 3, "offline": 0, "unknown": 0}}
    server.answers["GET", "/api/health"] = (200, fine)
    assert muster_at("status").out.startswith("server    ok, version 1.2.3")


def test_an_alarm_that_is_acknowledged_or_silenced_is_counted_and_not_pressed(muster_at, server):
    quiet = [{**ALARM, "acknowledged": "t"}, {**ALARM, "silenced_until": "t"}]
    fine = {**HEALTH, "devices": {"total": 3, "online": 3, "offline": 0, "unknown": 0}}
    server.answers |= {("GET", "/api/health"): (200, fine), ("GET", "/api/alarms"): (200, {"items": quiet})}
    out = muster_at("status").out
    assert out.startswith("server")
    assert "2 critical open" in out


def test_a_server_that_fails_behind_its_health_is_told(muster_at, server):
    server.answers |= {("GET", "/api/health"): (200, HEALTH), ("GET", "/api/links"): error(500, "it broke")}
    result = muster_at("status")
    assert result.code == 1
    assert "it broke" in result.err
