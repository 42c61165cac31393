"""Child processes that never outlive the server, and the actor that dies and is born with its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pykka
import pytest

from actors.runtime import Exit, ExitReason, Ready, Runtime, ThreadedActor
from supervisor.server import trampoline
from supervisor.server.child import ChildProcess, ProcessActor, python_module
from tests.server.support import alive
from tests.support.wait import eventually

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)",
]
WITHIN = 20.0
"""Seconds for what takes a moment on a machine that has nothing else to do; nobody waits them out."""
SERVER = """
import sys, time
from supervisor.server.child import ChildProcess
child = ChildProcess("test", sys.argv[1:])
child.start()
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def child():
    made = ChildProcess("test", SLEEP)
    yield made
    made.stop()


def started_by(process: ChildProcess) -> psutil.Process:
    """The command itself, below the trampoline."""
    (command,) = eventually(psutil.Process(process.pid).children, WITHIN, "the command to start")
    return command


def server_with(command: list[str]) -> tuple[subprocess.Popen, psutil.Process]:
    server = subprocess.Popen([sys.executable, "-c", SERVER, *command], stdout=subprocess.PIPE, text=True)
    runner = psutil.Process(int(server.stdout.readline()))
    return server, eventually(runner.children, WITHIN, "the command to start")[0]


def kill(server: subprocess.Popen) -> None:
    server.kill()
    server.wait()
    server.stdout.close()


# -- the trampoline ---------------------------------------------------------------------------------------------------


def test_a_command_ends_when_its_server_is_killed():
    server, command = server_with(SLEEP)
    kill(server)
    eventually(lambda: not alive(command), WITHIN, "the command to end")


def test_a_command_that_ignores_sigterm_is_killed_when_its_server_is_killed():
    server, command = server_with(STUBBORN)
    assert server.stdout.readline() == "deaf\n"
    kill(server)
    eventually(lambda: not alive(command), WITHIN, "the command to be killed")


def test_a_command_ends_when_its_trampoline_is_killed(child):
    child.start()
    command = started_by(child)
    # Between fork and exec the death signal is not set yet; the command line shows that exec has happened.
    eventually(lambda: command.cmdline() == SLEEP, WITHIN, "exec")
    os.kill(child.pid, signal.SIGKILL)
    eventually(lambda: not alive(command), WITHIN, "the command to end")


def test_the_exit_code_of_the_command_is_passed_on():
    child = ChildProcess("test", [sys.executable, "-c", "raise SystemExit(7)"])
    child.start()
    assert child.wait() == 7
    child.stop()


def test_a_command_killed_by_a_signal_is_told_apart(child):
    child.start()
    started_by(child).kill()
    assert child.wait() == 128 + signal.SIGKILL


def test_a_trampoline_killed_by_a_signal_is_told_like_its_command(child):
    child.start()
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == 128 + signal.SIGKILL


def test_a_child_may_have_a_grace_of_its_own(tmp_path):
    child = ChildProcess("test", STUBBORN, log=tmp_path / "log", grace=0.1)
    child.start()
    eventually(lambda: (tmp_path / "log").read_text() == "deaf\n", WITHIN, "the command to be deaf")
    child.ask_stop()
    assert child.wait() == 128 + signal.SIGKILL
    child.stop()


def test_a_command_that_does_not_exist_ends_at_once_with_a_sentence(tmp_path):
    child = ChildProcess("test", ["/no/such/program"], log=tmp_path / "log")
    child.start()
    assert child.wait() == 127
    child.stop()
    assert (tmp_path / "log").read_text() == "/no/such/program cannot be started: No such file or directory\n"


