"""What the routes of groups, rosters and picks answer with, as types; see `web.answers`."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from actors.groups.roster import State
from actors.presence import DerivedPresence
from web.answers import Device, Page, Time

Source = Literal["configuration", "api"]


class Group(msgspec.Struct):
    """A group of devices."""

    name: str
    description: str
    rule: dict[str, Any] | None
    """Who belongs to it by what is known of them."""
    members: list[str]
    """Who belongs to it by hand."""
    declared: bool
    """False for one that only the field `group` of devices names."""
    updated: Time | None
    changed_by: str | None


class CountedGroup(Group):
    """A group, and how many devices it has now."""

    devices: int
    present: int


class Picked(msgspec.Struct):
    """The least loaded device that is present."""

    serial: str
    commands: int
    """Commands that it has not answered yet."""
    load_average: float
    """Of the last minute, as it told last; 0 for one that tells none."""
    device: Device


class RosterEntry(msgspec.Struct):
    """One device of a roster; of a serial that was never heard of only that is known."""

    serial: str
    presence: DerivedPresence | None
    since: Time | None
    last_seen: Time | None
    label: str | None
    site: str | None


class Roster(msgspec.Struct):
    """Who is expected at a site, and who is there."""

    site: str
    source: Source | None
    """Where it was declared; null for a site without a roster."""
    declared: int
    healthy: list[RosterEntry]
    silent: list[RosterEntry]
    unknown: list[RosterEntry]
    """Declared, and not to be seen at present: a broker cannot be reached."""
    elsewhere: list[RosterEntry]
    """Declared here, and seen at another site."""
    undeclared: list[RosterEntry]


class RosterCounts(msgspec.Struct):
    """A roster in short."""

    site: str
    source: Source
    declared: int
    counts: dict[State, int]


Groups = Page[Group]
Rosters = Page[RosterCounts]
