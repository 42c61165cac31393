"""What a service manager sees of an edge that starts anew in its own place: no end, and no silence."""

from __future__ import annotations

import socket

import pytest

from edge.boot import RESTART, EdgeProcess
from edge.home import Home, home_of
from edge.settings import EdgeSettings
from tests.support.wait import eventually


class Manager:
    """A service manager, which forgets nothing that it was told: a beat may come right behind `READY=1`."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.setblocking(False)
        self._heard = []

    def heard(self):
        """Everything that was told so far."""
        while True:
            try:
                self._heard.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return self._heard

    def forget(self):
        """Begin anew."""
        self.heard().clear()


@pytest.fixture
def manager(tmp_path):
    made = Manager(str(tmp_path / "notify"))
    with made.socket:
        yield made


@pytest.fixture
def edge(manager, tmp_path):
    """An edge that is up, whom nobody answers."""
    environ = {"NOTIFY_SOCKET": manager.socket.getsockname(), "WATCHDOG_USEC": "60000000"}
    settings = EdgeSettings(data_dir=str(tmp_path), device_id="pi-7", server_url="http://127.0.0.1:9")
    with Home(home_of(tmp_path).path) as home:
        process = EdgeProcess(settings, home, environ)
        process.start()
        assert "READY=1" in manager.heard()
        yield process
        process.stop()


def test_a_restart_is_no_end_for_systemd_which_would_kill_what_comes_after_it(edge, manager):
    eventually(lambda: "WATCHDOG=1" in manager.heard(), 20, "it lives")
    manager.forget()
    edge.parts.restart()
    assert edge.wait() == RESTART
    edge.stop()
    assert "STOPPING=1" not in manager.heard()
    assert "WATCHDOG=1" in manager.heard(), "the time of its watchdog begins anew"


def test_an_end_is_told(edge, manager):
    edge.end()
    edge.wait()
    edge.stop()
    assert "STOPPING=1" in manager.heard()
