"""The names and addresses by which others may reach this machine."""

from __future__ import annotations

import socket

import psutil


def own_name() -> str:
    """Return the name by which others most likely reach this machine: with `.local` where it has no domain."""
    name = socket.gethostname().rstrip(".") or "localhost"
    return name if "." in name else f"{name}.local"


def own_names(*first: str) -> list[str]:
    """Return all names and addresses of this machine, those in `first` before the others."""
    addresses = [
        address.address
        for interface in psutil.net_if_addrs().values()
        for address in interface
        if address.family in (socket.AF_INET, socket.AF_INET6) and "%" not in address.address
    ]
    names = [*first, own_name(), socket.gethostname(), "localhost", "127.0.0.1", "::1", *addresses]
    return list(dict.fromkeys(filter(None, names)))
