"""Answers about the fleet as a whole, as types; see `web.answers`."""

from __future__ import annotations

from typing import Literal

import msgspec

from web.answers import Device

Health = Literal["dark", "troubled", "unknown", "well"]
"""Of a site: nobody is online and somebody is offline; somebody is offline, flaps or is quarantined, or an alarm is
open; of somebody nothing can be said now; none of these."""


class FoundDevices(msgspec.Struct):
    """One page of the devices that are asked for."""

    items: list[Device]
    cursor: str | None
    """Ask with it for the next page, in the same order; null on the last."""
    matches: int
    """How many there are on all pages."""


class FleetCounts(msgspec.Struct):
    """How many devices there are, by what can be said of them now."""

    total: int
    online: int
    offline: int
    unknown: int
    flapping: int
    quarantined: int
    alarms: int
    """Open ones; of the whole fleet those of the server, too."""


class Site(FleetCounts):
    """One site at a glance."""

    site: str | None
    """Null for the devices without one."""
    health: Health


class Sites(msgspec.Struct):
    """One page of the sites, the worst first."""

    items: list[Site]
    cursor: str | None
    matches: int
    fleet: FleetCounts
    """All of them together, whatever `q` is."""
