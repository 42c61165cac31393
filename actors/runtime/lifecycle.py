"""What the runtime tells a monitor (usually a supervisor) about the life of an actor it launched."""

from __future__ import annotations

import traceback
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from pykka._envelope import Envelope as PykkaEnvelope

if TYPE_CHECKING:
    from pykka import Future


class Envelope(PykkaEnvelope[Any]):
    """A message that was already handed to an earlier incarnation."""

    __slots__ = ("attempts",)

    def __init__(self, message: Any, reply_to: Future[Any] | None = None, attempts: int = 0) -> None:
        super().__init__(message, reply_to)
        self.attempts = attempts


class ExitReason(StrEnum):
    """How an actor ended; OTP's exit reasons as far as Python has them."""

    NORMAL = "normal"
    """It stopped itself, or was asked to by `ActorRef.stop`."""
    SHUTDOWN = "shutdown"
    """Its supervisor asked it to stop and it did."""
    CRASHED = "crashed"
    """An exception escaped from `on_start`, `on_receive` or `on_stop`."""
    KILLED = "killed"
    """It was ended from outside without being asked."""
    HUNG = "hung"
    """One message took longer than its `hang_after`."""
    LOST = "lost"
    """Its thread ended without a word."""


class ToSelf:
    """Mixed into what an actor tells itself, at once or by a timer: it ends with its incarnation.

    The next one begins with messages of its own. Were those of its predecessor handed on to it, whatever sets the time
    of its next look in each of them would look once more often after each crash, for ever.
    """

    __slots__ = ()


class Ready(NamedTuple):
    """`on_start` has succeeded."""

    child_id: str
    incarnation: int


class Exit(NamedTuple):
    """The actor has ended; sent exactly once for each launch."""

    child_id: str
    incarnation: int
    reason: ExitReason
    error: BaseException | None
    traceback: str
    pending: list[Envelope]
    """Tells that were not handled, in order; after a crash or a hang the first is the message that did it."""


class Undelivered(NamedTuple):
    """A message for an actor that is not there now; its supervisor keeps it for the next incarnation."""

    name: str
    message: Any


class Failure(NamedTuple):
    """An exception with its traceback as text, so that no frame is kept alive."""

    error: BaseException
    traceback: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Format the traceback now and drop it from the exception and from those that led to it."""
        text = "".join(traceback.format_exception(error, limit=-20))
        seen: set[int] = set()
        chain: list[BaseException | None] = [error]
        while chain:
            link = chain.pop()
            if link is not None and id(link) not in seen:
                seen.add(id(link))
                link.__traceback__ = None
                chain += (link.__cause__, link.__context__)
        return cls(error, text)
