"""Addresses that come and go, as the watcher sees them."""

from __future__ import annotations

import pytest

from actors.runtime import Directory
from edge import network
from edge.network import Address, NetworkBoard, NetworkChanged, NetworkWatcher, primary, read_addresses
from tests.link.rig import Recorder
from tests.support.wait import eventually

LAN = Address("eth0", "192.168.7.2", 24, "b8:27:eb:00:00:01")
WIFI = Address("wlan0", "10.0.0.9", 16, "b8:27:eb:00:00:02")
LOOPBACK = Address("lo", "127.0.0.1", 8, "00:00:00:00:00:00")
LOCAL = Address("eth0", "169.254.3.4", 16, "b8:27:eb:00:00:01")
SIX = Address("eth0", "2001:db8::7", 64, "b8:27:eb:00:00:01")
DOWN = Address("eth1", "192.168.8.2", 24, "b8:27:eb:00:00:03", is_up=False)


class Machine:
    """Addresses that a test changes, and a watcher of them."""

    def __init__(self, runtime):
        self.runtime = runtime
        self.addresses = (LAN,)
        self.failing = False
        self.board = NetworkBoard()
        self.recorder = Recorder()
        self.directory = Directory()
        self.directory.publish("presence", self.recorder)

    def read(self):
        if self.failing:
            raise RuntimeError("told so")
        return self.addresses

    def watch(self, *, use_netlink=False):
        watcher = NetworkWatcher(
            directory=self.directory,
            runtime=self.runtime,
            board=self.board,
            notify=("presence",),
            read=self.read,
            use_netlink=use_netlink,
        )
        return self.runtime.launch(watcher)


@pytest.fixture
def machine(runtime, monkeypatch):
    monkeypatch.setattr(network, "POLL_EVERY", 0.02)
    return Machine(runtime)


def test_a_change_is_told_once(machine):
    ref = machine.watch()
    eventually(lambda: machine.board.addresses == (LAN,))
    machine.addresses = (WIFI,)
    eventually(lambda: machine.recorder.told)
    machine.addresses = (LAN, WIFI)
    eventually(lambda: len(machine.recorder.told) == 2)
    ref.stop()
    assert machine.recorder.told == [NetworkChanged((WIFI,)), NetworkChanged((LAN, WIFI))]


def test_the_first_look_is_no_change(machine):
    ref = machine.watch()
    eventually(lambda: machine.board.addresses == (LAN,))
    ref.stop()
    assert machine.recorder.told == []


def test_what_changed_while_a_crashed_watcher_was_away_is_told_by_the_next(machine):
    machine.board.addresses = (LAN,)
    machine.addresses = (WIFI,)
    ref = machine.watch()
    eventually(lambda: machine.recorder.told == [NetworkChanged((WIFI,))])
    ref.stop()


def test_a_watcher_stops_at_once_though_it_waits(machine):
    ref = machine.watch(use_netlink=True)
    eventually(lambda: machine.board.addresses == (LAN,))
    ref.stop(timeout=5.0)
    assert not ref.is_alive()


def test_without_netlink_psutil_is_asked_again_and_again(machine, monkeypatch):
    monkeypatch.setattr(network, "open_netlink", lambda: None)
    ref = machine.watch(use_netlink=True)
    eventually(lambda: machine.board.addresses == (LAN,))
    machine.addresses = ()
    eventually(lambda: machine.recorder.told == [NetworkChanged(())])
    ref.stop()


def test_the_kernel_is_listened_to_and_the_socket_is_given_back():
    netlink = network.open_netlink()
    assert netlink is not None
    with netlink:
        assert not netlink.getblocking()


def test_this_machine_has_its_loopback():
    found = [address for address in read_addresses() if address.ip == "127.0.0.1"]
    assert [(address.prefixlen, address.is_loopback, address.is_up) for address in found] == [(8, True, True)]


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ((), None),
        ((LOOPBACK,), None),
        ((DOWN,), None),
        ((LOCAL, LOOPBACK), LOCAL),
        ((LOCAL, SIX), SIX),
        ((SIX, WIFI), WIFI),
        ((WIFI, LAN), LAN),
    ],
)
def test_others_reach_us_most_likely_by_the_address_that_is_widest(addresses, expected):
    assert primary(addresses) == expected


@pytest.mark.parametrize(
    ("mask", "length"),
    [("255.255.252.0", 22), ("ffff:ffff:ffff:ffff::", 64), ("ffff::/16", 16), ("64", 0), (None, 0), ("x", 0)],
)
def test_a_prefix_is_as_long_as_its_mask(mask, length):
    assert network._prefix_length(mask) == length
