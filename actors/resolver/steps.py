"""The three steps on the real network of this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil

from actors.resolver.addresses import Subnet, local_subnets
from actors.resolver.budget import Budget
from actors.resolver.chain import Found, Wanted
from actors.resolver.mdns import Browse, browse_network, look_up
from actors.resolver.neighbours import Neighbours, read_neighbours
from actors.resolver.reachability import Limits
from actors.resolver.scan import SCAN_LIMITS, first_open, scan

#: One host, perhaps behind a slow radio: more patience than in a scan.
CHECK_LIMITS = Limits(timeout=1.0)


def own_subnets() -> list[Subnet]:
    """Return the private subnets of this machine's interfaces."""
    return local_subnets(psutil.net_if_addrs(), psutil.net_if_stats())


@dataclass(frozen=True, kw_only=True)
class LocalSteps:
    """`Steps` from the point of view of this machine; what touches the machine can be replaced."""

    neighbours: Neighbours = read_neighbours
    subnets: Callable[[], Sequence[Subnet]] = own_subnets
    browse: Browse = browse_network
    use_mdns: bool = True
    use_scan: bool = True
    check_seconds: float = 1.0
    """For the last known address."""
    mdns_seconds: float = 2.5
    scan_seconds: float = 5.0
    check_limits: Limits = CHECK_LIMITS
    scan_limits: Limits = SCAN_LIMITS

    def last_known(self, wanted: Wanted, budget: Budget) -> Found | None:
        """Try the ports at the last known address, which by now may have been given to another device."""
        if not wanted.address:
            return None
        targets = [(wanted.address, port) for port in wanted.ports]
        found = first_open(targets, budget.part(self.check_seconds), self.check_limits)
        return found if found and not self._is_another(found, wanted) else None

    def mdns(self, wanted: Wanted, budget: Budget) -> Found | None:
        """Ask by name on the interfaces with private addresses."""
        own = [str(subnet.own) for subnet in self.subnets()] if self.use_mdns else []
        if not own:
            return None
        return look_up(
            wanted,
            own,
            budget.part(self.mdns_seconds),
            browse=self.browse,
            accept=lambda found: not self._is_another(found, wanted),
        )

    def scan(self, wanted: Wanted, budget: Budget) -> Found | None:
        """Look for the device's MAC in the local subnets."""
        if not self.use_scan:
            return None
        part = budget.part(self.scan_seconds)
        return scan(wanted, self.subnets(), neighbours=self.neighbours, budget=part, limits=self.scan_limits)

    def _is_another(self, found: Found, wanted: Wanted) -> bool:
        """Tell whether the neighbour table shows another MAC there; it shows none of a device behind a router."""
        mac = self.neighbours().get(found.address, "")
        return bool(mac and wanted.mac) and mac != wanted.mac
