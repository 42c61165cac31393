"""What systemd hears of the edge."""

from __future__ import annotations

import socket

import pytest

from supervisor.process.sdnotify import Notifier


@pytest.fixture
def systemd(tmp_path):
    """The socket that systemd listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(10)
        yield listener


def test_systemd_hears_all_of_it(systemd):
    notifier = Notifier({"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "30000000"}, pid=1)
    notifier.ready()
    notifier.status("a sentence\nin two lines")
    notifier.status("a sentence\nin two lines")
    notifier.alive()
    notifier.stopping()
    heard = [systemd.recv(500) for _ in range(4)]
    assert heard == [b"READY=1", b"STATUS=a sentence in two lines", b"WATCHDOG=1", b"STOPPING=1"]
    assert notifier.watchdog == 30.0


def test_a_name_in_the_abstract_namespace_begins_with_an_at_sign():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("")  # the kernel draws a name there (unix(7), autobind)
        listener.settimeout(10)
        name = listener.getsockname()
        Notifier({"NOTIFY_SOCKET": f"@{name[1:].decode()}"}, pid=1).ready()
        assert listener.recv(100) == b"READY=1"


def test_without_systemd_nothing_happens():
    notifier = Notifier({}, pid=1)
    notifier.ready()
    notifier.alive()
    assert notifier.watchdog == 0.0


def test_a_socket_that_is_gone_harms_nobody(tmp_path):
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}, pid=1).ready()


@pytest.mark.parametrize("environ", [{"WATCHDOG_PID": "2"}, {"WATCHDOG_USEC": "x"}])
def test_a_watchdog_of_another_process_is_none_of_ours(environ):
    assert Notifier({"WATCHDOG_USEC": "1000000", **environ}, pid=1).watchdog == 0.0
