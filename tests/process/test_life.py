"""The life of a process with a tree: how it starts, what ends it, and the exit code that says so."""

from __future__ import annotations

import signal
import sys

import pytest

from tests.support.processes import Process

PROGRAM = """
import sys
from actors.runtime import Directory, PooledActor
from supervisor import BackoffPolicy, ChildSpec, Intensity, Supervisor
from supervisor.process.life import TreeProcess, live

class Child(PooledActor):
    def on_start(self):
        if "broken" in sys.argv:
            try:
                raise LookupError("there is no such thing")
            except LookupError as error:
                raise ValueError("wrapped") from error

    def on_receive(self, message):
        raise RuntimeError("out of luck")

    def on_stop(self):
        print("the child stops", flush=True)

class Small(TreeProcess):
    name = "the small one"

    def _make_tree(self):
        return Supervisor(
            runtime=self.runtime,
            name="small",
            intensity=Intensity(restarts=0, within=60.0),
            backoff=BackoffPolicy(base=0.0),
            directory=directory,
            children=(ChildSpec("child", Child),),
        )

def on_up():
    print("it is up", flush=True)
    if "crash" in sys.argv:
        directory.tell("child", "anything")
    if "exhausted" in sys.argv:
        process.runtime.watchdog.on_exhausted()

directory = Directory()
process = Small()
sys.exit(live(process, on_up=on_up))
"""


@pytest.fixture
def start():
    """Start the small process with these words; it is gone when the test is."""
    started = []

    def launch(*words):
        started.append(Process(sys.executable, "-c", PROGRAM, *words))
        return started[-1]

    yield launch
    for process in started:
        process.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order_and_with_success(start, number):
    process = start()
    process.wait_for_line("it is up", 20)
    process.send(number)
    assert process.wait(20) == 0
    assert "the child stops" in process.output


def test_a_tree_that_gives_up_ends_it_with_the_code_that_has_it_started_anew(start):
    process = start("crash")
    assert process.wait(20) == 70
    assert "out of luck" in process.output


def test_too_many_hanging_threads_end_it_at_once(start):
    process = start("exhausted")
    assert process.wait(20) == 70
    assert "too many threads hang" in process.output
    assert "the child stops" not in process.output


def test_what_does_not_start_says_why_in_one_sentence(start):
    process = start("broken")
    assert process.wait(20) == 1
    assert "the small one did not start: there is no such thing" in process.output
    assert "it is up" not in process.output


def test_it_shows_what_its_threads_do_when_it_is_asked(start):
    process = start()
    process.wait_for_line("it is up", 20)
    process.send(signal.SIGUSR1)
    process.wait_for_line("Current thread", 20)
    process.send(signal.SIGTERM)
    assert process.wait(20) == 0
