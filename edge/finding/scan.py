"""Looks through subnets for hosts that answer on the server's port: few at a time, each for half a second, bounded."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

from actors.resolver.addresses import Subnet
from actors.resolver.budget import Budget
from actors.resolver.reachability import Limits, open_ports

SECONDS = 15.0
"""For all subnets together."""
NEAR = Limits(timeout=0.5, in_flight=32, on_link_only=True)
"""Our own subnets: what is sent stays in them."""
FAR = Limits(timeout=0.5, in_flight=32)
"""Subnets that an owner has named; they are behind a router."""
LOOPBACK = "127.0.0.1"


def near_hosts(subnets: Sequence[Subnet], port: int, budget: Budget) -> Iterator[str]:
    """Yield the hosts of our own subnets that accept a connection; this machine comes first.

    A server on this machine that runs as another user leaves nothing that we could read.
    """
    yield from _answering([LOOPBACK], port, budget, FAR)
    for subnet in subnets:
        yield from _answering(subnet.hosts(), port, budget, NEAR)


def far_hosts(networks: Sequence[ipaddress.IPv4Network], port: int, budget: Budget) -> Iterator[str]:
    """Yield the hosts of other subnets that accept a connection."""
    for network in networks:
        yield from _answering(map(str, network.hosts()), port, budget, FAR)


def _answering(hosts: Iterable[str], port: int, budget: Budget, limits: Limits) -> Iterator[str]:
    with closing(open_ports(((host, port) for host in hosts), budget, limits)) as attempts:
        for host, _ in attempts:
            yield host
