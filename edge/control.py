"""`Control`: how the commands of this machine reach the running edge: a socket in its directory, one line each way.

A request is a JSON object on one line, `{"command": "scan" | "announce" | "status" | "look" | "update", ...}`; the
answer is one too, `{"ok": true, ...}` or `{"ok": false, "error": "..."}`. Who may open the socket (its mode and its
directory's) may scan under the id of this device; nothing else can be done here.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pykka

from actors.outbox import OutboxUnavailableError, Put
from actors.runtime import Directory, GuardedFuture
from edge.scans import BadCodeError, NewScan, make_scan
from edge.waiting import WaitingActor
from edge.wire import LONGEST_REQUEST, PUT_TIMEOUT, Answer, Request, near, read_line

logger = logging.getLogger(__name__)

READ_TIMEOUT = 2.0
"""Seconds for a client to say what it wants, and again to take the answer."""
_BACKLOG = 64


class Control(WaitingActor):
    """Answers one client after the other. It has a thread because a client may be slow."""

    def __init__(
        self,
        path: Path,
        *,
        device_id: str,
        directory: Directory,
        outbox: str,
        status: Callable[[], dict[str, Any]],
        commands: Mapping[str, tuple[str, Any]],
    ) -> None:
        """Assign.

        Args:
            path: of the socket; its directory exists and is ours alone.
            device_id: ours; every scan is one of ours.
            directory: where the actors are found.
            outbox: name of the outbox.
            status: returns what `status` answers.
            commands: what further commands tell to whom, by name.

        """
        super().__init__()
        self._path, self._directory, self._outbox, self._status = path, directory, outbox, status
        self._device_id, self._commands = device_id, dict(commands)
        self._listener: socket.socket | None = None
        self._client: socket.socket | None = None

    def open(self) -> socket.socket:
        """Listen, in the place of whatever an earlier run has left.

        Raises:
            OSError: the directory cannot be used.

        """
        self._path.unlink(missing_ok=True)
        self._listener = listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with near(self._path) as path:
            listener.bind(path)
        self._path.chmod(0o660)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        return listener

    def close(self) -> None:
        """Stop listening, and take the name away."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            if not self.given_up:  # else the name is our successor's
                self._path.unlink(missing_ok=True)

    def sever(self) -> None:
        """End a wait, and the talk with a client that hangs."""
        super().sever()
        client = self._client
        if client is not None:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def happened(self, *, readable: bool) -> None:
        """Serve one client."""
        if not readable or self._listener is None:
            return
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        self._client = client
        try:
            line = read_line(client, seconds=READ_TIMEOUT, longest=LONGEST_REQUEST)
            answer = msgspec.json.encode(self._answer(line)) + b"\n"
            client.settimeout(READ_TIMEOUT)
            client.sendall(answer)
        except OSError as error:
            logger.debug("control: a client has gone, or was too slow: %s", error)
        finally:
            self._client = None
            client.close()

    def _answer(self, line: bytes) -> Answer:
        try:
            request = msgspec.json.decode(line, type=Request)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return Answer(ok=False, error=f"the request cannot be read: {error}")
        if request.command == "scan":
            return self._keep(request.scan)
        if request.command == "status":
            return Answer(ok=True, status=self._status())
        if request.command not in self._commands:
            return Answer(ok=False, error=f"there is no command {request.command[:40]!r}")
        name, message = self._commands[request.command]
        self._directory.tell(name, message)
        return Answer(ok=True)

    def _keep(self, scan: NewScan | None) -> Answer:
        if scan is None:
            return Answer(ok=False, error="`scan` is missing")
        try:
            item = make_scan(
                self._device_id,
                scan.code,
                symbology=scan.symbology,
                scanner=scan.scanner,
                now_us=time.time_ns() // 1000,
                scan_id=scan.scan_id,
            )
        except BadCodeError as error:
            return Answer(ok=False, error=str(error).rstrip("."))
        future: GuardedFuture[int] = GuardedFuture()
        self._directory.tell(self._outbox, Put((item,), future))
        try:
            future.get(timeout=PUT_TIMEOUT)
        except (OutboxUnavailableError, pykka.Timeout) as error:
            return Answer(ok=False, error=str(error) or "the outbox did not answer in time")
        return Answer(ok=True, scan=item.payload.decode())
