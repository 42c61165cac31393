"""`ThreadedActor`: an actor with a daemon thread of its own, for whatever blocks."""

from __future__ import annotations

import threading

import pykka

from actors.runtime.lifecycle import ExitReason, Failure
from actors.runtime.supervisable import Supervisable
from actors.runtime.thread_mailbox import ThreadMailbox


class ThreadedActor(Supervisable, pykka.ThreadingActor):
    """pykka's `ThreadingActor` with a death that is always noticed and a way to break a hang from outside."""

    use_daemon_thread = True
    actor_inbox: ThreadMailbox

    @staticmethod
    def _create_actor_inbox() -> ThreadMailbox:
        return ThreadMailbox()

    def sever(self) -> None:
        """Break whatever the actor may hang in (shut a socket down, interrupt a query); called by another thread."""

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
