"""What the commands use to reach the edge of this machine, whether it runs or not."""

from __future__ import annotations

import socket
import time
from typing import Any

import msgspec

from actors.outbox import MOST_BYTES, MOST_ITEMS
from actors.outbox_file import Item, OutboxFile, OutboxUnavailableError
from edge.bearings import Bearings
from edge.home import EdgeRunsError, Home, Places
from edge.identity import identify
from edge.scans import NewScan, make_scan
from edge.settings import EdgeSettings
from edge.wire import LONGEST_ANSWER, PUT_TIMEOUT, Answer, Request, near, read_line

PATIENCE = 10.0
"""Seconds for a scan to be kept: by a running edge, by one that is just starting, or by ourselves."""
LOCK_PATIENCE = 0.2
AGAIN_AFTER = 0.05
TIMEOUT = 5.0
"""Seconds for an answer that waits for nothing."""


class EdgeUnreachableError(Exception):
    """There is no edge that answers, or it refuses; the message is one sentence."""


class ScanRefusedError(EdgeUnreachableError):
    """The edge or its outbox will not keep the scan: no use in offering it again at once."""


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
            return msgspec.json.decode(read_line(sock, seconds=timeout, longest=LONGEST_ANSWER), type=Answer)
    except PermissionError:
        raise EdgeUnreachableError(
            f"You may not reach the edge on {home.path}; ask as its user or with sudo."
        ) from None
    except (OSError, msgspec.DecodeError) as error:
        raise EdgeUnreachableError(f"No edge answers on {home.path} ({error}).") from None


def queue_scan(settings: EdgeSettings, scan: NewScan, *, patience: float = PATIENCE) -> str:
    """Have a scan kept: by the running edge, or, when none runs, by writing its outbox ourselves. On the disk then.

    Args:
        settings: say where the edge is; who it is, only where none runs: one that runs knows that itself.
        scan: offered again it is kept once.
        patience: seconds after which we give up.

    Returns:
        The scan as it was kept, JSON.

    Raises:
        EdgeUnreachableError: neither has worked; a `ScanRefusedError` as soon as it is refused.
        edge.identity.IdentityError: no edge runs, and it cannot be told whose scan it is.

    """
    home = Places(settings.home)
    deadline = time.monotonic() + patience
    while True:
        try:
            return _offer(home, scan)
        except ScanRefusedError:
            raise
        except EdgeUnreachableError as error:
            refusal = str(error)
        try:
            return _write(settings, scan)
        except EdgeRunsError as error:
            trouble = str(error)
        if time.monotonic() >= deadline:
            raise EdgeUnreachableError(f"The scan could not be kept. {refusal} {trouble}")
        time.sleep(AGAIN_AFTER)


def _offer(home: Places, scan: NewScan) -> str:
    """Give the scan to the running edge.

    Raises:
        EdgeUnreachableError: nobody answers.
        ScanRefusedError: the edge does not keep it.

    """
    answer = ask(home, Request("scan", scan), timeout=PUT_TIMEOUT)
    if not answer.ok:
        raise ScanRefusedError(f"The scan could not be kept: {answer.error}.")
    return answer.scan


def _write(settings: EdgeSettings, scan: NewScan) -> str:
    """Write the scan into the outbox of an edge that does not run.

    Raises:
        EdgeRunsError: it does run, or just begins to.
        ScanRefusedError: the outbox does not keep it.
        edge.identity.IdentityError: as of `queue_scan`.

    """
    try:
        with Home(settings.home, patience=LOCK_PATIENCE) as held:
            device_id = identify(held.identity, configured=settings.device_id, strict=True).device_id
            item = make_scan(
                device_id,
                scan.code,
                symbology=scan.symbology,
                scanner=scan.scanner,
                now_us=time.time_ns() // 1000,
                scan_id=scan.scan_id,
            )
            _put(held, item, has_hub=bool(Bearings(held, settings, device_id, read_only=True).hub()))
    except OutboxUnavailableError as error:
        raise ScanRefusedError(f"The scan could not be kept: {error}.") from None
    return item.payload.decode()


def _put(home: Home, item: Item, *, has_hub: bool) -> None:
    """Put an item for all whom the edge had to deliver to when it ran last, and for those that we know."""
    destinations = ("server", "hub") if has_hub else ("server",)
    outbox = OutboxFile(home.outbox, destinations, most_items=MOST_ITEMS, most_bytes=MOST_BYTES, keep_others=True)
    try:
        outbox.open()
        outbox.put((item,))
    finally:
        outbox.close()


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
