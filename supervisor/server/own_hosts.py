"""Which names and addresses are this server's own: only to who has dialled one of them does it prove itself.

Whoever passes a device's question on to us stands at another address. The device knows what it has dialled: a proof for
our address is worth nothing at that of another machine.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

PRIVILEGED = range(1, 1024)
"""Ports of a reverse proxy or a redirection; on any other one of this machine everybody here may listen."""
_NAME = re.compile(r"[A-Za-z0-9._:-]{1,253}")


class Authority(NamedTuple):
    """What a Host header says."""

    host: str
    """In lower case; an IPv6 address without brackets."""
    port: int | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


def read_authority(header: str) -> Authority | None:
    """Return what a Host header says (RFC 9110, 7.2); None for what is none."""
    try:
        parts = urlsplit(f"//{header}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    return Authority(host, port) if _NAME.fullmatch(host) and "@" not in header else None


class OwnHosts:
    """Tells own names and addresses from those of others."""

    def __init__(
        self,
        configured: Iterable[str],
        server_id: str,
        *,
        host_name: Callable[[], str] = socket.gethostname,
        addresses: Callable[[], set[Address]] | None = None,
    ) -> None:
        """Assign.

        Args:
            configured: further names and addresses, of a NAT or a reverse proxy.
            server_id: is part of the name that multicast DNS tells of us.
            host_name: returns the name of this machine.
            addresses: returns those of its interfaces.

        """
        self._configured = {_plain(host) for host in configured}
        self._announced = f"muster-{server_id}.local"
        self._host_name = host_name
        self._addresses = addresses or interface_addresses

    def include(self, dialled: Authority, *, client: str, port: int) -> bool:
        """Tell whether whoever has dialled that has dialled this server, or what only root of this machine can bind.

        Args:
            dialled: host and port, as the Host header has them.
            client: the address that the question came from. The loopback address is ours only for this machine: on any
                other one it is that machine's own.
            port: where we listen.

        """
        if _plain(dialled.host) in self._configured:
            return True
        return (dialled.port == port or dialled.port in PRIVILEGED) and self._is_here(dialled.host, client)

    def _is_here(self, host: str, client: str) -> bool:
        address = _address(host)
        if host == "localhost" or (address is not None and address.is_loopback):
            asker = _address(client)
            return asker is not None and asker.is_loopback
        if address is not None:
            return address in self._addresses()
        name = self._host_name().lower().rstrip(".")
        return host in (self._announced, name, f"{name}.local")


def interface_addresses() -> set[Address]:
    """Return the addresses of all interfaces of this machine."""
    found = (
        _address(entry.address.partition("%")[0])  # without the interface of a link-local one
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family in (socket.AF_INET, socket.AF_INET6)
    )
    return {address for address in found if address is not None}


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A socket for both kinds names IPv4 clients so (RFC 4291, 2.5.5.2).
    return getattr(address, "ipv4_mapped", None) or address


def _plain(host: str) -> str:
    """Return one spelling of a name or an address."""
    address = _address(host)
    return host.lower() if address is None else str(address)
