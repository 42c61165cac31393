"""What every connection of ours does with its TCP socket: notice a dead peer, and be ended by another thread."""

from __future__ import annotations

import contextlib
import socket

_OPTIONS = (
    ("TCP_NODELAY", 1),
    ("TCP_KEEPIDLE", 10),
    ("TCP_KEEPINTVL", 5),
    ("TCP_KEEPCNT", 4),
    ("TCP_USER_TIMEOUT", 30_000),
)
"""The last in milliseconds, those of keepalive in seconds and a number of probes. macOS has not all of them."""


def tune(sock: object) -> None:
    """Send small packets without delay; notice a dead peer within about 30 s, also where MQTT's keepalive is off.

    Args:
        sock: what is no TCP socket is left as it is.

    """
    if not isinstance(sock, socket.socket) or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS:
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def sever(sock: object) -> None:
    """Shut a socket down, from any thread: reads and writes on it return at once. It stays open, and its owner's.

    Args:
        sock: one that has ended already, or that is none, is no error.

    """
    if isinstance(sock, socket.socket):
        with contextlib.suppress(OSError):
            # Not SSLSocket's, which would touch the TLS state under the thread that hangs in it.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
