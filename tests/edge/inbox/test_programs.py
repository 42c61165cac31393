"""Programs are bounded in time and output, and end with all that they have started."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from edge.inbox.programs import ProgramError, Programs
from tests.support.wait import eventually


def run(text, **options):
    return Programs().run(("/bin/sh", "-c", text), **{"timeout": 20.0, "output": 1_000, **options})


def test_output_is_the_last_that_was_written():
    ended = run("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done", output=20)
    assert (ended.output, ended.is_cut, ended.trouble) == (b"line 2998\nline 2999\n", True, "")


def test_nothing_of_the_output_may_be_kept():
    assert run("echo x", output=0).output == b""


def test_a_large_input_is_read_or_left():
    assert run("wc -c", stdin=b"x" * 1_000_000).text.strip() == "1000000"
    assert run("true", stdin=b"x" * 1_000_000).exit_code == 0


def test_a_child_that_is_left_behind_keeps_nobody_waiting(tmp_path):
    pid_file = tmp_path / "pid"
    ended = run(f"sleep 600 & echo $! > {pid_file}")
    assert ended.exit_code == 0
    os.kill(int(pid_file.read_text()), 9)


def test_too_long_ends_all_that_was_started(tmp_path):
    pid_file = tmp_path / "pid"
    ended = run(f"sleep 600 & echo $! > {pid_file}; wait", timeout=1.0)
    assert ended.timed_out
    pid = int(pid_file.read_text())
    eventually(lambda: not is_running(pid), what="the end of the grandchild")


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_can_be_stopped_from_outside():
    programs = Programs()
    ended = []
    thread = threading.Thread(
        target=lambda: ended.append(programs.run(("/bin/sleep", "600"), timeout=600, output=0)), daemon=True
    )
    thread.start()
    eventually(programs.stop, what="something that can be stopped")
    eventually(lambda: ended, what="the end")
    assert ended[0].trouble == "it was ended by signal 9"


@pytest.mark.parametrize("directory", ["/nowhere", None])
def test_what_cannot_be_started_is_told(directory):
    command = ("/nowhere/program",) if directory is None else ("/bin/true",)
    with pytest.raises(ProgramError, match="cannot be started"):
        Programs().run(command, timeout=1.0, output=0, directory=directory)
