"""`Worker`: does one job after the other for the inbox, on a thread of its own, since programs and handlers block."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import Any

from actors.runtime import Directory, ThreadedActor
from edge.inbox.messages import Finished, Idle, Lane, Report, Work

logger = logging.getLogger(__name__)


class Worker(ThreadedActor):
    """One lane. The inbox gives it the next job when it has finished the one before."""

    def __init__(
        self, lane: Lane, *, do: Callable[[Any], Any], stop: Callable[[], None], directory: Directory, inbox: str
    ) -> None:
        """Assign.

        Args:
            lane: our name in the directory.
            do: does a job and returns its outcome; must not raise.
            stop: breaks a job that is under way; called by another thread.
            directory: where the inbox is found.
            inbox: its name there.

        """
        super().__init__()
        self._lane, self._do, self._break_off = lane, do, stop
        self._directory, self._inbox = directory, inbox
        self._incarnation = secrets.token_hex(8)

    def on_start(self) -> None:
        """Say that there is nothing in hand."""
        self._report()

    def on_receive(self, message: Any) -> None:
        """Do a job; one that an earlier incarnation was given is not for us to do."""
        match message:
            case Work(incarnation, number, job):
                if incarnation == self._incarnation:
                    outcome = self._do(job)
                    if not self.given_up:
                        self._directory.tell(self._inbox, Finished(self._lane, number, outcome))
            case Report():
                self._report()
            case _:
                logger.warning("%s: unexpected message %.200r", self._lane, message)

    def sever(self) -> None:
        """Break the job that hangs."""
        self._break_off()

    def _report(self) -> None:
        self._directory.tell(self._inbox, Idle(self._lane, self._incarnation))
