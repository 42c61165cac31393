"""What a supervisor understands, and what it tells.

Requests carry an optional future that is answered when the request is *done*, not when it is taken. `supervisor.api`
has a blocking function for each of them, for threads that may wait. `ref.ask` works for those that are answered at
once (`WhichChildren`, `CountChildren`, `GetSpec`, `DeleteChild`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, NamedTuple

from pykka import ActorRef, Future

from actors.runtime import Exit, Ready
from supervisor.spec import ChildSpec, Restart

logger = logging.getLogger("supervisor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Something asked of a supervisor."""

    reply_to: Future[Any] | None = None
    """Gets the result or the error; None if nobody waits."""


def refuse_request(request: Request, error: Exception) -> None:
    """Answer a request with an error, if somebody waits and has no answer yet."""
    if request.reply_to is not None:
        try:
            request.reply_to.set_exception((type(error), error, None))
        except Exception:
            logger.exception("A refusal could not be given")


@dataclass(frozen=True, slots=True)
class StartChild(Request):
    """Start a new child. Answer: its ref once it is ready, or None if it had nothing to run."""

    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class StartTemplated(Request):
    """Start a new child from a dynamic supervisor's template. Answer: as for `StartChild`."""

    child_id: str
    args: tuple[Any, ...] = ()
    """Passed to the template's start function after the id."""


@dataclass(frozen=True, slots=True)
class TerminateChild(Request):
    """Stop a child and leave it stopped; a temporary or dynamic one is forgotten. Answer: None, once it is down."""

    child_id: str


@dataclass(frozen=True, slots=True)
class RestartChild(Request):
    """Start a stopped child again. Answer: its ref once it is ready."""

    child_id: str


@dataclass(frozen=True, slots=True)
class BounceChild(Request):
    """Stop a child if it runs, and start it again, whatever state it is in. Answer: its ref once it is ready."""

    child_id: str


@dataclass(frozen=True, slots=True)
class QuarantineChild(Request):
    """Stop a child and park it, visibly, until it is resumed. Answer: None, once it is down."""

    child_id: str


@dataclass(frozen=True, slots=True)
class ResumeChild(Request):
    """Start a quarantined or stopped child again with a clean record. Answer: its ref once it is ready."""

    child_id: str


@dataclass(frozen=True, slots=True)
class DeleteChild(Request):
    """Forget a stopped child. Answer: None."""

    child_id: str


@dataclass(frozen=True, slots=True)
class GetSpec(Request):
    """Answer: the `ChildSpec` of a child."""

    child_id: str


@dataclass(frozen=True, slots=True)
class WhichChildren(Request):
    """Answer: a list of `ChildInfo` in start order."""


@dataclass(frozen=True, slots=True)
class CountChildren(Request):
    """Answer: a `ChildCounts`."""


class ChildInfo(NamedTuple):
    """One child as `which_children` lists it."""

    id: str
    ref: ActorRef[Any] | None
    """None while it does not run."""
    kind: str
    """`worker` or `supervisor`."""
    state: str
    restart: Restart


class ChildCounts(NamedTuple):
    """How many children there are."""

    specs: int
    """All that the supervisor knows, dead or alive."""
    active: int
    """Those that run."""
    supervisors: int
    workers: int


class DeadMail(NamedTuple):
    """A message that no incarnation of its child will handle."""

    child_path: str
    message: Any
    attempts: int
    """How many incarnations it has crashed or hung."""
    error: BaseException | None
    """What the child died of, if that is why."""
    reason: str
    """`crashed_twice`, `breaker` (crashed once, by a fault that is charged to the code), `quarantined`, `stopped`,
    `start_failed`, `overflow`, `unknown` (no such child) or `supervisor_down`."""


class BackoffOver(NamedTuple):
    """A supervisor to itself: the wait before this restart is over."""

    child_id: str
    token: int


class StartExpired(NamedTuple):
    """A supervisor to itself: this incarnation should have been ready by now."""

    child_id: str
    incarnation: int


class StopExpired(NamedTuple):
    """A supervisor to itself: this incarnation should have stopped by now."""

    child_id: str
    incarnation: int


class StopAllExpired(NamedTuple):
    """A dynamic supervisor to itself: children with this much time to stop have used it up."""

    seconds: float


class MailDelivered(NamedTuple):
    """A supervisor to itself: what stood before this in its mailbox has been handed on."""


PRIVATE = (Exit, Ready, BackoffOver, StartExpired, StopExpired, StopAllExpired, MailDelivered)
"""News of one incarnation of a supervisor; they mean nothing to the next one."""
