"""What the routes of links, brokers and the tree answer with; see `web.answers`."""

from __future__ import annotations

from typing import Literal

import msgspec

from web.answers import Page, Time


class Link(msgspec.Struct):
    """One MQTT link."""

    name: str
    broker: str
    state: str
    connected: bool
    """True once every subscription is acknowledged."""
    detail: str
    since: Time | None
    protocol: str
    reconnects: int
    unresolved: int
    unresolved_bytes: int
    dropped_by_broker: int
    received: int
    acknowledged: int
    published: int


class BrokerFigure(msgspec.Struct):
    """A number that a broker tells of itself."""

    value: float | int
    unit: Literal["", "s", "B", "1/min", "B/min"]
    """Empty for a plain count; what is per minute is the average of the last one."""
    heard: Time


class Broker(msgspec.Struct):
    """A broker with its links, and what it tells of itself under `$SYS`."""

    name: str
    address: str
    links: list[str]
    version: str | None
    figures: dict[str, BrokerFigure]
    reason: str | None
    """Why there are no figures."""


class CrashGroup(msgspec.Struct):
    """Crashes that are the same: exception, place and role."""

    id: int
    type: str
    """Of the exception; how the actor ended where there was none."""
    place: str
    """The innermost line of our own code, `file:line in function`; empty where no traceback tells."""
    role: str
    """Whose crashes: a path of the tree, for devices `devices/*`."""
    count: int
    first: Time
    last: Time
    paths: list[str]
    """Who crashed last, the newest first."""
    error: str
    traceback: str
    """Of the last one."""


class Crash(msgspec.Struct):
    """One crash."""

    at: Time
    path: str
    error: str


class CrashGroupWithCrashes(CrashGroup):
    """A group with its newest crashes; `count` tells how many there were."""

    crashes: list[Crash]


class LastException(msgspec.Struct):
    """Why an actor ended last."""

    error: str
    traceback: str
    where: str
    at: Time | None


class Breaker(msgspec.Struct):
    """An exception that many devices had in common, charged to the code."""

    type: str
    where: str
    crashes: int
    open_for: float
    """Seconds since it opened."""


class Node(msgspec.Struct):
    """One actor of the tree; the fields from `children` on only where it is a supervisor."""

    path: str
    id: str
    type: str
    state: str
    restarts: int
    incarnation: int
    mailbox: int
    mailbox_age: float
    """Seconds that the oldest message waits."""
    next_restart_in: float | None
    """Seconds, while it backs off."""
    last_exception: LastException | None
    children: list[Node] | msgspec.UnsetType = msgspec.UNSET
    """Of very many only the remarkable ones."""
    total: int | msgspec.UnsetType = msgspec.UNSET
    counts: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    restarts_of_children: int | msgspec.UnsetType = msgspec.UNSET
    dead_mail: int | msgspec.UnsetType = msgspec.UNSET
    breakers: list[Breaker] | msgspec.UnsetType = msgspec.UNSET


class ChildTold(msgspec.Struct):
    """An actor was told to do something."""

    path: str
    action: Literal["restart", "quarantine", "resume"]


class LinkTold(msgspec.Struct):
    """A link was told to do something."""

    name: str
    action: Literal["reconnect", "pause", "resume"]


Links = Page[Link]
Brokers = Page[Broker]
CrashGroups = Page[CrashGroup]
