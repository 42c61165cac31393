"""What the commands use to reach the edge of this machine, whether it runs or not."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from actors.outbox import MOST_BYTES, MOST_ITEMS
from actors.outbox_file import Item, OutboxFile, OutboxUnavailableError
from edge.home import EdgeRunsError, Home, Places
from edge.wire import PUT_TIMEOUT, Answer, Request, near, read_line

PATIENCE = 10.0
"""Seconds for a scan to be kept: by a running edge, by one that is just starting, or by ourselves."""
LOCK_PATIENCE = 0.2
AGAIN_AFTER = 0.05
TIMEOUT = 5.0
"""Seconds for an answer that waits for nothing."""


class EdgeUnreachableError(Exception):
    """There is no edge that answers, or it refuses; the message is one sentence."""


def ask(home: Places, request: Request, *, timeout: float = TIMEOUT) -> Answer:
    """Ask the running edge.

    Raises:
        EdgeUnreachableError: nobody answers.

    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock, near(home.control) as path:
            sock.settimeout(timeout)
            sock.connect(path)
            sock.sendall(msgspec.json.encode(request) + b"\n")
            return msgspec.json.decode(read_line(sock), type=Answer)
    except PermissionError:
        raise EdgeUnreachableError(
            f"You may not reach the edge on {home.path}; ask as its user or with sudo."
        ) from None
    except (OSError, msgspec.DecodeError) as error:
        raise EdgeUnreachableError(f"No edge answers on {home.path} ({error}).") from None


def queue_scan(
    home: Places, item: Item, *, destinations: Sequence[str] = ("server",), patience: float = PATIENCE
) -> None:
    """Have a scan kept: by the running edge, or, when none runs, by writing its outbox ourselves. On the disk then.

    Args:
        home: of the edge.
        item: the scan; offered again it is kept once.
        destinations: whom an edge that does not run will have to deliver to.
        patience: seconds after which we give up.

    Raises:
        EdgeUnreachableError: neither has worked.

    """
    deadline = time.monotonic() + patience
    while True:
        refusal = _offer(home, item)
        if refusal is None:
            return
        trouble = _write(home, item, destinations)
        if trouble is None:
            return
        if time.monotonic() >= deadline:
            raise EdgeUnreachableError(f"The scan could not be kept. {refusal} {trouble}")
        time.sleep(AGAIN_AFTER)


def _offer(home: Places, item: Item) -> str | None:
    """Give the scan to the running edge; return why it does not have it, None if it has."""
    try:
        answer = ask(home, Request("scan", item), timeout=PUT_TIMEOUT)
    except EdgeUnreachableError as error:
        return str(error)
    return None if answer.ok else f"The edge refuses it: {answer.error}."


def _write(home: Places, item: Item, destinations: Sequence[str]) -> str | None:
    """Write the scan into the outbox of an edge that does not run; return why it is not there, None if it is."""
    try:
        with Home(home.path, patience=LOCK_PATIENCE) as held:
            outbox = OutboxFile(held.outbox, destinations, most_items=MOST_ITEMS, most_bytes=MOST_BYTES)
            try:
                outbox.open()
                outbox.put((item,))
            finally:
                outbox.close()
    except EdgeRunsError as error:
        return str(error)
    except OutboxUnavailableError as error:
        return f"{error}."
    return None


def read_state(home: Places) -> dict[str, Any] | None:
    """Return how the edge is: what it says itself, else the last that it wrote; None where there was never one.

    `running` says whether its process lives.
    """
    try:
        answer = ask(home, Request("status"))
    except EdgeUnreachableError:
        answer = Answer(ok=False)
    if answer.ok and answer.status is not None:
        return {**answer.status, "running": True}
    try:
        state = msgspec.json.decode(home.state.read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    return {**state, "running": home.is_running} if isinstance(state, dict) else None
