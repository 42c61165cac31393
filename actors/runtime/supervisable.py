"""What both kinds of actors owe their supervisor: news of being up, the reason of their end, and unfinished work."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import pykka

from actors.runtime.ending import SupervisedMailbox
from actors.runtime.future import GuardedFuture
from actors.runtime.lifecycle import Failure

if TYPE_CHECKING:
    from types import TracebackType


class Supervisable(pykka.Actor):
    """The part that `PooledActor` and `ThreadedActor` share; a real actor class comes beside it."""

    actor_inbox: SupervisedMailbox  # type: ignore[assignment]  # both kinds of it have `get` and `put`
    defer_ready: ClassVar[bool] = False
    """True if the actor itself says when it is up, by `ready()`; else it is up when `on_start` has returned."""

    @staticmethod
    def _create_future() -> pykka.Future[Any]:
        return GuardedFuture()

    def ready(self) -> None:
        """Tell the monitor that the actor is up; for actors with `defer_ready`."""
        self.actor_inbox.announce_ready()

    def unfinished(self) -> Sequence[Any]:
        """Return messages taken and not finished, for the next incarnation; the first is the one to blame for a crash.

        Empty means: the current one, if any.
        """
        return ()

    def _stop(self) -> None:
        # pykka's loop stops the actor from inside the handler of a SystemExit or KeyboardInterrupt: that is its reason.
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
        """Record the failure for the monitor, which logs it (and can say it once for a thousand); else log as pykka."""
        assert exception_value is not None
        if self.actor_inbox.monitor is None:
            super()._handle_failure(exception_type, exception_value, traceback)
        self.actor_stopped.set()
        self.actor_inbox.failure = Failure.of(exception_value)
