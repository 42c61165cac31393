"""What goes over the control socket: one JSON line each way, and a name that is short enough."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from edge.scans import NewScan

LONGEST_REQUEST = 64 * 2**10
"""Bytes: a code of which every character is escaped, and what stands around it."""
LONGEST_ANSWER = 2 * 2**20
"""Bytes: a status with what has gone wrong."""
PUT_TIMEOUT = 10.0
"""Seconds for the outbox to have a scan on the disk."""


class Request(msgspec.Struct, frozen=True):
    """One line of a client."""

    command: str
    scan: NewScan | None = None
    """What `scan` has read; the edge makes it one of its own."""


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line to a client."""

    ok: bool
    error: str = ""
    status: dict[str, Any] | None = None
    scan: str = ""
    """The JSON of the scan that was kept."""


def read_line(sock: socket.socket, *, seconds: float, longest: int) -> bytes:
    """Return the line that comes next, without its end, or what came of it before the other side closed.

    Args:
        sock: its timeout is left at what is left of `seconds`.
        seconds: for all of it, however it comes.
        longest: bytes.

    Raises:
        OSError: it did not come in time, or too much.

    """
    deadline = time.monotonic() + seconds
    line = b""
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the line did not come in time")
        sock.settimeout(left)
        part = sock.recv(65_536)
        if not part:
            break
        line += part
        if len(line) > longest:
            raise OSError("the line is too long")
    return line.rstrip(b"\n")


@contextlib.contextmanager
def near(path: Path) -> Iterator[str]:
    """Yield a name for a socket that is short enough, whatever its directory: unix(7) leaves 107 bytes for it."""
    descriptor = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)
