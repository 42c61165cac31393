"""`PooledActor`: a real pykka actor that shares its thread with a hundred thousand others."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import pykka

from actors.runtime.future import GuardedFuture
from actors.runtime.lifecycle import Failure
from actors.runtime.mailbox import Mailbox

if TYPE_CHECKING:
    from types import TracebackType


class StopFlag:
    """What pykka uses of an actor's `threading.Event`, in 48 bytes instead of 1,200; an event is made for a waiter."""

    __slots__ = ("_event", "_set")

    def __init__(self) -> None:
        self._set = False
        self._event: threading.Event | None = None

    def is_set(self) -> bool:
        """Return whether the actor has stopped."""
        return self._set

    def set(self) -> None:
        """Mark the actor as stopped and wake who waits for it."""
        self._set = True
        if self._event is not None:
            self._event.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds for the actor to stop; return whether it has."""
        event = self._event = self._event or threading.Event()
        # The setter marks and then looks for an event; we make the event and then look for the mark.
        return self._set or event.wait(timeout)


class PooledActor(pykka.Actor):
    """An actor on a shared dispatcher; it must never block.

    Refs, `tell`, `ask`, `stop`, proxies, hooks and failure semantics are pykka's. A blocking `get()` of an unanswered
    future raises `WouldBlockError` on the dispatcher's thread. Launch it with `Runtime.launch`; `start()` works too,
    on a process-wide dispatcher, and registers the actor with pykka's registry, as pykka's own actors do.
    """

    actor_inbox: Mailbox
    defer_ready: ClassVar[bool] = False
    """True if the actor itself says when it is up, by `ready()`; else it is up when `on_start` has returned."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.actor_stopped = self._actor_ref.actor_stopped = StopFlag()  # type: ignore[assignment]

    @staticmethod
    def _create_actor_inbox() -> Mailbox:
        return Mailbox()

    @staticmethod
    def _create_future() -> pykka.Future[Any]:
        return GuardedFuture()

    def _start_actor_loop(self) -> None:
        from actors.runtime.dispatcher import default_dispatcher

        default_dispatcher().adopt(self)

    def ready(self) -> None:
        """Tell the monitor that the actor is up; for actors with `defer_ready`."""
        self.actor_inbox.announce_ready()

    def unfinished(self) -> Sequence[Any]:
        """Return messages taken and not finished, for the next incarnation; the first is the one to blame for a crash.

        Empty means: the current one, if any.
        """
        return ()

    def _stop(self) -> None:
        self._note_base_exception()
        super()._stop()

    def _note_base_exception(self) -> None:
        """Record a SystemExit or KeyboardInterrupt: pykka's loop stops the actor from inside the handler of it."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, Exception):
            self.actor_inbox.failure = Failure.of(error)

    def _handle_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Record the failure for the monitor, which logs it (and can say it once for a thousand); else log as pykka."""
        assert exception_value is not None
        if self.actor_inbox.monitor is None:
            super()._handle_failure(exception_type, exception_value, traceback)
        self.actor_stopped.set()
        self.actor_inbox.failure = Failure.of(exception_value)
