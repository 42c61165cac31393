"""The state of a tree as plain data. Any thread may ask; no supervisor is kept from its work by it."""

from __future__ import annotations

import weakref
from typing import Any

from pykka import ActorRef

from supervisor.child import Child, State, Table
from supervisor.errors import ChildNotFoundError

LISTED = 200
"""Children of a dynamic supervisor that are listed one by one: those in trouble, the most recent first."""

_tables: weakref.WeakValueDictionary[str, Table] = weakref.WeakValueDictionary()
"""Urn of a supervisor to its table."""


def register(table: Table, ref: ActorRef[Any]) -> None:
    """Make a supervisor's table known; called once by each supervisor."""
    table.ref = ref
    _tables[ref.actor_urn] = table


def table_of(ref: ActorRef[Any]) -> Table:
    """Return the table of a supervisor.

    Raises:
        ChildNotFoundError: if `ref` is none of ours.

    """
    table = _tables.get(ref.actor_urn)
    if table is None:
        raise ChildNotFoundError(f"{ref} is not a supervisor")
    return table


class TreeView:
    """Reads a tree of supervisors from outside.

    Each supervisor writes its table, one value at a time; a reader sees each value as it is at that moment and never
    waits. A child may have moved on between two of them.
    """

    def __init__(self, ref: ActorRef[Any]) -> None:
        self._root = table_of(ref)

    def describe(self, path: str | None = None) -> dict[str, Any]:
        """Return the tree, or the part of it at `path`, nested.

        Raises:
            ChildNotFoundError: if nothing is at `path`.

        """
        if path is None or path == self._root.path:
            return _describe_root(self._root)
        table, child = self.find(path)
        return _describe_child(table, child)

    def find(self, path: str) -> tuple[Table, Child]:
        """Return the child at `path` (`server/links/local.control`) and the table it is in.

        Raises:
            ChildNotFoundError: if nothing is there.

        """
        table = self._root
        parts = path.removeprefix(table.path).strip("/").split("/") if self._is_below(path) else []
        for depth, part in enumerate(parts):
            child = table.children.get(part)
            if child is None:
                break
            if depth == len(parts) - 1:
                return table, child
            if child.sub is None:
                break
            table = child.sub
        raise ChildNotFoundError(f"nothing is at {path!r}")

    def _is_below(self, path: str) -> bool:
        return path.startswith(self._root.path + "/")

    def totals(self) -> dict[str, int]:
        """Return how many workers are alive, and how often anything was restarted, in the whole tree."""
        totals = {"alive": 0, "restarts": 0, "quarantined": 0, "dead_mail": 0, "garbage": 0}
        tables = [self._root]
        while tables:
            table = tables.pop()
            totals["alive"] += table.alive
            totals["restarts"] += table.restarts
            totals["quarantined"] += table.counts[State.QUARANTINED]
            totals["dead_mail"] += table.dead_mail
            totals["garbage"] += table.garbage
            if not table.dynamic:
                tables.extend(child.sub for child in tuple(table.children.values()) if child.sub is not None)
        return totals


def _describe_root(table: Table) -> dict[str, Any]:
    alive = table.ref is not None and table.ref.is_alive()
    status = {
        "id": table.name,
        "path": table.path,
        "kind": "supervisor",
        "state": State.RUNNING.value if alive else State.STOPPED.value,
        "restarts": 0,
        "incarnation": 0,
        "next_restart_in": None,
        "last_exception": None,
        "mailbox": _describe_mailbox(table, table.ref),
    }
    return status | _describe_table(table)


def _describe_table(table: Table) -> dict[str, Any]:
    """Return what there is to say of a supervisor beyond what there is to say of a child."""
    now = table.runtime.clock.monotonic()
    listed = tuple((table.troubled if table.dynamic else table.children).values())
    if table.dynamic:
        listed = listed[: -LISTED - 1 : -1]
    status: dict[str, Any] = {
        "total": len(table.children),
        "counts": {state.value: count for state, count in table.counts.items() if count},
        "restarts_of_children": table.restarts,
        "dead_mail": table.dead_mail,
        "garbage": table.garbage,
        "children": [_describe_child(table, child) for child in listed],
    }
    if table.breaker is not None:
        status["breakers"] = [
            {"type": f.signature[0], "where": f.signature[1], "crashes": f.crashes, "open_for": now - f.since}
            for f in table.breaker.open_faults(now)
        ]
    return status


def _describe_child(table: Table, child: Child) -> dict[str, Any]:
    now = table.runtime.clock.monotonic()
    trouble, ref, sub = child.trouble, child.ref, child.sub
    error = trouble.error if trouble is not None else None
    backing_off = trouble is not None and child.state is State.BACKING_OFF
    status: dict[str, Any] = {
        "id": child.id,
        "path": f"{table.path}/{child.id}",
        "kind": child.kind,
        "state": _describe_state(child, now),
        "restart": child.spec.restart,
        "restarts": trouble.restarts if trouble is not None else 0,
        "incarnation": child.incarnation,
        "next_restart_in": max(0.0, trouble.retry_at - now) if backing_off and trouble is not None else None,
        "last_exception": None,
        "mailbox": _describe_mailbox(table, ref) | {"stashed": table.post.depth(child.id) if table.post else 0},
    }
    if error is not None:
        status["last_exception"] = {
            "reason": error.reason,
            "type": error.type,
            "message": error.message,
            "traceback": error.traceback,
            "when": error.when,
            "where": error.where,
        }
    return status if sub is None else status | _describe_table(sub)


def _describe_state(child: Child, now: float) -> str:
    """Return the state as people speak of it: from its death until it is ready again a child is restarting."""
    state, ref = child.state, child.ref
    if state is State.STOPPING:
        return "restarting" if child.wanted else "stopping"
    if state in (State.WAITING, State.STARTING):
        return "restarting" if child.trouble is not None and child.trouble.restarts else "starting"
    if state is State.RUNNING and ref is not None and child.spec.hang_after is not None:
        began = getattr(ref.actor_inbox, "started_at", 0.0)
        if began and now - began > child.spec.hang_after:
            return "hung"
    return state.value


def _describe_mailbox(table: Table, ref: ActorRef[Any] | None) -> dict[str, Any]:
    inbox = ref.actor_inbox if ref is not None else None
    depth, age = getattr(inbox, "depth", None), getattr(inbox, "oldest_age", None)
    if depth is None or age is None:
        return {"depth": 0, "oldest_age": 0.0}
    return {"depth": depth(), "oldest_age": age(table.runtime.clock.monotonic())}
