"""`ScanSaver`: brings what was read into the outbox, in order, and forgets a scan only when it is on the disk.

Readers do not wait for a disk: while they did, the kernel's buffer of 64 events would run over within one code. One
Put is on its way at a time, so that scans stay in order whatever happens to the outbox.
"""

from __future__ import annotations

import contextlib
import logging
from itertools import count, islice
from typing import Any

from pykka import ActorDeadError, ActorRef

from actors.outbox import Put
from actors.runtime import Directory, PooledActor, Runtime
from edge.scanner.board import MOST_UNSAVED, ScannerBoard
from edge.scanner.messages import Keep, NotSaved, SaveAgain, Saved

logger = logging.getLogger(__name__)

SAVE_AGAIN = 5.0
"""Seconds until scans are offered again to an outbox that could not take them."""
NO_ANSWER = 30.0
"""Seconds after which a Put without an answer is repeated; the outbox knows what it has by its id."""
AT_ONCE = 500
"""Scans in one Put."""

_numbers = count(1)
"""Of Puts, in the whole process: the answer to one of an earlier incarnation is told from ours."""


class ScanSaver(PooledActor):
    """Told `Keep` by the readers."""

    def __init__(self, *, outbox: str, directory: Directory, runtime: Runtime, board: ScannerBoard) -> None:
        super().__init__()
        self._outbox, self._directory, self._runtime, self._board = outbox, directory, runtime, board
        self._on_its_way = 0
        """Number of the Put that has no answer yet; 0 for none."""
        self._scans = 0
        """How many scans are in it."""

    def on_start(self) -> None:
        """Offer what an earlier incarnation left."""
        self._save()

    def on_receive(self, message: Any) -> None:
        """Keep, or take note of an answer."""
        match message:
            case Keep():
                self._keep(message)
            case Saved() if message.number == self._on_its_way:
                self._saved()
            case NotSaved() if message.number == self._on_its_way:
                self._not_saved(message.why)
            case SaveAgain() if message.number == self._on_its_way:
                self._save()
            case Saved() | NotSaved() | SaveAgain():
                logger.debug("about a Put that has been answered: %r", message)
            case _:
                logger.warning("the saver of scans does not know %.200r", message)

    def on_stop(self) -> None:
        """Leave everything to the outbox, which is stopped after us and first empties its mailbox."""
        if self._board.unsaved:
            self._directory.tell(self._outbox, Put(tuple(self._board.unsaved)))

    def _keep(self, message: Keep) -> None:
        board = self._board
        if len(board.unsaved) >= MOST_UNSAVED:
            board.not_kept += 1
            why = board.last_error or "the outbox does not answer"
            logger.error("a scan is refused: %d wait already because %s; %d so far", MOST_UNSAVED, why, board.not_kept)
            return
        board.unsaved.append(message.item)
        if not self._on_its_way:
            self._save()

    def _save(self) -> None:
        items = tuple(islice(self._board.unsaved, AT_ONCE))
        if not items:
            return
        self._on_its_way, self._scans = next(_numbers), len(items)
        self._directory.tell(self._outbox, Put(items, _Answer(self.actor_ref, self._on_its_way)))
        self._again_in(NO_ANSWER)

    def _saved(self) -> None:
        board = self._board
        for _ in range(self._scans):
            board.unsaved.popleft()
        board.saved += self._scans
        board.last_error = ""
        self._on_its_way = 0
        self._save()

    def _not_saved(self, why: str) -> None:
        if why != self._board.last_error:
            logger.error("scans wait in memory: %s", why)
        self._board.last_error = why
        self._again_in(SAVE_AGAIN)

    def _again_in(self, seconds: float) -> None:
        self._runtime.timers.after(seconds, self.actor_ref, SaveAgain(self._on_its_way))


class _Answer:
    """What the outbox answers into: the half of a future that it uses, telling instead of being waited for."""

    def __init__(self, saver: ActorRef[Any], number: int) -> None:
        self._saver = saver
        self._number = number

    def set(self, value: object = None) -> None:  # noqa: ARG002 - a future's signature
        """Tell that the outbox has them."""
        self._tell(Saved(self._number))

    def set_exception(self, exc_info: tuple[Any, BaseException, Any]) -> None:
        """Tell why it has not."""
        self._tell(NotSaved(self._number, str(exc_info[1])))

    def _tell(self, message: Any) -> None:
        with contextlib.suppress(ActorDeadError):  # the next incarnation has offered them anew
            self._saver.tell(message)
