"""The mailbox of a pooled actor, which is itself the unit that a dispatcher runs.

The algorithm is Pekko's: append, win the scheduled bit, run a bounded turn, look again after going idle.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pykka import ActorRegistry
from pykka._envelope import Envelope as PykkaEnvelope

from actors.runtime.ending import SupervisedMailbox
from actors.runtime.future import WouldBlockError
from actors.runtime.lifecycle import ExitReason, Failure

if TYPE_CHECKING:
    from actors.runtime.dispatcher import Schedule
    from actors.runtime.pooled import PooledActor

logger = logging.getLogger(__name__)


class TurnOverError(Exception):
    """Leaves pykka's receive loop when the mailbox is empty or its turn is used up; never seen outside a turn.

    In `Actor._actor_loop_running` the call of `inbox.get()` stands outside the `try`, so that this exception passes
    through it while all of pykka's failure semantics stay in force.
    """


_TURN_OVER = TurnOverError()
THROUGHPUT = 32
"""Messages of one actor before the others have their turn; Pekko's default is 5, measured here 32 costs no latency."""


class Mailbox(SupervisedMailbox):
    """The mailbox of a `PooledActor`; the dispatcher runs it in turns."""

    __slots__ = ("_actor", "_budget", "_idle", "_now", "_schedule", "_started")

    def __init__(self) -> None:
        super().__init__()
        # Held from the start: a message sent before the actor is bound must not schedule an unbound mailbox.
        self._idle = threading.Lock()
        self._idle.acquire()
        self._actor: PooledActor | None = None
        self._schedule: Schedule | None = None
        self._now: Callable[[], float] = float
        self._budget = 0
        self._started = False

    def bind(self, actor: PooledActor, schedule: Schedule, now: Callable[[], float]) -> None:
        """Hold the actor (its ref is weak), learn how to be run, and ask for the first turn."""
        self._actor = actor
        self._schedule = schedule
        self._now = now
        schedule(self)

    def put(self, envelope: PykkaEnvelope[Any]) -> None:
        """Append; whoever finds the mailbox idle schedules it."""
        self.queue.append(envelope)
        if self.closed:
            # The closer sets `closed` and then drains; we append and then look: one of the two sees the envelope.
            self.refuse_late()
        elif self._idle.acquire(blocking=False):
            self.waiting_since = self._now()
            assert self._schedule is not None
            self._schedule(self)

    def put_first(self, envelope: PykkaEnvelope[Any]) -> None:
        """Put in front of all that waits; used for a prompt stop."""
        self.queue.appendleft(envelope)
        if self.closed:
            self.refuse_late()
        elif self._idle.acquire(blocking=False):
            assert self._schedule is not None
            self._schedule(self)

    def get(self) -> PykkaEnvelope[Any]:
        """Return the next envelope of this turn; called by pykka's loop."""
        if self._budget == 0 or self.closed:
            raise _TURN_OVER.with_traceback(None)
        try:
            envelope = self.queue.popleft()
        except IndexError:
            raise _TURN_OVER.with_traceback(None) from None
        self._budget -= 1
        self.current = envelope
        self.started_at = self._now()
        if not self.queue:  # what waits from now on has come later
            self.waiting_since = self.started_at
        return envelope

    @property
    def actor(self) -> PooledActor | None:
        """The actor, until it has ended."""
        return self._actor

    def turn(self) -> None:
        """Handle up to `THROUGHPUT` messages, then give the thread back."""
        actor = self._actor
        if actor is None:
            return
        self._run(actor)
        if self._actor is None:  # killed, or given up by the watchdog while it hung
            return
        if actor.actor_stopped.is_set():
            self.end(self.end_reason())
        else:
            self._rest()

    def end(self, reason: ExitReason) -> None:
        """Close, and let go of the actor so that no cycle keeps it in memory."""
        actor = self._actor
        if actor is not None and self.close(actor, reason):
            self._actor = None
            self.refuse_late()

    def _run(self, actor: PooledActor) -> None:
        self._budget = THROUGHPUT
        try:
            if not self._started:
                self._start(actor)
            actor._actor_loop_running()  # noqa: SLF001 - a runtime runs the loop; see `pykka.Actor`
        except TurnOverError:
            pass
        except WouldBlockError:
            # Only pykka's own answer to a SystemExit gets here: it stops all actors and waits. We do not wait.
            ActorRegistry.stop_all(block=False)
        except BaseException as error:
            logger.exception("Something escaped the turn of %s", actor)
            self.failure = Failure.of(error)
            actor.actor_stopped.set()

    def _start(self, actor: PooledActor) -> None:
        self._started = True
        self.started_at = self._now()
        actor._actor_loop_setup()  # noqa: SLF001
        if not actor.actor_stopped.is_set() and not actor.defer_ready:
            self.announce_ready()

    def _rest(self) -> None:
        self.current = None
        self.started_at = 0.0
        assert self._schedule is not None
        if self.queue:
            self._schedule(self)
            return
        self._idle.release()
        # A sender may have appended after we looked and before we let go of the lock.
        if self.queue and self._idle.acquire(blocking=False):
            self._schedule(self)
