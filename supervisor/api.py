"""Blocking functions for threads that may wait: tests, an HTTP face, a main thread. Pooled actors send the messages.

Each sends the message of its name to a supervisor and waits for the answer.

Raises (all of them):
    SupervisionError: what the supervisor answered.
    pykka.Timeout: no answer came in time; the request is still carried out.
    pykka.ActorDeadError: the supervisor has ended.
    WouldBlockError: called on a dispatcher's thread.
"""

from __future__ import annotations

from typing import Any

from pykka import ActorRef

from actors.runtime import GuardedFuture
from supervisor.errors import SupervisionError
from supervisor.messages import (
    BounceChild,
    ChildCounts,
    ChildInfo,
    CountChildren,
    DeleteChild,
    GetSpec,
    QuarantineChild,
    RestartChild,
    ResumeChild,
    StartChild,
    StartTemplated,
    TerminateChild,
    WhichChildren,
)
from supervisor.spec import ChildSpec
from supervisor.status import TreeView

TIMEOUT = 5.0
"""Seconds that the functions wait unless told otherwise."""


def _ask(ref: ActorRef[Any], kind: Any, timeout: float, **fields: Any) -> Any:
    future: GuardedFuture[Any] = GuardedFuture()
    ref.tell(kind(reply_to=future, **fields))
    return future.get(timeout=timeout)


def start_child(
    ref: ActorRef[Any], child: ChildSpec | str, *args: Any, timeout: float = TIMEOUT
) -> ActorRef[Any] | None:
    """Start a new child from its spec or, given an id, from a dynamic supervisor's template; return its ref."""
    if isinstance(child, str):
        started: ActorRef[Any] | None = _ask(ref, StartTemplated, timeout, child_id=child, args=args)
    else:
        started = _ask(ref, StartChild, timeout, spec=child)
    return started


def terminate_child(ref: ActorRef[Any], child_id: str, *, timeout: float = TIMEOUT) -> None:
    """Stop a child and leave it stopped; return once it is down."""
    _ask(ref, TerminateChild, timeout, child_id=child_id)


def restart_child(ref: ActorRef[Any], child_id: str, *, timeout: float = TIMEOUT) -> ActorRef[Any] | None:
    """Start a stopped child again; return its ref."""
    started: ActorRef[Any] | None = _ask(ref, RestartChild, timeout, child_id=child_id)
    return started


def delete_child(ref: ActorRef[Any], child_id: str, *, timeout: float = TIMEOUT) -> None:
    """Forget a stopped child."""
    _ask(ref, DeleteChild, timeout, child_id=child_id)


def get_spec(ref: ActorRef[Any], child_id: str, *, timeout: float = TIMEOUT) -> ChildSpec:
    """Return the spec of a child."""
    spec: ChildSpec = _ask(ref, GetSpec, timeout, child_id=child_id)
    return spec


def which_children(ref: ActorRef[Any], *, timeout: float = TIMEOUT) -> list[ChildInfo]:
    """Return the children in start order."""
    children: list[ChildInfo] = _ask(ref, WhichChildren, timeout)
    return children


def count_children(ref: ActorRef[Any], *, timeout: float = TIMEOUT) -> ChildCounts:
    """Return how many children there are."""
    counts: ChildCounts = _ask(ref, CountChildren, timeout)
    return counts


def describe(ref: ActorRef[Any], path: str | None = None) -> dict[str, Any]:
    """Return the state of the tree below a supervisor, or of the part at `path`; asks nobody and never waits."""
    return TreeView(ref).describe(path)


def restart(ref: ActorRef[Any], path: str, *, timeout: float = TIMEOUT) -> None:
    """Stop the child at `path` if it runs, and start it again; return once it is ready."""
    _act(ref, BounceChild, path, timeout)


def quarantine(ref: ActorRef[Any], path: str, *, timeout: float = TIMEOUT) -> None:
    """Stop the child at `path` and park it; return once it is down."""
    _act(ref, QuarantineChild, path, timeout)


def resume(ref: ActorRef[Any], path: str, *, timeout: float = TIMEOUT) -> None:
    """Start the quarantined or stopped child at `path` again; return once it is ready."""
    _act(ref, ResumeChild, path, timeout)


def _act(ref: ActorRef[Any], kind: Any, path: str, timeout: float) -> None:
    table, child = TreeView(ref).find(path)
    if table.ref is None:
        raise SupervisionError(f"the supervisor of {path!r} does not run")
    _ask(table.ref, kind, timeout, child_id=child.id)
