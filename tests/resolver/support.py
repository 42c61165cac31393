"""Devices, a fake network and real listening sockets on loopback."""

import contextlib
import socket
from collections.abc import Iterator

from actors.messages import DeviceSnapshot
from actors.resolver import Budget, Found, Wanted

MAC = "2c:cf:67:6c:45:f2"
MAC_DIGITS = "2ccf676c45f2"


def device(serial="pi-1", **fields):
    """A Raspberry Pi as the fleet publishes it."""
    values = {
        "kind": "raspberry_pi",
        "family": "pi",
        "presence": "offline",
        "ip_address": "127.0.1.4",
        "hostname": "raspberrypi",
        "mac_address": MAC,
        "last_seen_us": 1_000_000,
    }
    return DeviceSnapshot(serial=serial, **(values | fields))


def stored(snapshot):
    """Presence as stored: what the fleet tells while it sees."""
    return snapshot.presence


def wanted(**fields):
    values = {"serial": "pi-1", "hostname": "raspberrypi", "mac": MAC_DIGITS, "address": "127.0.1.4", "ports": (22,)}
    return Wanted(**(values | fields))


class FakeSteps:
    """Finds what it is told to find, and keeps the order of the steps that were taken."""

    def __init__(self, **finds):
        self.finds = finds
        self.taken = []
        self.wanted = None

    def last_known(self, wanted: Wanted, budget: Budget) -> Found | None:
        return self._take("last_known", wanted)

    def mdns(self, wanted: Wanted, budget: Budget) -> Found | None:
        return self._take("mdns", wanted)

    def scan(self, wanted: Wanted, budget: Budget) -> Found | None:
        return self._take("scan", wanted)

    def _take(self, step, wanted):
        self.taken.append(step)
        self.wanted = wanted
        found = self.finds.get(step)
        if isinstance(found, Exception):
            raise found
        return found


@contextlib.contextmanager
def listening(address: str, port: int = 0) -> Iterator[int]:
    """Accept connections at a loopback address; gives the port."""
    with socket.create_server((address, port)) as server:
        yield server.getsockname()[1]


@contextlib.contextmanager
def silent(address: str) -> Iterator[int]:
    """A port that answers nothing at all, as a firewall that drops: its queue is full, further SYNs are ignored."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server((address, 0), backlog=0))
        target = server.getsockname()
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(target)
        yield target[1]
