"""`ThreadedActor`: an actor with a daemon thread of its own, for whatever blocks."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import pykka

from actors.runtime.future import GuardedFuture
from actors.runtime.lifecycle import ExitReason, Failure
from actors.runtime.thread_mailbox import ThreadMailbox

if TYPE_CHECKING:
    from types import TracebackType


class ThreadedActor(pykka.ThreadingActor):
    """pykka's `ThreadingActor` with a death that is always noticed and a way to break a hang from outside."""

    use_daemon_thread = True
    actor_inbox: ThreadMailbox
    defer_ready: ClassVar[bool] = False
    """True if the actor itself says when it is up, by `ready()`; else it is up when `on_start` has returned."""

    @staticmethod
    def _create_actor_inbox() -> ThreadMailbox:
        return ThreadMailbox()

    @staticmethod
    def _create_future() -> pykka.Future[Any]:
        return GuardedFuture()

    def sever(self) -> None:
        """Break whatever the actor may hang in (shut a socket down, interrupt a query); called by another thread."""

    def ready(self) -> None:
        """Tell the monitor that the actor is up; for actors with `defer_ready`."""
        self.actor_inbox.announce_ready()

    def unfinished(self) -> Sequence[Any]:
        """Return messages taken and not finished, for the next incarnation; the first is the one to blame for a crash.

        Empty means: the current one, if any.
        """
        return ()

    @property
    def given_up(self) -> bool:
        """True once the runtime has abandoned this incarnation; it must have no more effects."""
        return self.actor_inbox.closed

    def _start_actor_loop(self) -> None:
        thread = threading.Thread(target=self._actor_loop, name=self._thread_name(), daemon=True)
        thread.start()

    def _thread_name(self) -> str:
        return self.actor_inbox.child_id or type(self).__name__

    def _actor_loop(self) -> None:
        inbox = self.actor_inbox
        reason = ExitReason.LOST
        try:
            inbox.begin()
            self._actor_loop_setup()
            if not self.actor_stopped.is_set() and not self.defer_ready:
                inbox.announce_ready()
            self._actor_loop_running()
            reason = inbox.end_reason()
        except BaseException as error:  # noqa: BLE001 - an exception thrown into the thread lands wherever it stands
            inbox.failure = Failure.of(error)
        finally:
            inbox.end(self, reason)

    def _stop(self) -> None:
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, Exception):
            self.actor_inbox.failure = Failure.of(error)
        super()._stop()

    def _handle_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert exception_value is not None
        if self.actor_inbox.monitor is None:
            super()._handle_failure(exception_type, exception_value, traceback)
        self.actor_stopped.set()
        self.actor_inbox.failure = Failure.of(exception_value)
