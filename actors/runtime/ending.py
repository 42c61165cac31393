"""How an actor ends, whatever runs it: who is told, and what becomes of the messages it had not handled."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from pykka import ActorDeadError, ActorRef
from pykka._envelope import Envelope as PykkaEnvelope
from pykka.messages import _ActorStop

from actors.runtime.lifecycle import Envelope, Exit, ExitReason, Failure, Ready, ToSelf, Undelivered

logger = logging.getLogger(__name__)

_closing = threading.Lock()
"""Two threads may want to end the same actor (its own loop, and a watchdog that gave it up): the first one does."""


class Owner(Protocol):
    """What a mailbox asks of its actor."""

    @property
    def actor_stopped(self) -> Any:
        """The actor's stop flag."""
        ...

    def unfinished(self) -> Sequence[Any]:
        """Return messages that were taken and not finished."""
        ...


class SupervisedMailbox:
    """How an actor ends: who is told, what becomes of what it had not handled."""

    __slots__ = (
        "child_id",
        "closed",
        "current",
        "ending",
        "failure",
        "hang_after",
        "incarnation",
        "monitor",
        "queue",
        "ready_sent",
        "started_at",
        "waiting_since",
    )

    def __init__(self) -> None:
        self.queue: deque[PykkaEnvelope[Any]] = deque()
        self.closed = False
        self.current: PykkaEnvelope[Any] | None = None
        self.started_at = 0.0
        """When the message being handled was taken, monotonic seconds; 0 at rest."""
        self.waiting_since = 0.0
        """When the mailbox was last empty; what waits now is at most this old."""
        self.failure: Failure | None = None
        self.ending: ExitReason | None = None
        self.ready_sent = False
        self.monitor: ActorRef[Any] | None = None
        self.child_id = ""
        self.incarnation = 0
        self.hang_after: float | None = None

    def depth(self) -> int:
        """Return the number of messages waiting."""
        return len(self.queue)

    def oldest_age(self, now: float) -> float:
        """Return an upper bound of the age of the oldest waiting message, seconds (time since last empty)."""
        return max(0.0, now - self.waiting_since) if self.queue else 0.0

    def empty(self) -> bool:
        """Return whether nothing waits."""
        return not self.queue

    def waiting(self) -> list[Any]:
        """Return the messages that wait, in order; they stay."""
        while True:
            try:
                return [envelope.message for envelope in tuple(self.queue)]
            except RuntimeError:  # another thread has put one meanwhile
                continue

    def watch(self, monitor: ActorRef[Any] | None, child_id: str, incarnation: int, hang_after: float | None) -> None:
        """Set who is told of `Ready` and `Exit`, before the actor is started."""
        self.monitor = monitor
        self.child_id = child_id
        self.incarnation = incarnation
        self.hang_after = hang_after

    def preload(self, envelopes: Sequence[PykkaEnvelope[Any]]) -> None:
        """Put what an earlier incarnation left in front, before the actor is started."""
        self.queue.extendleft(reversed(envelopes))

    def announce_ready(self) -> None:
        """Tell the monitor once that the actor is up."""
        if self.monitor is not None and not self.ready_sent:
            self.ready_sent = True
            _tell(self.monitor, Ready(self.child_id, self.incarnation))

    def close(self, owner: Owner, reason: ExitReason) -> bool:
        """End the actor's life: refuse asks, hand tells to the monitor, tell it how the actor ended.

        Returns:
            False if somebody else has done it already.

        """
        with _closing:
            if self.closed:
                return False
            self.closed = True
        owner.actor_stopped.set()
        pending = self._unfinished(owner, reason) + self._drain()
        failure = self.failure
        if self.monitor is not None:
            error, text = failure if failure is not None else (None, "")
            _tell(self.monitor, Exit(self.child_id, self.incarnation, reason, error, text, pending))
        self.current = None
        self.started_at = 0.0
        return True

    def end_reason(self) -> ExitReason:
        """Return how an actor whose loop has returned ended."""
        if self.failure is not None:
            return ExitReason.CRASHED
        return self.ending or ExitReason.NORMAL

    def refuse_late(self) -> None:
        """Deal with what was put after the close: whoever finds it, sender or closer, refuses it."""
        for envelope in self._drain():
            if self.monitor is not None:
                _tell(self.monitor, Undelivered(self.child_id, envelope.message))

    def _unfinished(self, owner: Owner, reason: ExitReason) -> list[Envelope]:
        """Return what was being handled when the actor failed."""
        if reason not in (ExitReason.CRASHED, ExitReason.HUNG, ExitReason.KILLED, ExitReason.LOST):
            return []
        blame = 1 if reason in (ExitReason.CRASHED, ExitReason.HUNG) else 0
        try:
            kept = list(owner.unfinished())
        except Exception:
            # Whatever is wrong with the actor, its end must be told.
            logger.exception("unfinished() of %s failed", self.child_id or owner)
            kept = []
        if kept:
            first = Envelope(kept[0], attempts=_attempts(self.current) + blame)
            return [first, *(Envelope(message) for message in kept[1:])]
        current = self.current
        if current is None or current.reply_to is not None or isinstance(current.message, _ActorStop | ToSelf):
            return []
        return [Envelope(current.message, attempts=_attempts(current) + blame)]

    def _drain(self) -> list[Envelope]:
        """Empty the queue: refuse the asks as pykka does, return the tells."""
        left: list[Envelope] = []
        while True:
            try:
                envelope = self.queue.popleft()
            except IndexError:
                return left
            if envelope.reply_to is None:
                if not isinstance(envelope.message, _ActorStop | ToSelf):
                    left.append(Envelope(envelope.message, attempts=_attempts(envelope)))
            elif isinstance(envelope.message, _ActorStop):
                envelope.reply_to.set(None)
            else:
                error = ActorDeadError("the actor stopped before handling the message")
                envelope.reply_to.set_exception((ActorDeadError, error, None))


def _attempts(envelope: PykkaEnvelope[Any] | None) -> int:
    return getattr(envelope, "attempts", 0)


def _tell(ref: ActorRef[Any], message: Any) -> None:
    """Tell a monitor; if it is gone itself, its own supervisor starts anew and nobody waits for this news."""
    try:
        ref.tell(message)
    except ActorDeadError:
        logger.debug("nobody is left to hear %r", message)
