"""The neighbour table of this machine: which MAC answers at which address. It tells one device from another."""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

logger = logging.getLogger(__name__)

Neighbours = Callable[[], Mapping[str, str]]
"""Returns the table as it is now: address to MAC, 12 lower-case hexadecimal digits."""

ARP_TABLE = Path("/proc/net/arp")
#: Seconds for `ip -j neigh`, which only prints a kernel table.
IP_TIMEOUT = 1.0
#: `ATF_COM` of linux/if_arp.h: the entry is complete.
_COMPLETE = 0x2
_SEPARATORS = re.compile(r"[:.\-\s]")
_MAC = re.compile(r"[0-9a-f]{12}")


def normalise_mac(text: str) -> str:
    """Return 12 lower-case hexadecimal digits, or empty text for what is no MAC of one network card."""
    digits = _SEPARATORS.sub("", text.lower())
    if not _MAC.fullmatch(digits) or digits == "0" * 12:
        return ""
    # The lowest bit of the first byte marks a group address (multicast, broadcast).
    return "" if int(digits[:2], 16) & 1 else digits


def parse_arp(text: str) -> dict[str, str]:
    """Read `/proc/net/arp` (address, hardware type, flags, MAC, mask, device) without its incomplete entries."""
    rows = (line.split() for line in text.splitlines()[1:])
    return {row[0]: mac for row in rows if len(row) >= 6 and _is_complete(row[2]) and (mac := normalise_mac(row[3]))}


def parse_ip_neigh(text: str) -> dict[str, str]:
    """Read the output of `ip -j neigh`. Entries without a MAC (`FAILED`, `INCOMPLETE`) are left out."""
    try:
        rows = json.loads(text)
    except ValueError:
        return {}
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    usable = ((str(row.get("dst")), normalise_mac(str(row.get("lladdr")))) for row in rows if not _is_failed(row))
    return {address: mac for address, mac in usable if mac}


def read_neighbours() -> dict[str, str]:
    """Return the neighbour table of this machine; empty where there is no way to read it."""
    try:
        table = parse_arp(ARP_TABLE.read_text(encoding="ascii", errors="replace"))
    except OSError:
        table = {}
    return table | parse_ip_neigh(_ip_neigh())


def _is_complete(flags: str) -> bool:
    try:
        return bool(int(flags, 16) & _COMPLETE)
    except ValueError:
        return False


def _is_failed(row: dict[str, object]) -> bool:
    state = row.get("state")
    return "dst" not in row or (isinstance(state, list) and "FAILED" in state)


def _ip_neigh() -> str:
    command = shutil.which("ip")
    if command is None:
        return ""
    try:
        # S603 asks whether the input is trusted: there is none, the arguments are fixed.
        done = subprocess.run([command, "-j", "neigh"], capture_output=True, timeout=IP_TIMEOUT, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.debug("resolver: ip -j neigh failed: %s", error)
        return ""
    return done.stdout.decode("ascii", errors="replace")
