"""`Runtime`: clock, dispatcher, timers and watchdog, passed to whoever launches actors."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import pykka
from pykka import ActorDeadError, ActorRef
from pykka._envelope import Envelope as PykkaEnvelope
from pykka.messages import _ActorStop

from actors.runtime.clock import Clock, ManualClock, SystemClock
from actors.runtime.dispatcher import Dispatcher, ManualDispatcher
from actors.runtime.foreign import supervise_foreign
from actors.runtime.lifecycle import ExitReason
from actors.runtime.mailbox import Mailbox
from actors.runtime.pooled import PooledActor
from actors.runtime.thread_mailbox import ThreadMailbox
from actors.runtime.threaded import ThreadedActor
from actors.runtime.timers import ManualTimers, TimerRelay, Timers
from actors.runtime.watchdog import Watchdog, abandon

if TYPE_CHECKING:
    from pykka import Actor

A = TypeVar("A", bound="Actor")


class Runtime:
    """What actors run on. `Runtime.system()` is real; `Runtime.manual()` is deterministic."""

    def __init__(self, clock: Clock, dispatcher: Dispatcher, timers: Timers) -> None:
        self.clock = clock
        self.dispatcher = dispatcher
        self.timers = timers
        self.watchdog = Watchdog(clock, dispatcher)

    @classmethod
    def system(cls) -> Runtime:
        """Return a runtime on the machine's clock; call `start()`."""
        clock = SystemClock()
        return cls(clock, Dispatcher(clock), Timers(clock))

    @classmethod
    def manual(cls, *, seed: int | None = None) -> ManualRuntime:
        """Return a runtime that moves when told to; with a seed, ready actors take turns in a drawn order."""
        return ManualRuntime(seed=seed)

    def start(self) -> None:
        """Start the dispatcher, the timers and the watchdog."""
        self.dispatcher.start()
        self.timers.relay = self.launch(TimerRelay(self.timers), child_id="timer relay").tell
        self.timers.start()
        self.watchdog.start()

    def stop(self) -> None:
        """Stop them in the reverse order; actors should have been stopped before."""
        self.watchdog.stop()
        self.timers.stop()
        self.dispatcher.stop()

    def launch(
        self,
        actor: A,
        *,
        monitor: ActorRef[Any] | None = None,
        child_id: str = "",
        incarnation: int = 0,
        hang_after: float | None = None,
        preload: Sequence[PykkaEnvelope[Any]] = (),
    ) -> ActorRef[A]:
        """Start a constructed actor, outside pykka's registry (whose removal is linear).

        Args:
            actor: a `PooledActor`, a `ThreadedActor` or any `pykka.ThreadingActor`, not yet started.
            monitor: is told `Ready` once and `Exit` exactly once, however the actor ends.
            child_id: the name in those messages.
            incarnation: the number in those messages.
            hang_after: seconds that one message may take before the watchdog gives the actor up.
            preload: envelopes of an earlier incarnation, handled before all others.

        """
        inbox = actor.actor_inbox
        if isinstance(actor, PooledActor) and isinstance(inbox, Mailbox):
            inbox.watch(monitor, child_id, incarnation, hang_after)
            inbox.preload(preload)
            self.dispatcher.adopt(actor)
        elif isinstance(actor, ThreadedActor) and isinstance(inbox, ThreadMailbox):
            inbox.bind(self.clock.monotonic)
            inbox.watch(monitor, child_id, incarnation, hang_after)
            inbox.preload(preload)
            if hang_after is not None:
                self.watchdog.add(actor)
            actor._start_actor_loop()  # noqa: SLF001 - a runtime starts the loop; see `pykka.Actor`
        else:
            assert isinstance(actor, pykka.ThreadingActor), f"no runtime for {actor}"
            supervise_foreign(actor, monitor, child_id, incarnation, preload)
        return actor.actor_ref

    def shutdown(self, ref: ActorRef[Any]) -> None:
        """Ask an actor to stop before it handles anything else; it ends as `ExitReason.SHUTDOWN`."""
        inbox = ref.actor_inbox
        if isinstance(inbox, Mailbox | ThreadMailbox):
            inbox.ending = ExitReason.SHUTDOWN
            inbox.put_first(PykkaEnvelope(_ActorStop()))
        else:
            with suppress(ActorDeadError):
                ref.stop(block=False)

    def kill(self, ref: ActorRef[Any]) -> None:
        """End an actor without asking it: no `on_stop`, no further effect. A thread is cut off and abandoned."""
        actor = ref._actor_weakref()  # noqa: SLF001 - the actor is needed only to end it
        if isinstance(actor, PooledActor):
            actor.actor_inbox.end(ExitReason.KILLED)
        elif isinstance(actor, ThreadedActor):
            abandon(actor, ExitReason.KILLED)
            self.watchdog.note_abandoned(actor)


class ManualRuntime(Runtime):
    """A deterministic runtime: virtual time, chosen interleavings, no sleeping."""

    clock: ManualClock
    dispatcher: ManualDispatcher

    def __init__(self, *, seed: int | None = None) -> None:
        clock = ManualClock()
        # Drawn interleavings for tests, not secrets.
        shuffle = None if seed is None else random.Random(seed)  # noqa: S311
        super().__init__(clock, ManualDispatcher(clock, shuffle=shuffle), ManualTimers(clock))

    def start(self) -> None:
        """Start nothing: time and turns move by `advance` and `run`."""

    def stop(self) -> None:
        """Stop nothing."""

    def run(self) -> int:
        """Run until all actors are idle; return the number of turns."""
        return self.dispatcher.run()

    def advance(self, seconds: float) -> None:
        """Move time, stopping at every deadline on the way and letting the actors finish there."""
        end = self.clock.monotonic() + seconds
        self.run()
        while (due := self.timers.next_at()) is not None and due <= end:
            self.clock.advance(max(0.0, due - self.clock.monotonic()))
            self.timers.fire_due()
            self.run()
        self.clock.advance(max(0.0, end - self.clock.monotonic()))
        self.run()