def test_a_command_whose_trampoline_was_killed_before_it_could_be_bound_to_it_never_begins():
    code = (
        "import os, time; from supervisor.server.trampoline import _die_with_this_process\n"
        "bind, trampoline = _die_with_this_process(), os.getpid()\n"
        "os.fork() and os._exit(0)\n"
        "while os.getppid() == trampoline: time.sleep(0.001)\n"
        "bind(); print('the command runs')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=20)
    assert (done.stdout, done.stderr) == ("", "")


def test_wrong_usage_of_the_trampoline_is_told():
    done = subprocess.run([sys.executable, "-I", trampoline.__file__, "3"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage" in done.stderr


# -- the child process ------------------------------------------------------------------------------------------------


def test_stopping_ends_the_command_and_may_be_repeated(child):
    child.start()
    command = started_by(child)
    child.stop()
    assert not child.running
    assert not alive(command)
    child.stop()


def test_killing_ends_even_a_stubborn_command_at_once(tmp_path):
    child = ChildProcess("test", STUBBORN, log=tmp_path / "log")
    child.start()
    eventually(lambda: "deaf" in (tmp_path / "log").read_text(), WITHIN, "the command to run")
    command = started_by(child)
    child.kill()
    child.wait()
    eventually(lambda: not alive(command), WITHIN, "the command to be killed")
    child.stop()


def test_starting_twice_starts_once(child):
    child.start()
    pid = child.pid
    child.start()
    assert child.pid == pid


def test_it_can_be_started_again(child):
    child.start()
    first = child.pid
    child.stop()
    child.start()
    assert child.running
    assert child.pid != first


def test_ctrl_c_in_the_terminal_does_not_reach_it(child):
    child.start()
    assert os.getsid(child.pid) != os.getsid(0)
    assert os.getsid(started_by(child).pid) == child.pid


def test_no_descriptor_is_left_behind():
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    child = ChildProcess("test", [sys.executable, "-c", ""])
    before = count()
    for _ in range(3):
        child.start()
        child.wait()
    child.stop()
    assert count() == before


def test_a_module_of_ours_runs_from_a_directory_that_holds_another_of_its_name(tmp_path):
    (tmp_path / "supervisor").mkdir()
    (tmp_path / "supervisor" / "__init__.py").write_text("raise SystemExit('foreign')")
    command, env = python_module("supervisor.demo", "--help")
    done = subprocess.run(command, env={**os.environ, **env}, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# -- the actor --------------------------------------------------------------------------------------------------------


class Monitor(ThreadedActor):
    def __init__(self):
        super().__init__()
        self.told = []
        self.news = threading.Event()

    def on_receive(self, message):
        self.told.append(message)


@pytest.fixture
def runtime():
    runtime = Runtime.system()
    runtime.start()
    yield runtime
    runtime.stop()


@pytest.fixture
def bench(runtime, child):
    """Launches `ProcessActor`s under a monitor and tells what it was told."""

    class Bench:
        def __init__(self):
            self.monitor = Monitor()
            self.refs = [runtime.launch(self.monitor)]
            self.runtime = runtime

        def launch(self) -> pykka.ActorRef:
            count = len(self.of(Ready))
            ref = runtime.launch(ProcessActor(child), monitor=self.refs[0])
            self.refs.append(ref)
            eventually(lambda: len(self.of(Ready)) > count, what="Ready")
            return ref

        def of(self, kind):
            return [message for message in list(self.monitor.told) if isinstance(message, kind)]

        def exit(self) -> Exit:
            return eventually(lambda: self.of(Exit), what="Exit")[-1]

    bench = Bench()
    yield bench
    for ref in reversed(bench.refs):
        if ref.is_alive():
            ref.stop()


def test_the_actor_is_up_when_its_process_is(bench, child):
    bench.launch()
    assert child.running


def test_the_actor_crashes_when_its_process_ends(bench, child):
    bench.launch()
    started_by(child).kill()
    ended = bench.exit()
    assert ended.reason is ExitReason.CRASHED
    assert str(ended.error) == "The test ended by itself with exit code 137."


def test_the_next_actor_is_not_crashed_by_the_death_that_ended_the_last_one(bench, child):
    bench.launch()
    started_by(child).kill()
    ended = bench.exit()
    ref = bench.launch()
    for envelope in ended.pending:
        ref.tell(envelope.message)
    # An ask is answered after everything told before it.
    ref.ask("anything", timeout=5)
    assert child.running
    assert len(bench.of(Exit)) == 1


def test_a_process_outlives_the_crash_of_its_actor_and_is_taken_over(bench, child):
    ref = bench.launch()
    pid = child.pid
    ref._actor_weakref()._handle_receive = lambda _message: 1 / 0
    ref.tell("crash")
    assert bench.exit().reason is ExitReason.CRASHED
    bench.launch()
    assert child.pid == pid
    started_by(child).kill()
    eventually(lambda: len(bench.of(Exit)) == 2, what="the heir to notice the death")


def test_stopping_the_actor_stops_its_process(bench, child):
    bench.runtime.shutdown(bench.launch())
    assert bench.exit().reason is ExitReason.SHUTDOWN
    assert not child.running


def test_killing_the_actor_kills_its_process(bench, child):
    bench.runtime.kill(bench.launch())
    eventually(lambda: not child.running, what="the process to end")


def test_the_log_of_a_command_is_for_the_user_alone(tmp_path):
    log = tmp_path / "log"
    child = ChildProcess("test", [sys.executable, "-c", "print('told')"], log=log)
    child.start()
    child.wait()
    child.stop()
    assert log.read_text() == "told\n"
    assert Path(log).stat().st_mode & 0o077 == 0
