"""`python -m edge.finding.browse`: prints the Muster servers that mDNS tells of, one JSON object per line.

A process that lives for seconds, because zeroconf and its event loop would weigh more than all the rest of an edge.
RFC 6762 and RFC 6763; the service is `_muster._tcp.local.`, its TXT record has `url`, `server_id` and `version`.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zeroconf import ServiceInfo, Zeroconf

SERVICE = "_muster._tcp.local."
NO_ZEROCONF = 3
"""Exit code where the library is missing."""
_QUESTION = 1.0
"""Seconds for the details of one service."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Browse and print."""
    parser = argparse.ArgumentParser(
        prog="python -m edge.finding.browse", description="Look for Muster servers by mDNS."
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="for how long to listen (default: 3)")
    parser.add_argument("--interface", action="append", default=[], metavar="ADDRESS", help="own address to ask from")
    options = parser.parse_args(arguments)
    try:
        import zeroconf  # noqa: F401 - only whether it is there
    except ImportError:
        sys.stderr.write("mDNS needs the package zeroconf, which is not installed.\n")
        return NO_ZEROCONF
    try:
        for found in browse(options.seconds, options.interface or own_addresses()):
            # Not through a buffer: what is left in one is written again at the end, when nobody reads any more.
            os.write(sys.stdout.fileno(), json.dumps(found).encode() + b"\n")
    except BrokenPipeError:
        return 0  # whoever asked has found what it looked for
    except OSError as error:
        sys.stderr.write(f"mDNS cannot be used here: {error.strerror or error}.\n")
        return 1
    return 0


def own_addresses() -> list[str]:
    """Return our IPv4 addresses on the interfaces worth asking on."""
    from edge.finding.subnets import own_subnets

    return [str(subnet.own) for subnet in own_subnets()]


def browse(seconds: float, own: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield each server once it is known how to reach it.

    Raises:
        OSError: the sockets of multicast cannot be opened.

    """
    from zeroconf import IPVersion, ServiceBrowser, ServiceStateChange, Zeroconf

    if not own:
        return
    names: queue.SimpleQueue[str] = queue.SimpleQueue()

    def on_change(*, name: str, state_change: ServiceStateChange, **_: Any) -> None:
        if state_change is not ServiceStateChange.Removed:
            names.put(name)

    ends_at = time.monotonic() + seconds
    with Zeroconf(interfaces=list(own), ip_version=IPVersion.V4Only) as network:
        ServiceBrowser(network, SERVICE, handlers=[on_change])
        while (left := ends_at - time.monotonic()) > 0:
            try:
                name = names.get(timeout=left)
            except queue.Empty:
                return
            yield from _resolve(network, name)


def server_of(info: ServiceInfo) -> dict[str, Any]:
    """Return what is printed of one service."""
    texts = {
        key.decode(errors="replace"): value.decode(errors="replace") if value else ""
        for key, value in info.properties.items()
    }
    return {
        "url": texts.get("url", ""),
        "server_id": texts.get("server_id", ""),
        "version": texts.get("version", ""),
        "addresses": info.parsed_addresses(),
        "port": info.port or 0,
    }


def _resolve(network: Zeroconf, name: str) -> Iterator[dict[str, Any]]:
    info = network.get_service_info(SERVICE, name, timeout=int(_QUESTION * 1000))
    if info is not None:
        yield server_of(info)


if __name__ == "__main__":
    sys.exit(main())
