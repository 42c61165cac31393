"""`Updater`: asks the server for updates, makes them, and says how they went.

It has a thread because everything it does blocks for a moment. What goes wrong in here stays in here: nothing that an
update does may end the process that scans, measures and says that this device is there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from actors.runtime import Runtime, ThreadedActor
from edge.update.board import UpdateBoard
from edge.update.course import Course

logger = logging.getLogger(__name__)

HANG_AFTER = 180.0
"""For the specification of this child: longer than any step may take."""
TROUBLE = 30.0
"""Seconds until the next step after one that has failed; half that while a trial goes on, whose time is short."""
SHORTEST = 0.01
"""Seconds between two steps: others want to work, too."""


class Check(msgspec.Struct, frozen=True):
    """Ask the server now."""

    force: bool = False
    """Also for a version that has failed here."""


class Step(msgspec.Struct, frozen=True):
    """To itself: go on."""

    of: str
    """Which incarnation has set it: that of a predecessor is not continued."""
    turn: int
    """Which of its own: that which waits, for ten minutes maybe, when somebody has asked for one at once, is none."""


class Updater(ThreadedActor):
    """Takes one step after the other."""

    def __init__(self, make: Callable[[], Course], *, runtime: Runtime, board: UpdateBoard) -> None:
        super().__init__()
        self._course = make()
        self._runtime, self._board = runtime, board
        self._trouble = ""
        self._turn = 0

    def on_start(self) -> None:
        """Go on where the last run has ended."""
        self.actor_ref.tell(self._next())

    def on_receive(self, message: Any) -> None:
        """Take a step, or have one taken soon."""
        match message:
            case Step(of=self.actor_urn, turn=self._turn):
                delay = self._step()
                self._runtime.timers.after(max(SHORTEST, delay), self.actor_ref, self._next())
            case Step():
                return
            case Check(force=force):
                self._course.hurry(force=force)
                self.actor_ref.tell(self._next())
            case _:
                logger.warning("updater: unexpected message %.200r", message)

    def on_stop(self) -> None:
        """End what is under way."""
        self._course.close()

    def sever(self) -> None:
        """Break a download that hangs."""
        self._course.sever()

    def _next(self) -> Step:
        self._turn += 1
        return Step(self.actor_urn, self._turn)

    def _step(self) -> float:
        try:
            delay = self._course.step()
        except Exception as error:
            trouble = f"{type(error).__name__}: {error}"[:300]
            if trouble != self._trouble:
                logger.exception("an update cannot go on for now")
            self._trouble = self._board.error = trouble
            self._board.counters["trouble"] += 1
            return TROUBLE / 2 if self._board.is_trial else TROUBLE
        self._trouble = ""
        return delay
