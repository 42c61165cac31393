"""`ConnectionActor`: the loop of an actor that owns one paho client: of a link, and of an edge's side of a hub.

A round: sleep in a selector on the socket and the mailbox's wake-up; let the connection do what is due; read and write;
handle the mailbox; do what there is to do. Nothing blocks but connecting.
"""

from __future__ import annotations

import contextlib
import sys
from queue import Empty
from typing import Any, ClassVar, Protocol

from pykka._envelope import Envelope as PykkaEnvelope

from actors.link.client import BufferedClient
from actors.link.poller import Poller
from actors.runtime.clock import Clock
from actors.runtime.thread_mailbox import ThreadMailbox
from actors.runtime.threaded import ThreadedActor


class MailboxEmptyError(Exception):
    """Leaves pykka's receive loop when the mailbox is empty or this round's budget is used; never seen outside."""


class LinkMailbox(ThreadMailbox):
    """A mailbox whose `get` never blocks: the link sleeps in its selector.

    As in `actors.runtime.mailbox`, pykka calls `get` outside its `try`, so an exception leaves the loop cleanly.
    """

    __slots__ = ("budget",)

    def __init__(self) -> None:
        super().__init__()
        self.budget = 0

    def get(self, timeout: float | None = None) -> PykkaEnvelope[Any]:  # noqa: ARG002 - never waits
        """Return the next envelope.

        Raises:
            MailboxEmptyError: nothing is there, or the budget is used up.

        """
        if self.budget == 0 or not self.queue:
            self.begin()
            raise MailboxEmptyError
        self.budget -= 1
        try:
            return super().get(0.0)
        except Empty:  # the watchdog took the messages away from us: we were given up
            raise MailboxEmptyError from None


class PolledConnection(Protocol):
    """What the loop asks of a connection."""

    client: BufferedClient | None

    def tick(self) -> None:
        """Do what time asks for."""

    def process(self) -> None:
        """Handle what paho has reported."""

    def seconds_to_next(self) -> float:
        """Return how long the loop may sleep."""

    def close(self) -> None:
        """Let the socket go without a word."""

    def sever(self) -> None:
        """Shut the socket down, from any thread."""


class ConnectionActor(ThreadedActor):
    """Derive from it: make poller and connection in `on_start`, and say what to do in a round."""

    actor_inbox: LinkMailbox
    longest_sleep: ClassVar[float]
    """Seconds."""
    mailbox_budget: ClassVar[int]
    """Messages of the mailbox handled in one round."""

    _poller: Poller
    _connection: PolledConnection
    _clock: Clock
    _reading = True
    """Whether what comes is read; else it stays with the broker."""

    @staticmethod
    def _create_actor_inbox() -> LinkMailbox:
        return LinkMailbox()

    def take(self, client: BufferedClient) -> None:
        """Handle what was read, also when that was nothing."""
        raise NotImplementedError

    def work(self, now: float) -> None:
        """Do what there is to do in each round, after the mailbox; `now` is monotonic."""
        raise NotImplementedError

    def sever(self) -> None:
        """Shut the socket down from outside and end the sleep."""
        if hasattr(self, "_connection"):
            self._connection.sever()
            self._poller.wake()

    def _actor_loop_running(self) -> None:
        try:
            while not self.actor_stopped.is_set() and not self.given_up:
                self._round()
        except Exception:  # noqa: BLE001 - a crash outside a message is a crash of the actor like any other
            self._handle_failure(*sys.exc_info())
        finally:
            if hasattr(self, "_connection"):
                self._release()

    def _round(self) -> None:
        self._exchange(self._sleep())
        if self.given_up:
            return
        self.actor_inbox.budget = self.mailbox_budget
        with contextlib.suppress(MailboxEmptyError):
            super()._actor_loop_running()
        if not self.actor_stopped.is_set():
            self.work(self._clock.monotonic())

    def _sleep(self) -> float:
        connection = self._connection
        waiting = connection.client is not None and self._reading and connection.client.pending()
        return 0.0 if waiting or not self.actor_inbox.empty() else min(self.longest_sleep, connection.seconds_to_next())

    def _exchange(self, timeout: float) -> None:
        """Sleep, let the connection do what is due, read, write, and take what has come."""
        connection = self._connection
        client = connection.client
        write = client is not None and client.want_write()
        sock = client.socket() if client is not None else None
        self._poller.watch(sock, read=self._reading, write=write)  # type: ignore[arg-type]  # never a WebSocket
        self.actor_inbox.rest()
        _, writable = self._poller.wait(timeout)
        self.actor_inbox.begin()
        connection.tick()
        client = connection.client
        if client is not None and not self.given_up:
            if writable:
                client.loop_write()
            if self._reading:
                client.read()
                self.take(client)
        connection.process()

    def _release(self) -> None:
        """Let sockets and selector go; without a DISCONNECT if we crashed, so that the will is published."""
        self.actor_inbox.on_put = None
        self._connection.close()
        self._poller.close()
