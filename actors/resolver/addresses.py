"""Which addresses may be touched: a check of a told address, and the local subnets that a scan may look through."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

#: RFC 1918, RFC 3927 and loopback. A scan refuses everything else, whoever asks for it.
SCANNABLE = tuple(
    ipaddress.IPv4Network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8")
)
#: The largest subnet that is scanned whole: 1,022 hosts. Of a larger one only our own /24 is.
LARGEST_PREFIX = 22
CUT_PREFIX = 24


class InterfaceAddress(Protocol):
    """What `psutil.net_if_addrs` tells of one address."""

    @property
    def family(self) -> int:
        """`socket.AF_INET` and others."""

    @property
    def address(self) -> str:
        """The address as text."""

    @property
    def netmask(self) -> str | None:
        """For IPv4 as text, `255.255.255.0`."""


class InterfaceState(Protocol):
    """What `psutil.net_if_stats` tells of one interface."""

    @property
    def isup(self) -> bool:
        """True if it is up."""


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet that this machine is part of, already cut to a size that may be scanned."""

    network: ipaddress.IPv4Network
    own: ipaddress.IPv4Address

    def hosts(self) -> Iterator[str]:
        """Yield every host address but our own."""
        return (str(host) for host in self.network.hosts() if host != self.own)

    def __contains__(self, address: str) -> bool:
        parsed = _parse(address)
        return isinstance(parsed, ipaddress.IPv4Address) and parsed in self.network


def is_checkable(address: str) -> bool:
    """Tell whether one connection attempt to an address that a device told us is in order.

    A device may announce anything. Names, public, multicast and unspecified addresses are never tried: an announcement
    must not make the server knock at foreign doors. Private, link-local, loopback and carrier (100.64/10) ones are.
    """
    parsed = _parse(address)
    if parsed is None:
        return False
    # Python counts ::1 among the reserved ones, hence loopback first.
    return parsed.is_loopback or not (
        parsed.is_global or parsed.is_multicast or parsed.is_unspecified or parsed.is_reserved
    )


def is_address(text: str) -> bool:
    """Tell whether a text is an IP address at all; a device may announce anything."""
    return _parse(text) is not None


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def local_subnets(
    addresses: Mapping[str, Sequence[InterfaceAddress]], states: Mapping[str, InterfaceState]
) -> list[Subnet]:
    """Return the private IPv4 subnets of the interfaces that are up, loopback excepted.

    An interface that is down has no route: its addresses would be asked for at the default gateway.
    """
    entries = (
        (entry.address, entry.netmask)
        for name, entries in addresses.items()
        if name in states and states[name].isup
        for entry in entries
        if entry.family == socket.AF_INET and entry.netmask
    )
    found = (subnet_of(address, netmask) for address, netmask in entries if netmask)
    return list(dict.fromkeys(s for s in found if s is not None and not s.network.is_loopback))


def subnet_of(address: str, netmask: str) -> Subnet | None:
    """Return the subnet around our own address, cut if it is large; None if it must not or need not be scanned."""
    own = ipaddress.IPv4Address(address)
    network = ipaddress.IPv4Network(f"{address}/{netmask}", strict=False)
    if network.prefixlen < LARGEST_PREFIX:
        network = ipaddress.IPv4Network(f"{address}/{CUT_PREFIX}", strict=False)
    # A /31 or /32 is a point-to-point link: there is no neighbour to find.
    return Subnet(network, own) if network.prefixlen <= 30 and is_scannable(network) else None


def is_scannable(network: ipaddress.IPv4Network) -> bool:
    """Tell whether a network is private and small enough."""
    private = any(network.subnet_of(block) for block in SCANNABLE)
    return private and network.prefixlen >= LARGEST_PREFIX


def nearest_first(subnets: Iterable[Subnet], address: str) -> list[Subnet]:
    """Order the subnets so that the one with the last known address comes first."""
    return sorted(subnets, key=lambda subnet: address not in subnet)
