"""The end of a process: asked for by threads and signal handlers, answered with the code that matters."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from supervisor.process.end import ProcessEnd


@pytest.fixture
def handler():
    """Set the handler of SIGUSR2 for one test."""
    before = signal.getsignal(signal.SIGUSR2)
    yield lambda function: signal.signal(signal.SIGUSR2, lambda *_: function())
    signal.signal(signal.SIGUSR2, before)


def test_without_being_asked_it_waits_as_long_as_it_was_told():
    assert not ProcessEnd().wait(0.01)


def test_a_thread_ends_the_wait():
    end = ProcessEnd()
    threading.Timer(0.02, end.ask).start()
    assert end.wait(10)
    assert end.code == 0


def test_a_signal_ends_a_wait_that_is_under_way(handler):
    end = ProcessEnd()
    handler(end.ask)
    threading.Timer(0.02, lambda: os.kill(os.getpid(), signal.SIGUSR2)).start()
    assert end.wait()


def test_a_signal_never_waits_for_the_thread_that_it_interrupts(handler):
    end = ProcessEnd()
    handler(end.ask)
    done = threading.Event()

    def bombard():
        while not done.wait(0.0005):
            os.kill(os.getpid(), signal.SIGUSR2)

    thread = threading.Thread(target=bombard)
    thread.start()
    try:
        for _ in range(2000):
            end.wait(0.0001)
            end.code  # noqa: B018 - read for the lock that it might take
    finally:
        done.set()
        thread.join()


def test_the_first_code_that_is_no_success_counts():
    end = ProcessEnd()
    for code in (0, 70, 1):
        end.ask(code)
    assert end.wait(0)
    assert end.code == 70
