"""`WaitingActor`: waits for a socket and for its mailbox at once, and sleeps while nothing happens on either."""

from __future__ import annotations

import logging
import socket
from typing import Any

import msgspec

from actors.link.poller import Poller
from actors.runtime import ThreadedActor

logger = logging.getLogger(__name__)

LONGEST_WAIT = 10.0
"""Seconds of one wait."""


class Wait(msgspec.Struct, frozen=True):
    """To itself: wait again."""


class WaitingActor(ThreadedActor):
    """Derive from it, and say what to wait for and what to do then."""

    _poller: Poller

    def open(self) -> socket.socket | None:
        """Open and return what is waited for; None waits for the time alone. Called when the actor starts."""
        raise NotImplementedError

    def happened(self, *, readable: bool) -> None:
        """Do what there is to do after a wait; the socket is not blocking."""
        raise NotImplementedError

    def patience(self) -> float:
        """Return the seconds of the next wait, at most."""
        return LONGEST_WAIT

    def close(self) -> None:
        """Close what `open` has opened; harmless when there is nothing."""

    def on_start(self) -> None:
        """Open, and wait."""
        self._poller = Poller()
        self._poller.watch(self.open(), read=True, write=False)
        self._wait_again()

    def on_receive(self, message: Any) -> None:
        """Wait, act, and again; each message of others ends a wait."""
        if not isinstance(message, Wait):
            logger.warning("%s: unexpected message %.200r", type(self).__name__, message)
            return
        patience = max(0.0, self.patience()) if self.actor_inbox.empty() else 0.0
        current = self.actor_inbox.current
        self.actor_inbox.rest()  # who waits does not hang
        readable, _ = self._poller.wait(min(patience, LONGEST_WAIT))
        self.actor_inbox.begin(current)
        self.happened(readable=readable)
        if self.given_up:  # while it hung; it has a successor, and no further message wakes us
            self._close_all()
        else:
            self._wait_again()

    def on_stop(self) -> None:
        """Close all of it; the wait that was to come next is nobody's loss."""
        queue = self.actor_inbox.queue
        while queue and isinstance(queue[0].message, Wait):
            queue.popleft()
        self._close_all()

    def on_failure(self, *_: Any) -> None:
        """Close what a crashed actor had open."""
        self._close_all()

    def sever(self) -> None:
        """End a wait from outside."""
        if hasattr(self, "_poller"):
            self._poller.wake()

    def _wait_again(self) -> None:
        """Tell ourselves to wait, which must not end that wait; what others put meanwhile is seen before it begins."""
        self.actor_inbox.on_put = None
        self.actor_ref.tell(Wait())
        self.actor_inbox.on_put = self._poller.wake

    def _close_all(self) -> None:
        self.actor_inbox.on_put = None
        if hasattr(self, "_poller"):
            self._poller.forget()
            self._poller.close()
        self.close()
