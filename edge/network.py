"""`NetworkWatcher`: knows the addresses of this machine, and tells whoever has to know when they change.

The kernel says by netlink that something has changed (rtnetlink(7), groups of links and of addresses); what it is now
is read by psutil, so that one way of reading serves all kernels. Without netlink psutil is asked every 2 s.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import psutil

from actors.runtime import Directory, Runtime
from edge.waiting import WaitingActor

logger = logging.getLogger(__name__)

DEBOUNCE = 0.2
"""Seconds of quiet after the kernel's last word: a change of network is many of them."""
POLL_EVERY = 2.0
"""Seconds between two looks where the kernel does not tell; with netlink a look every `LOOK_EVERY` is a safety net."""
LOOK_EVERY = 30.0
VIRTUAL = (
    "docker",
    "br-",
    "veth",
    "virbr",
    "vmnet",
    "vboxnet",
    "lxc",
    "lxd",
    "cni",
    "flannel",
    "cali",
    "podman",
    "kube",
)
"""Beginnings of the names of interfaces behind which there are containers and virtual machines, not a network."""
_RTMGRP_LINK, _RTMGRP_IPV4_IFADDR, _RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100
_NETLINK_BUFFER = 65_536


class Address(msgspec.Struct, frozen=True, order=True):
    """One address of one interface."""

    interface: str
    ip: str
    """IPv4 or IPv6, without the scope."""
    prefixlen: int
    mac: str
    """Of the interface, `b8:27:eb:...`; empty where it has none."""
    is_up: bool = True

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can use it."""
        return self.ip.startswith("127.") or self.ip == "::1"

    @property
    def is_virtual(self) -> bool:
        """Whether it leads to containers of this machine only."""
        return self.interface.startswith(VIRTUAL)

    @property
    def is_link_local(self) -> bool:
        """Whether it holds on its own segment only (169.254.0.0/16, fe80::/10)."""
        return self.ip.startswith(("169.254.", "fe8", "fe9", "fea", "feb"))


class NetworkChanged(msgspec.Struct, frozen=True):
    """The addresses of this machine are others than before."""

    addresses: tuple[Address, ...]
    """All of them, sorted; those of interfaces that are down too."""


@dataclass(kw_only=True, slots=True)
class NetworkBoard:
    """What is known of the network; outlives the incarnations of the watcher, written by its thread."""

    addresses: tuple[Address, ...] | None = None
    """All addresses of this machine, sorted; None before the first look."""


class NetworkWatcher(WaitingActor):
    """Waits for the kernel, looks, and tells. It has a thread because it waits."""

    def __init__(
        self,
        *,
        directory: Directory,
        runtime: Runtime,
        board: NetworkBoard,
        notify: Sequence[str],
        read: Callable[[], tuple[Address, ...]] | None = None,
        use_netlink: bool = True,
    ) -> None:
        """Assign.

        Args:
            directory: where the names are found.
            runtime: the clock.
            board: where what is known is left.
            notify: names that are told `NetworkChanged`.
            read: returns the addresses as they are now; by default psutil does.
            use_netlink: whether to let the kernel tell; else psutil is asked every 2 s.

        """
        super().__init__()
        self._directory, self._runtime, self._board = directory, runtime, board
        self._notify = tuple(notify)
        self._read = read or read_addresses
        self._use_netlink = use_netlink
        self._netlink: socket.socket | None = None
        self._look_at = 0.0

    def open(self) -> socket.socket | None:
        """Take a first look, or a next one: what changed while a crashed watcher was away is told now."""
        if self._use_netlink:
            self._netlink = open_netlink()
        self._look()
        return self._netlink

    def patience(self) -> float:
        """Return the time until the next look."""
        return self._look_at - self._now()

    def happened(self, *, readable: bool) -> None:
        """Look once the kernel has been quiet for a moment, or when it is time anyway."""
        if readable:
            self._drain()
            self._look_at = min(self._look_at, self._now() + DEBOUNCE)
        if self._now() >= self._look_at:
            self._look()

    def close(self) -> None:
        """Close the netlink."""
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def _look(self) -> None:
        self._look_later()
        before, addresses = self._board.addresses, self._read()
        if addresses == before:
            return
        self._board.addresses = addresses
        if before is None:
            return
        logger.info("the network has changed: %s", ", ".join(_usable(addresses)) or "no address")
        for name in self._notify:
            self._directory.tell(name, NetworkChanged(addresses))

    def _look_later(self) -> None:
        self._look_at = self._now() + (POLL_EVERY if self._netlink is None else LOOK_EVERY)

    def _drain(self) -> None:
        """Take what the kernel has said; how much of it was lost does not matter, since we look for ourselves."""
        assert self._netlink is not None
        while True:
            try:
                self._netlink.recv(_NETLINK_BUFFER)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise

    def _now(self) -> float:
        return self._runtime.clock.monotonic()


def read_addresses() -> tuple[Address, ...]:
    """Return all addresses of this machine, sorted."""
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    found = []
    for name, entries in psutil.net_if_addrs().items():
        mac = next((entry.address for entry in entries if entry.family == psutil.AF_LINK), "")
        for entry in entries:
            if entry.family in (socket.AF_INET, socket.AF_INET6):
                ip = entry.address.partition("%")[0]
                found.append(Address(name, ip, _prefix_length(entry.netmask), mac.lower(), name in up))
    return tuple(sorted(found))


def open_netlink() -> socket.socket | None:
    """Return a socket on which the kernel tells of changes, None where it cannot be had."""
    try:
        netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    except (AttributeError, OSError) as error:
        logger.info("no netlink (%s): addresses are looked up every %g s", error, POLL_EVERY)
        return None
    try:
        netlink.bind((0, _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR))
    except OSError as error:
        netlink.close()
        logger.info("no netlink (%s): addresses are looked up every %g s", error, POLL_EVERY)
        return None
    return netlink


def primary(addresses: Sequence[Address]) -> Address | None:
    """Return the address by which others most likely reach us: up, IPv4 before IPv6, wide before link-local."""
    usable = [address for address in addresses if address.is_up and not address.is_loopback]
    return min(usable, key=lambda one: (one.is_link_local, ":" in one.ip, one.interface, one.ip), default=None)


def _usable(addresses: Sequence[Address]) -> list[str]:
    return [
        f"{one.ip} on {one.interface}"
        for one in addresses
        if one.is_up and not one.is_loopback and not one.is_link_local
    ]


def _prefix_length(netmask: str | None) -> int:
    """Return the length of a prefix from `255.255.255.0`, `ffff:ffff::` or `ffff:ffff::/64` (psutil has had both)."""
    if not netmask:
        return 0
    mask, slash, length = netmask.partition("/")
    if slash and length.isdecimal():
        return int(length)
    try:
        packed = socket.inet_pton(socket.AF_INET6 if ":" in mask else socket.AF_INET, mask)
    except OSError:
        return 0
    return int.from_bytes(packed, "big").bit_count()
