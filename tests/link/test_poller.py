from __future__ import annotations

import socket
import threading
import time

import pytest

from actors.link.poller import Poller


@pytest.fixture
def poller():
    poller = Poller()
    yield poller
    poller.close()


@pytest.fixture
def pair():
    near, far = socket.socketpair()
    yield near, far
    near.close()
    far.close()


def seconds(wait):
    started = time.monotonic()
    wait()
    return time.monotonic() - started


def test_a_wake_before_the_wait_is_not_lost(poller):
    poller.wake()
    poller.wake()
    assert seconds(lambda: poller.wait(20.0)) < 10
    assert seconds(lambda: poller.wait(0.05)) > 0.04


def test_a_wake_from_another_thread_ends_the_wait(poller):
    timer = threading.Timer(0.02, poller.wake)
    timer.start()
    assert seconds(lambda: poller.wait(20.0)) < 10
    timer.join()


def test_every_wake_after_a_wait_is_noticed(poller):
    for _ in range(1000):
        poller.wake()
        assert seconds(lambda: poller.wait(20.0)) < 10


def test_it_tells_what_the_socket_is_ready_for(poller, pair):
    near, far = pair
    poller.watch(near, read=True, write=False)
    assert poller.wait(0) == (False, False)
    far.send(b"x")
    assert poller.wait(1) == (True, False)
    poller.watch(near, read=True, write=True)
    assert poller.wait(1) == (True, True)
    poller.watch(near, read=False, write=True)
    assert poller.wait(1) == (False, True)
    poller.watch(near, read=False, write=False)
    assert poller.wait(0) == (False, False)


def test_a_new_socket_replaces_the_old_one(poller, pair):
    near, far = pair
    poller.watch(near, read=True, write=False)
    poller.watch(far, read=True, write=False)
    far.send(b"for near")
    assert poller.wait(0) == (False, False)
    near.send(b"for far")
    assert poller.wait(1) == (True, False)


def test_waking_a_closed_poller_is_harmless():
    poller = Poller()
    poller.close()
    poller.wake()
