"""Who accepts a connection? Many short attempts from one thread, bounded in time, rate and number.

A connection that is accepted is closed at once; nothing is sent and nothing is read.
"""

from __future__ import annotations

import errno
import selectors
import socket
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

from actors.resolver.budget import SLICE, Budget

Target = tuple[str, int]
"""Address and port."""

_UNDER_WAY = {errno.EINPROGRESS, errno.EWOULDBLOCK}


@dataclass(frozen=True, slots=True)
class Limits:
    """How hard the network may be knocked at."""

    timeout: float = 0.3
    """Seconds for one attempt; on a local network an answer takes milliseconds."""
    in_flight: int = 64
    per_second: float = 256.0
    """Attempts begun per second."""
    on_link_only: bool = False
    """Never through a gateway (`SO_DONTROUTE`): what a scan sends stays in its own subnet."""


def open_ports(
    targets: Iterable[Target], budget: Budget, limits: Limits | None = None
) -> Generator[Target, None, None]:
    """Yield each target that accepts a TCP connection, as soon as it does.

    Closing the generator closes every socket. Ends early, without error, when the budget is spent.

    Raises:
        OSError: no socket could be made (for example: too many open files).

    """
    attempts = _Attempts(targets, budget, limits or Limits())
    try:
        while attempts.unfinished() and not budget.spent():
            attempts.launch()
            yield from attempts.collect()
    finally:
        attempts.close()


class _Attempts:
    """The attempts that wait for their turn, and those under way in the order of their deadlines."""

    def __init__(self, targets: Iterable[Target], budget: Budget, limits: Limits) -> None:
        self._waiting = deque(targets)
        self._budget = budget
        self._limits = limits
        self._selector = selectors.DefaultSelector()
        self._deadlines: dict[socket.socket, float] = {}
        self._open: list[Target] = []
        self._next_start = time.monotonic()

    def unfinished(self) -> bool:
        return bool(self._waiting or self._deadlines)

    def launch(self) -> None:
        """Begin as many attempts as number and rate allow."""
        while self._waiting and len(self._deadlines) < self._limits.in_flight:
            now = time.monotonic()
            if now < self._next_start:
                return
            # Counted from now if we are late: a pause must not be followed by a burst.
            self._next_start = max(now - SLICE, self._next_start) + 1.0 / self._limits.per_second
            self._connect(self._waiting.popleft(), now)

    def collect(self) -> Iterator[Target]:
        """Wait a little for answers; yield the targets that accepted and drop the attempts that are overdue."""
        for key, _ in self._selector.select(self._patience()):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                self._open.append(key.data)
            self._drop(sock)
        now = time.monotonic()
        for sock in [sock for sock, deadline in self._deadlines.items() if deadline <= now]:
            self._drop(sock)
        accepted, self._open = self._open, []
        yield from accepted

    def close(self) -> None:
        for sock in list(self._deadlines):
            self._drop(sock)
        self._selector.close()

    def _connect(self, target: Target, now: float) -> None:
        family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        if self._limits.on_link_only:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)
        code = sock.connect_ex(target)
        if code in _UNDER_WAY:
            self._selector.register(sock, selectors.EVENT_WRITE, target)
            self._deadlines[sock] = now + self._limits.timeout
            return
        sock.close()
        if code == 0:
            self._open.append(target)

    def _drop(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        del self._deadlines[sock]
        sock.close()

    def _patience(self) -> float:
        """Return the seconds until something is due: an answer's deadline, the next start, the end of the budget."""
        if self._open:
            return 0.0
        now = time.monotonic()
        due = [SLICE, self._budget.left()]
        if self._deadlines:
            due.append(next(iter(self._deadlines.values())) - now)
        if self._waiting and len(self._deadlines) < self._limits.in_flight:
            due.append(self._next_start - now)
        return max(0.0, min(due))
