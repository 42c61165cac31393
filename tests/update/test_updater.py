"""The updater in the edge: it harms nobody, and can be asked by command and by `muster-edge update`."""

from __future__ import annotations

import json
import os
import sys

import pytest

from edge.boot import restart_command
from edge.commands.update import describe, main
from edge.inbox.commands import Commands, Job, Powers
from edge.inbox.memory import LogMemory
from edge.inbox.messages import Command
from edge.inbox.settings import CommandSettings
from edge.update.actor import Check, Updater
from edge.update.board import UpdateBoard
from edge.update.hold import held, hold, release
from edge.update.launch import Launcher
from tests.support.edge import Edge
from tests.support.wait import eventually, throughout
from tests.update.launching import LAUNCHER


class Course:
    """Counts its steps, and fails in those that are to."""

    def __init__(self, *errors):
        self.errors, self.steps, self.forced, self.is_closed = list(errors), 0, [], False
        self.delay = 0.01

    def step(self):
        self.steps += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.delay

    def hurry(self, *, force=False):
        self.forced.append(force)

    def close(self):
        self.is_closed = True

    sever = close


@pytest.fixture
def updater(runtime):
    def make(course):
        board = UpdateBoard()
        return Updater.start(lambda: course, runtime=runtime, board=board), board

    return make


def test_whatever_goes_wrong_in_an_update_ends_nobody(updater, monkeypatch):
    monkeypatch.setattr("edge.update.actor.TROUBLE", 0.01)
    course = Course(OSError(28, "No space left on device"), ZeroDivisionError(), RecursionError())
    ref, board = updater(course)
    eventually(lambda: course.steps > 5, what="it goes on")
    assert (board.counters["trouble"], ref.is_alive()) == (3, True)
    ref.stop()
    assert course.is_closed


def test_it_can_be_asked_at_any_time(updater):
    course = Course()
    ref, _ = updater(course)
    ref.tell(Check())
    ref.tell(Check(force=True))
    eventually(lambda: course.forced == [False, True], what="it was asked")
    ref.stop()


def test_who_asks_does_not_wait_until_the_server_would_have_been_tried_again(updater):
    course = Course()
    course.delay = 600.0
    ref, _ = updater(course)
    for steps in (1, 2, 3):
        eventually(lambda steps=steps: course.steps == steps, what="a step")
        ref.tell(Check())
    eventually(lambda: course.steps == 4, what="a step")
    throughout(0.3, lambda: course.steps == 4, "one step for each")
    ref.stop()


# -- the launcher above -----------------------------------------------------------------------------------------------


def command(home="/var/x", *more):
    return [sys.executable, "-I", str(LAUNCHER), "--home", home, "--factory", "/f/python", "run", "--", "run", *more]


def test_the_launcher_is_known_by_how_it_has_started_us(tmp_path):
    environ = {"MUSTER_EDGE_LAUNCHER": json.dumps(command(str(tmp_path / "run")))}
    launcher = Launcher.find(environ)
    assert (launcher.home, launcher.factory) == (tmp_path / "run", "/f/python")
    assert launcher.standing().current == "factory"
    assert launcher.slot_of(tmp_path / "run/slots/b") == "b"
    assert launcher.slot_of(tmp_path) == "factory"
    assert restart_command(environ) == command(str(tmp_path / "run"))


@pytest.mark.parametrize("text", ["", "{", "[]", '["a"]', "[1, 2, 3, 4]", '["/absent", "-I", "/absent", "x"]', "null"])
def test_without_a_launcher_there_is_none(text):
    assert Launcher.find({"MUSTER_EDGE_LAUNCHER": text}) is None
    assert restart_command({}) is None


# -- by command and by hand -------------------------------------------------------------------------------------------


def test_a_command_has_it_ask(tmp_path):
    asked = []

    def update(force):
        asked.append(force)
        return len(asked) < 3

    nothing = dict.fromkeys(("describe", "identity", "announce", "restart"), dict)
    powers = Powers(now_us=lambda: 0, blink=lambda _s: "", log=LogMemory(), update=update, **nothing)
    commands = Commands(CommandSettings(), {}, powers, home=str(tmp_path))

    def do(**args):
        return commands.do(Job(Command(id="c", name="update", args=args), 10.0))

    assert (do().state, do(force=True).state, asked) == ("succeeded", "succeeded", [False, True])
    assert (do().state, do().reason) == ("failed", "this device does not update itself")
    assert "`force`" in do(force="yes").reason


def test_updates_are_held_by_a_file_that_anybody_may_make(tmp_path):
    home = tmp_path / "update"
    assert (held(home), release(home)) == ("", False)
    hold(home, "harvest")
    assert held(home) == "harvest"
    (home / "hold").write_bytes(b"\xff\x00\n" * 10_000)
    assert 0 < len(held(home)) <= 200
    (home / "hold").write_text("")
    assert held(home) == "held"
    assert release(home)


def test_a_hold_that_is_no_file_holds_and_is_not_read(tmp_path):
    """Root asks, too: whoever may write there must not have it wait, or show what it may not see."""
    secret = tmp_path / "secret"
    secret.write_text("hush")
    (tmp_path / "hold").symlink_to(secret)
    assert held(tmp_path) == "held"
    (tmp_path / "hold").unlink()
    os.mkfifo(tmp_path / "hold")
    assert held(tmp_path) == "held"


def test_an_edge_without_a_launcher_says_that_it_does_not_update_itself():
    with Edge("pi-7", env={"MUSTER_SERVER_URL": "http://127.0.0.1:9"}) as edge:
        eventually(lambda: edge.run("status")[0] == 0, 30, "it runs")
        code, told = edge.run("update", "--now")
        assert code == 1
        assert "does not update itself" in told
        assert json.loads(edge.run("update", "--json")[1])["state"] == "off"
        assert edge.run("update", "--hold", "harvest")[0] == 0
        assert "held      harvest" in edge.run("update")[1]
        assert edge.run("update", "--now", "--hold")[0] == 2


def test_where_no_edge_has_run_there_is_nothing_to_show(tmp_path, capsys):
    assert main(["--data-dir", str(tmp_path)]) == 1
    assert "No edge has run" in capsys.readouterr().err


def test_what_is_shown_is_a_few_lines():
    board = UpdateBoard()
    board.show("downloading", "2.0.0")
    board.slot, board.checked, board.answer, board.blocked = "b", "now", "version 2.0.0", {"1.9": "starts"}
    lines = list(describe({"running": "1.0.0", **board.describe(), "progress": 0.5, "hold": "harvest"}))
    assert lines == [
        "version 1.0.0 from slot b",
        "  update    downloading 2.0.0 50%",
        "  asked     now: version 2.0.0",
        "  held      harvest",
        "  blocked   1.9 (starts)",
    ]


def test_the_resident_process_loads_no_cryptography_for_updates():
    import subprocess

    code = "import sys, edge.tree; print(sorted({'cryptography', 'packaging', 'tarfile', 'venv'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
