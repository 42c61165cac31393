"""The supervision tree that a device tells of itself, as the face tells the server's own.

It comes as `supervisor.describe` gives it, over MQTT, from whoever may speak for the device: all of it is checked.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from web.face import Item
from web.render import rfc3339

_MICROSECONDS = 1_000_000
_LATEST = 253_402_300_799
"""Seconds since 1970 of the last second that has a date."""

Text = Annotated[str, msgspec.Meta(max_length=200)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Mailbox(msgspec.Struct):
    """What waits to be handled."""

    depth: Count = 0
    oldest_age: Seconds = 0.0
    stashed: Count = 0
    """Kept for a child that is being started again."""


class Failure(msgspec.Struct):
    """Why an actor ended last."""

    reason: str = ""
    type: str = ""
    message: str = ""
    traceback: str = ""
    when: Annotated[float, msgspec.Meta(ge=0, le=_LATEST)] = 0.0
    """Seconds since 1970 by the device's clock."""
    where: str = ""


class Told(msgspec.Struct):
    """One node; a supervisor's has `children`."""

    id: Text
    path: Annotated[str, msgspec.Meta(max_length=1000)]
    kind: Text
    state: Text
    restarts: Count = 0
    incarnation: Count = 0
    last_exception: Failure | None = None
    mailbox: Mailbox = msgspec.field(default_factory=Mailbox)
    children: list[Told] | None = None
    total: Count = 0
    counts: dict[str, Count] = {}
    restarts_of_children: Count = 0
    dead_mail: Count = 0


_DECODER = msgspec.json.Decoder(Told)


def read_tree(raw: bytes) -> Item:
    """Return the root as `web.answers.Node`. Raises ValueError for what is no such tree."""
    try:
        return _node(_DECODER.decode(raw))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _node(told: Told) -> Item:
    node: Item = {
        "path": told.path,
        "id": told.id,
        "type": told.kind,
        "state": told.state,
        "restarts": told.restarts,
        "incarnation": told.incarnation,
        "mailbox": told.mailbox.depth + told.mailbox.stashed,
        "mailbox_age": round(told.mailbox.oldest_age, 3),
        # Seconds from a moment that nobody knows here.
        "next_restart_in": None,
        "last_exception": None if told.last_exception is None else _failure(told.last_exception),
    }
    if told.children is not None:
        node["children"] = [_node(child) for child in told.children]
        node["total"] = told.total
        node["counts"] = told.counts
        node["restarts_of_children"] = told.restarts_of_children
        node["dead_mail"] = told.dead_mail
    return node


def _failure(told: Failure) -> Item:
    return {
        "error": f"{told.type}: {told.message}" if told.type else told.reason,
        "traceback": told.traceback,
        "where": told.where,
        "at": rfc3339(int(told.when * _MICROSECONDS)),
    }
