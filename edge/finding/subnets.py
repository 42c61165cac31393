"""The subnets of this machine that are worth looking through: private, up, and not those of containers."""

from __future__ import annotations

import psutil

from actors.resolver.addresses import Subnet, local_subnets
from edge.network import VIRTUAL


def own_subnets() -> list[Subnet]:
    """Return the subnets, each cut to a size that may be looked through; loopback is none of them."""
    addresses = {name: entries for name, entries in psutil.net_if_addrs().items() if not name.startswith(VIRTUAL)}
    return local_subnets(addresses, psutil.net_if_stats())
