"""The dispatcher runs mailboxes in turns: on one thread, or by hand in tests."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING

from actors.runtime.clock import Clock, SystemClock
from actors.runtime.future import running
from actors.runtime.lifecycle import ExitReason
from actors.runtime.mailbox import Mailbox

if TYPE_CHECKING:
    from actors.runtime.pooled import PooledActor

logger = logging.getLogger(__name__)

Schedule = Callable[[Mailbox], None]


class _Worker(threading.Thread):
    """One thread that runs whichever mailbox is ready."""

    def __init__(self, ready: SimpleQueue[Mailbox | None], number: int) -> None:
        super().__init__(name=f"dispatcher-{number}", daemon=True)
        self._ready = ready
        self.mailbox: Mailbox | None = None
        self.abandoned = threading.Event()

    def run(self) -> None:
        while not self.abandoned.is_set():
            mailbox = self._ready.get()
            if self.abandoned.is_set():  # it came back while it was given up; the turn belongs to its successor
                self._ready.put(mailbox)
                return
            if mailbox is None:
                return
            self.mailbox = running.mailbox = mailbox
            try:
                mailbox.turn()
            except BaseException:
                logger.exception("A turn failed; the dispatcher goes on")
            self.mailbox = running.mailbox = None


class Dispatcher:
    """Runs pooled actors on one thread; a hung thread is replaced, never waited for.

    One thread and not a pool: under the GIL a second one adds no throughput and costs every other thread of the
    process latency (see `docs/benchmarks.md`).
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self._ready: SimpleQueue[Mailbox | None] = SimpleQueue()
        self._worker: _Worker | None = None
        self._started = 0
        self.abandoned: list[threading.Thread] = []
        """Threads that hung and were replaced; those that came back are dropped by `count_abandoned`."""
        self.schedule: Schedule = self._ready.put

    def start(self) -> None:
        """Start the thread."""
        self._started += 1
        self._worker = _Worker(self._ready, self._started)
        self._worker.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread after the turns that wait now; actors that still live are not told."""
        if self._worker is not None:
            self._ready.put(None)
            self._worker.join(timeout)

    def adopt(self, actor: PooledActor) -> None:
        """Take a new actor and give it its first turn."""
        actor.actor_inbox.bind(actor, self.schedule, self.clock.monotonic)

    def backlog(self) -> int:
        """Return how many mailboxes wait for a turn."""
        return self._ready.qsize()

    def replace_if_hung(
        self, now: float, default_hang_after: float, awake_since: float = float("-inf")
    ) -> Mailbox | None:
        """Give up a message that has run too long, and go on with a new thread.

        Args:
            now: monotonic seconds.
            default_hang_after: seconds that a message may take whose actor has no limit of its own.
            awake_since: monotonic seconds; time before that counts against nobody.

        Returns:
            the mailbox of the hung actor, already closed with `ExitReason.HUNG`; None if all is well.

        """
        worker = self._worker
        mailbox = worker.mailbox if worker is not None else None
        if worker is None or mailbox is None:
            return None
        started = mailbox.started_at
        if not started or now - max(started, awake_since) <= (mailbox.hang_after or default_hang_after):
            return None
        worker.abandoned.set()
        self.abandoned.append(worker)
        self.start()
        mailbox.end(ExitReason.HUNG)
        return mailbox

    def count_abandoned(self) -> int:
        """Return how many abandoned threads still hang."""
        self.abandoned = [thread for thread in self.abandoned if thread.is_alive()]
        return len(self.abandoned)


class ManualDispatcher(Dispatcher):
    """Runs turns when a test says so, in order of arrival or in an order drawn from a seeded generator."""

    def __init__(self, clock: Clock, *, shuffle: random.Random | None = None) -> None:
        super().__init__(clock)
        self._turns: list[Mailbox] = []
        self._shuffle = shuffle
        self.schedule = self._turns.append

    def start(self) -> None:
        """Start nothing: the test's thread is the dispatcher's."""

    def stop(self, timeout: float = 0.0) -> None:
        """Stop nothing."""

    def backlog(self) -> int:
        """Return how many mailboxes wait for a turn."""
        return len(self._turns)

    def step(self) -> bool:
        """Run one turn; return False if nobody is ready."""
        if not self._turns:
            return False
        index = self._shuffle.randrange(len(self._turns)) if self._shuffle is not None else 0
        mailbox = self._turns.pop(index)
        running.mailbox = mailbox
        try:
            mailbox.turn()
        finally:
            running.mailbox = None
        return True

    def run(self, limit: int = 1_000_000) -> int:
        """Run turns until all actors are idle; return how many.

        Raises:
            RuntimeError: after `limit` turns, when actors keep each other awake.

        """
        for count in range(limit):
            if not self.step():
                return count
        raise RuntimeError(f"still busy after {limit} turns")


_default: Dispatcher | None = None
_default_lock = threading.Lock()


def default_dispatcher() -> Dispatcher:
    """Return the process-wide dispatcher of `PooledActor.start()`, started at first use."""
    global _default  # noqa: PLW0603 - pykka's `start()` takes no place to pass it in
    with _default_lock:
        if _default is None:
            _default = Dispatcher()
            _default.start()
        return _default
