"""`muster tail`: one line for each event, for people and for programs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from queue import SimpleQueue

import pytest

from supervisor.cli.stream import Event
from supervisor.cli.tail import _WHAT, KINDS, LOST, _tell
from tests.cli.conftest import TOKEN, error
from tests.support.terminal import Terminal
from web.routes_events import EVENT_KINDS

EVENTS = ("GET", "/api/events")
BEAT = b": beat\nevent: beat\ndata: {}\n\n"


def frame(kind, data, number=1):
    return f"id: e-{number}\nevent: {kind}\ndata: {data}\n\n".encode()


PRESENCE = frame("presence", '{"serial":"pi-1","presence":"offline","reason":"timeout","since":null}')


@pytest.fixture
def pour(server):
    """Let the server send these frames, then refuse, which ends the command."""

    def call(*frames):
        left = [(200, iter(frames)), error(401, "this is the end")]
        server.answers[EVENTS] = lambda _: left.pop(0) if len(left) > 1 else left[0]

    return call


def tail(server, *arguments, **options):
    code = (
        f"import sys; from supervisor.cli.main import run; sys.exit(run({['tail', *arguments, '--url', server.url]!r}))"
    )
    env = os.environ | {"MUSTER_API_TOKEN": TOKEN}
    return subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.PIPE, **options)


def test_each_event_is_a_line_with_time_kind_device_and_what(muster_at, pour):
    pour(PRESENCE, frame("scan", '{"device_id":"pi-2","code":"40063","symbology":"EAN-8","valid":false}', 2))
    out = muster_at("tail").out.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d  presence     pi-1  offline \(timeout\)", out[0])
    assert out[1][10:] == "scan         pi-2  40063 EAN-8, wrong check digit"


def test_json_lines_are_whole_events(muster_at, pour):
    pour(PRESENCE)
    result = muster_at("tail", "--json")
    received = result.json.pop("received")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", received)
    data = {"serial": "pi-1", "presence": "offline", "reason": "timeout", "since": None}
    assert result.json == {"id": "e-1", "received": received, "kind": "presence", "data": data}


def test_a_break_is_told_on_stderr_and_the_end_is_the_servers_sentence(muster_at, pour):
    pour(PRESENCE)
    result = muster_at("tail")
    assert result.code == 1
    assert len(result.out.splitlines()) == 1
    assert "reconnecting: The server has ended the stream." in result.err
    assert "this is the end" in result.err


def test_what_was_lost_is_told_in_a_line(muster_at, pour):
    pour(frame("resync", "{}"), PRESENCE)
    assert muster_at("tail", "--device", "pi-1").out.splitlines()[0].endswith(LOST)
    pour(frame("resync", "{}"))
    assert muster_at("tail", "--json").json["kind"] == "resync"


def test_one_device_alone(muster_at, pour):
    pour(PRESENCE, PRESENCE.replace(b"pi-1", b"pi-2"), frame("link", '{"name":"local.data","state":"subscribed"}'))
    out = muster_at("tail", "--device", "pi-2").out
    assert "pi-2" in out
    assert len(out.splitlines()) == 1


def test_kinds_are_asked_of_the_server(muster_at, server, pour):
    pour(PRESENCE)
    muster_at("tail", "--kinds", "presence,link", "--kinds", "alarm", "--since-id", "e-7")
    assert server.calls[0].query == {"kinds": "presence,link,alarm"}
    assert server.calls[0].last_id == "e-7"


def test_a_kind_that_does_not_exist_is_wrong_usage(muster_at):
    result = muster_at("tail", "--kinds", "presence,fly")
    assert result.code == 2
    assert "'fly'" in result.err


def test_the_kinds_are_those_of_the_server():
    assert KINDS == EVENT_KINDS
    assert set(_WHAT) == set(EVENT_KINDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", [{}, None, [], {"state": None, "measures": None, "anomalies": [None]}])
def test_no_event_whatever_its_data_breaks_the_command(kind, data, capsys):
    _tell(Event("e-1", kind, data))
    assert kind in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "data", "told"),
    [
        (
            "reading",
            {"serial": "s", "health_index": 71.6, "status": "Good", "measures": {"pH": 6.5}},
            "health 72 Good, pH 6.5",
        ),
        (
            "supervision",
            {"path": "links/x", "state": "backing_off", "restarts": 1, "error": "E"},
            "backing off, 1 restart, E",
        ),
        ("sight", {"link": "local.control", "sees": False}, "sees nothing: its devices are unknown"),
        ("dead_letter", {"reason": "not_json", "topic": "t", "serial": "s"}, "not_json on t"),
        ("alarm", {"id": 3, "severity": "critical", "state": "open", "summary": "hot"}, "critical open: hot"),
        (
            "command",
            {"id": "1", "device": "d", "name": "ping", "state": "timed_out", "reason": "late"},
            "ping timed out, late",
        ),
        ("device", {"presence": "online", "kind": "sensor", "quarantined": True}, "online, kind sensor, quarantined"),
    ],
)
def test_what_has_happened_is_told_in_words(kind, data, told, capsys):
    _tell(Event("e-1", kind, data))
    assert capsys.readouterr().out.rstrip().endswith(told)


def test_a_device_cannot_touch_the_terminal(capsys):
    _tell(Event("e-1", "presence", {"serial": "\x1b[2J", "presence": "online\x07"}))
    assert "\x1b" not in capsys.readouterr().out


def test_ctrl_c_ends_it_with_0_and_colours_have_words(server):
    queue = SimpleQueue()
    server.answers[EVENTS] = lambda _: (200, iter(queue.get, None))
    env = {"MUSTER_API_TOKEN": TOKEN, "MUSTER_SERVER_URL": server.url}
    with Terminal(sys.executable, "-m", "supervisor.cli", "tail", env=env, columns=60) as terminal:
        queue.put(PRESENCE)
        queue.put(frame("dead_letter", '{"reason":"not_json","topic":"a/very/long/topic/of/which/a/part/is/shown"}', 2))
        terminal.wait_for("not_json")
        assert "\x1b[31m" in terminal.raw
        assert "offline (timeout)" in terminal.text
        assert all(len(line) <= 60 for line in terminal.text.splitlines())
        assert terminal.interrupt() == 0
        assert "Traceback" not in terminal.text
    queue.put(None)


def test_no_colour_where_none_is_wanted(server):
    queue = SimpleQueue()
    server.answers[EVENTS] = lambda _: (200, iter(queue.get, None))
    env = {"MUSTER_API_TOKEN": TOKEN, "MUSTER_SERVER_URL": server.url, "NO_COLOR": "1"}
    with Terminal(sys.executable, "-m", "supervisor.cli", "tail", env=env) as terminal:
        queue.put(PRESENCE)
        terminal.wait_for("offline (timeout)")
        assert "\x1b[31m" not in terminal.raw
        terminal.interrupt()
    queue.put(None)


def test_head_ends_it_quietly(server):
    queue = SimpleQueue()
    server.answers[EVENTS] = lambda _: (200, iter(queue.get, None))
    with tail(server, "--json", stdout=subprocess.PIPE) as command:
        queue.put(PRESENCE)
        assert b"pi-1" in command.stdout.readline()
        command.stdout.close()
        queue.put(BEAT)  # nothing more happens: a sign of life is enough to notice
        assert command.wait(20) == 0
        assert command.stderr.read() == b""
    queue.put(None)
