"""The mailbox of an actor with a thread of its own: `get` blocks, and a selector loop can be woken by a put."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty
from typing import TYPE_CHECKING, Any

from pykka._envelope import Envelope as PykkaEnvelope

from actors.runtime.ending import SupervisedMailbox
from actors.runtime.lifecycle import ExitReason

if TYPE_CHECKING:
    from actors.runtime.threaded import ThreadedActor


class ThreadMailbox(SupervisedMailbox):
    """The mailbox of a `ThreadedActor`; a stop comes before everything that waits."""

    __slots__ = ("_arrived", "_now", "on_put")

    def __init__(self) -> None:
        super().__init__()
        self._arrived = threading.Condition(threading.Lock())
        self._now: Callable[[], float] = float
        self.on_put: Callable[[], None] | None = None
        """Called after each put, on the putter's thread; for loops that sleep in a selector instead of in `get`."""

    def bind(self, now: Callable[[], float]) -> None:
        """Learn the clock that stamps messages."""
        self._now = now

    def put(self, envelope: PykkaEnvelope[Any]) -> None:
        """Append and wake the actor's thread."""
        self._put(self.queue.append, envelope)

    def put_first(self, envelope: PykkaEnvelope[Any]) -> None:
        """Put in front of all that waits; used for a prompt stop."""
        self._put(self.queue.appendleft, envelope)

    def _put(self, add: Callable[[PykkaEnvelope[Any]], None], envelope: PykkaEnvelope[Any]) -> None:
        with self._arrived:
            if not self.queue:
                self.waiting_since = self._now()
            add(envelope)
            self._arrived.notify()
        if self.closed:
            self.refuse_late()
        elif self.on_put is not None:
            self.on_put()

    def get(self, timeout: float | None = None) -> PykkaEnvelope[Any]:
        """Return the next envelope, waiting for it.

        Raises:
            queue.Empty: after `timeout` seconds without one, or once the actor was ended from outside.

        """
        self.rest()
        with self._arrived:
            self._arrived.wait_for(lambda: self.queue or self.closed, timeout)
            if not self.queue:
                raise Empty
            envelope = self.queue.popleft()
        self.begin(envelope)
        return envelope

    def wait(self, timeout: float) -> bool:
        """Rest until a message arrives or `timeout` seconds have passed; return whether one waits."""
        self.rest()
        with self._arrived:
            self._arrived.wait_for(lambda: self.queue or self.closed, timeout)
            return bool(self.queue)

    def begin(self, envelope: PykkaEnvelope[Any] | None = None) -> None:
        """Stamp the start of a piece of work, for the watchdog."""
        self.current = envelope
        self.started_at = self._now()

    def rest(self) -> None:
        """Say that nothing is being handled now."""
        self.current = None
        self.started_at = 0.0

    def end(self, actor: ThreadedActor, reason: ExitReason) -> None:
        """Close, and wake the thread if it sleeps; late messages go to the monitor."""
        if self.close(actor, reason):
            self.refuse_late()
            with self._arrived:
                self._arrived.notify_all()
