"""Timers: one heap on the monotonic clock that tells messages to actors.

There is no cancel. A deadline that moved away is judged by its receiver when it fires and set again; a deadline that
moved nearer is simply set again. Receivers that can be restarted put a token into the message.
"""

from __future__ import annotations

import heapq
import logging
import threading
from itertools import count
from typing import TYPE_CHECKING, Any

from pykka import ActorDeadError, ActorRef

from actors.runtime.clock import Clock
from actors.runtime.pooled import PooledActor

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

HEARTBEAT = 1.0
"""Seconds: the thread looks at the clock at least this often, so that a stopped process is noticed when it wakes."""
LATE = 2.0
"""Seconds: waking later than this means that the process itself was stopped (suspend, SIGSTOP, swap)."""
BATCH = 1_000
"""Entries taken out of the heap at a time."""

Entry = tuple[float, int, ActorRef[Any], Any]
"""Deadline (monotonic seconds), tie-breaker, receiver, message."""


class Timers:
    """One thread sleeps until the earliest deadline."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[Entry] = []
        self._tie = count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self.dropped = 0
        """Messages whose receiver had ended."""
        self.relay: Callable[[list[Entry]], None] | None = None
        """Takes batches of what is due to the dispatcher's thread: a hundred thousand tells from this thread would
        fight it for the GIL. None tells from this thread."""
        self.on_late: Callable[[float], None] | None = None
        """Called with the lateness in seconds when the thread woke more than `LATE` seconds after its time."""

    def at(self, when: float, ref: ActorRef[Any], message: Any) -> None:
        """Tell `message` to `ref` when the monotonic clock shows `when` or more."""
        with self._changed:
            heapq.heappush(self._heap, (when, next(self._tie), ref, message))
            if self._heap[0][0] >= when:
                self._changed.notify()

    def after(self, seconds: float, ref: ActorRef[Any], message: Any) -> None:
        """Tell `message` to `ref` in `seconds` from now."""
        self.at(self._clock.monotonic() + seconds, ref, message)

    def __len__(self) -> int:
        return len(self._heap)

    def next_at(self) -> float | None:
        """Return the earliest deadline, monotonic seconds."""
        return self._heap[0][0] if self._heap else None

    def fire_due(self) -> int:
        """Tell all messages that are due, in batches; return how many."""
        now = self._clock.monotonic()
        fired = 0
        while batch := self._pop_due(now):
            fired += len(batch)
            if self.relay is None:
                self.tell_all(batch)
            else:
                self._hand_over(self.relay, batch)
        return fired

    def _hand_over(self, relay: Callable[[list[Entry]], None], batch: list[Entry]) -> None:
        """Tell a batch by the relay; by ourselves from now on if that was given up: deadlines have to come."""
        try:
            relay(batch)
        except ActorDeadError:
            logger.exception("the relay of the timers has ended; from now on they tell by themselves")
            self.relay = None
            self.tell_all(batch)

    def _pop_due(self, now: float) -> list[Entry]:
        heap = self._heap
        batch: list[Entry] = []
        with self._changed:
            while heap and heap[0][0] <= now and len(batch) < BATCH:
                batch.append(heapq.heappop(heap))
        return batch

    def tell_all(self, batch: list[Entry]) -> None:
        """Tell each message to its receiver; nobody's end keeps the others from theirs."""
        for _, _, ref, message in batch:
            try:
                ref.tell(message)
            except ActorDeadError:
                self.dropped += 1
            except Exception:  # whatever a receiver's mailbox does, the others' deadlines must not end with it
                self.dropped += 1
                logger.exception("a deadline could not be told to %s", ref)

    def start(self) -> None:
        """Start the thread."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="timers", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread; deadlines that are set stay unfired."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping:
            with self._changed:
                late = self._sleep()
            if late > LATE:
                self._tell_late(late)
            self.fire_due()

    def _tell_late(self, seconds: float) -> None:
        try:
            if self.on_late is not None:
                self.on_late(seconds)
        except Exception:
            logger.exception("on_late failed; the timers go on")

    def _sleep(self) -> float:
        """Sleep until the earliest deadline, a nearer one, or `HEARTBEAT`; return how late we woke, seconds."""
        now = self._clock.monotonic()
        planned = now + HEARTBEAT
        if self._heap:
            planned = min(planned, self._heap[0][0])
        if planned > now and not self._stopping:
            self._changed.wait(planned - now)
            return self._clock.monotonic() - planned
        return 0.0


class TimerRelay(PooledActor):
    """Tells what is due from the dispatcher's own thread."""

    def __init__(self, timers: Timers) -> None:
        super().__init__()
        self._timers = timers

    def on_receive(self, message: list[Entry]) -> None:
        """Tell a batch."""
        self._timers.tell_all(message)


class ManualTimers(Timers):
    """The same heap without a thread; `Runtime.advance` fires it."""

    def start(self) -> None:
        """Start nothing."""

    def stop(self, timeout: float = 0.0) -> None:
        """Stop nothing."""
