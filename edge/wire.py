"""What goes over the control socket: one JSON line each way, and a name that is short enough."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from actors.outbox_file import Item

LONGEST_LINE = 2 * 2**20
"""Bytes of a request: an item of the outbox in base64, and what stands around it."""
PUT_TIMEOUT = 10.0
"""Seconds for the outbox to have a scan on the disk."""


class Request(msgspec.Struct, frozen=True):
    """One line of a client."""

    command: str
    item: Item | None = None
    """What `scan` has read."""


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line to a client."""

    ok: bool
    error: str = ""
    status: dict[str, Any] | None = None


def read_line(sock: socket.socket) -> bytes:
    """Return the line that comes next, without its end, or what came of it before the other side closed.

    Raises:
        OSError: nothing came in time, or too much.

    """
    line = b""
    while not line.endswith(b"\n"):
        part = sock.recv(65_536)
        if not part:
            break
        line += part
        if len(line) > LONGEST_LINE:
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
