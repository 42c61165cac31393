"""Look through the local subnets for a device whose MAC is known.

One short attempt per host makes the kernel ask for its MAC (ARP), whether or not the port is open; the neighbour table
then tells which address is the device's. Only there are all its ports tried. So a subnet of 254 hosts costs 254
attempts and not one per port, and no other machine is ever taken for the device.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from contextlib import closing

from actors.resolver.addresses import Subnet, is_scannable, nearest_first
from actors.resolver.budget import Budget
from actors.resolver.chain import Found, Wanted
from actors.resolver.neighbours import Neighbours
from actors.resolver.reachability import Limits, open_ports

#: Hosts between two looks at the neighbour table.
CHUNK = 64
#: Scans are limited to their own link, see `Limits`.
SCAN_LIMITS = Limits(on_link_only=True)


def scan(
    wanted: Wanted, subnets: Sequence[Subnet], *, neighbours: Neighbours, budget: Budget, limits: Limits = SCAN_LIMITS
) -> Found | None:
    """Find the device by its MAC in the given subnets; None without a known MAC.

    Raises:
        ValueError: a subnet is not private, or larger than a scan may be.

    """
    for subnet in subnets:
        if not is_scannable(subnet.network):
            raise ValueError(f"{subnet.network} must not be scanned")
    if not wanted.mac:
        return None
    tried: set[str] = set()
    ordered = nearest_first(subnets, wanted.address)
    hosts = itertools.chain.from_iterable(subnet.hosts() for subnet in ordered)
    while not budget.spent():
        owned = [a for a, mac in neighbours().items() if mac == wanted.mac and a not in tried and _within(a, ordered)]
        tried.update(owned)
        found = first_open(((a, port) for a in owned for port in wanted.ports), budget, limits)
        if found is not None:
            return found
        chunk = list(itertools.islice(hosts, CHUNK))
        if not chunk:
            return None
        _wake(chunk, wanted.ports[0], budget, limits)
    return None


def first_open(targets: Iterable[tuple[str, int]], budget: Budget, limits: Limits) -> Found | None:
    """Return the first target that accepts a connection and leave the others alone."""
    with closing(open_ports(targets, budget, limits)) as attempts:
        found = next(attempts, None)
    return Found(*found) if found else None


def _wake(hosts: Iterable[str], port: int, budget: Budget, limits: Limits) -> None:
    """Knock once at every host; what answers is of no interest, only what the neighbour table learns from it."""
    for _ in open_ports(((host, port) for host in hosts), budget, limits):
        pass


def _within(address: str, subnets: Iterable[Subnet]) -> bool:
    return any(address in subnet for subnet in subnets)
