"""`PooledActor`: a real pykka actor that shares its thread with a hundred thousand others."""

from __future__ import annotations

import threading
from typing import Any

from actors.runtime.mailbox import Mailbox
from actors.runtime.supervisable import Supervisable


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


class PooledActor(Supervisable):
    """An actor on a shared dispatcher; it must never block.

    Refs, `tell`, `ask`, `stop`, proxies, hooks and failure semantics are pykka's. A blocking `get()` of an unanswered
    future raises `WouldBlockError` on the dispatcher's thread. Launch it with `Runtime.launch`; `start()` works too,
    on a process-wide dispatcher, and registers the actor with pykka's registry, as pykka's own actors do.
    """

    actor_inbox: Mailbox

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.actor_stopped = self._actor_ref.actor_stopped = StopFlag()  # type: ignore[assignment]

    @staticmethod
    def _create_actor_inbox() -> Mailbox:
        return Mailbox()

    def _start_actor_loop(self) -> None:
        from actors.runtime.dispatcher import default_dispatcher

        default_dispatcher().adopt(self)
