"""What a service manager sees of a server: ready, alive, stopping."""

from __future__ import annotations

import socket

import pytest

from tests.support.muster import Muster
from tests.support.wait import eventually


@pytest.fixture
def manager(tmp_path):
    """The socket on which a service manager listens, and all that came."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(20)
        yield listener


def hear(manager, wanted):
    """Everything up to the datagram that is wanted."""
    heard = []
    while wanted not in heard:
        heard.append(manager.recv(4096).decode())
    return heard


def test_a_server_tells_that_it_is_ready_that_it_lives_and_that_it_ends(manager, mosquitto):
    env = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "600000"}
    with Muster(mosquitto.url, env=env) as server:
        hear(manager, "READY=1")
        hear(manager, f"STATUS=Listening on http://{server.address}")
        hear(manager, "WATCHDOG=1")
        hear(manager, "WATCHDOG=1")
        server.stop()
        hear(manager, "STOPPING=1")


def test_a_server_that_waits_for_its_database_is_ready_and_alive(manager, mosquitto):
    env = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "600000"}
    away = "postgresql://nobody@127.0.0.1:1/none"
    server = Muster(mosquitto.url, database_url=away, env=env)
    try:
        server.launch()
        hear(manager, "READY=1")
        hear(manager, "WATCHDOG=1")
        eventually(lambda: server.health()["status"] == "failing", 20, "it says so")
    finally:
        server.close()


def test_a_server_without_a_service_manager_says_nothing(mosquitto):
    with Muster(mosquitto.url, env={"NOTIFY_SOCKET": "", "WATCHDOG_USEC": "600000"}) as server:
        server.stop()
