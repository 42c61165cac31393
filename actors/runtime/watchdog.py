"""The watchdog finds actors whose current message has run too long, and gives them up.

A long mailbox is not a hang; a message that does not end is. Nor is it one when the whole process was stopped meanwhile
(suspend, SIGSTOP, swap): that time is nobody's fault. Threads cannot be killed in Python: a hung one is cut off from
outside (`sever`), abandoned and replaced. Too many abandoned threads are a process that should start anew.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable

from actors.runtime.clock import Clock
from actors.runtime.dispatcher import Dispatcher
from actors.runtime.lifecycle import ExitReason
from actors.runtime.threaded import ThreadedActor
from actors.runtime.timers import LATE

logger = logging.getLogger(__name__)

INTERVAL = 0.25
"""Seconds between two looks."""
POOLED_HANG_AFTER = 5.0
"""Seconds that one message of a pooled actor may take before all others stop waiting for it."""
MOST_ABANDONED = 3
"""Abandoned threads that still hang, at which the process gives up."""


class Watchdog:
    """Looks at the dispatcher and at every threaded actor that has a `hang_after`."""

    def __init__(self, clock: Clock, dispatcher: Dispatcher, *, on_exhausted: Callable[[], None] | None = None) -> None:
        self._clock = clock
        self._dispatcher = dispatcher
        self._threaded: weakref.WeakSet[ThreadedActor] = weakref.WeakSet()
        self._abandoned: list[weakref.ref[ThreadedActor]] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._looked_at: float | None = None
        """When the thread last looked; None without one."""
        self._awake_since = float("-inf")
        """When the process was last found to have been stopped."""
        self.on_exhausted = on_exhausted
        """Called when `MOST_ABANDONED` threads hang; the server ends the process with a code that systemd restarts."""

    def add(self, actor: ThreadedActor) -> None:
        """Watch a threaded actor until it is collected."""
        with self._lock:
            self._threaded.add(actor)

    def check(self) -> int:
        """Look once; return how many actors were given up."""
        now = self._clock.monotonic()
        self._notice_stop(now)
        hung = 0
        mailbox = self._dispatcher.replace_if_hung(now, POOLED_HANG_AFTER, self._awake_since)
        if mailbox is not None:
            hung += 1
            logger.error("%s hangs; its dispatcher thread was replaced", mailbox.child_id or "a pooled actor")
        with self._lock:
            threaded = list(self._threaded)
        for actor in threaded:
            hung += self._give_up_if_hung(actor, now)
        if hung and self.count_abandoned() >= MOST_ABANDONED and self.on_exhausted is not None:
            self.on_exhausted()
        return hung

    def _notice_stop(self, now: float) -> None:
        """Count no time in which this thread could not look either: no message could go on in it."""
        if self._looked_at is None:
            return
        if now - self._looked_at > INTERVAL + LATE:
            self._awake_since = now
        self._looked_at = now

    def _give_up_if_hung(self, actor: ThreadedActor, now: float) -> bool:
        inbox = actor.actor_inbox
        started = inbox.started_at
        if inbox.closed or inbox.hang_after is None or not started:
            return False
        if now - max(started, self._awake_since) <= inbox.hang_after:
            return False
        logger.error("%s has handled one message for %.1f s and is given up", inbox.child_id, now - started)
        abandon(actor, ExitReason.HUNG)
        self.note_abandoned(actor)
        return True

    def note_abandoned(self, actor: ThreadedActor) -> None:
        """Count a given-up thread until it comes back and lets go of its actor."""
        with self._lock:
            self._abandoned.append(weakref.ref(actor))

    def count_abandoned(self) -> int:
        """Return how many given-up threads still hang."""
        # A thread that came back has dropped its actor, whose weak reference is then dead.
        with self._lock:
            self._abandoned = [ref for ref in self._abandoned if ref() is not None]
        return len(self._abandoned) + self._dispatcher.count_abandoned()

    def start(self) -> None:
        """Start looking every `INTERVAL` seconds."""
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Stop looking."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        self._looked_at = self._clock.monotonic()
        while not self._stopping.wait(INTERVAL):
            try:
                self.check()
            except Exception:
                logger.exception("The watchdog's look failed; it goes on")


def abandon(actor: ThreadedActor, reason: ExitReason) -> None:
    """Close the actor's mailbox, so that it has no more effects, then break what it hangs in."""
    actor.actor_inbox.end(actor, reason)
    try:
        actor.sever()
    except Exception:
        logger.exception("sever() of %s failed", actor)
