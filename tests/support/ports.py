"""Free TCP ports for servers."""

from __future__ import annotations

import secrets
import socket

# Below the kernel's range for outgoing connections (from 32768): none of them can take the port of a stopped server.
_LOWEST, _COUNT = 20_000, 12_000
_issued: set[int] = set()


def free_port() -> int:
    """A loopback TCP port that nobody listens on and that this process has not given out before."""
    while True:
        port = _LOWEST + secrets.randbelow(_COUNT)
        if port not in _issued and _can_bind(port):
            _issued.add(port)
            return port


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
