"""What the routes of rollouts answer with, as types; see `web.answers`."""

from __future__ import annotations

from typing import Literal

import msgspec

from actors.updates.states import State, Status
from actors.updates.windows import Window
from web.answers import Page, Time


class WaveProgress(msgspec.Struct):
    """A part of the devices, and how far they are."""

    share: float
    success: float
    """Of it: so many must have succeeded before the next one begins."""
    wait: float
    """Seconds from then to the next one."""
    devices: int
    counts: dict[State, int]


class PlanRest(msgspec.Struct):
    """How a rollout goes, but for its waves."""

    failures: float
    deadlines: dict[str, float]
    silent_after: float | None
    retries: int
    retry_after: float
    force: bool
    trial: float
    call: bool
    most_active: int


class Rollout(msgspec.Struct):
    """A release on its way to devices."""

    id: str
    release: str
    """Id of the release."""
    version: str
    target: str
    """Who was meant, in words."""
    status: Status
    reason: str | None
    """Why it is halted."""
    wave: int
    """The one that is under way, from 1."""
    waves: list[WaveProgress]
    devices: int
    counts: dict[State, int]
    plan: PlanRest
    windows: list[Window]
    """Its own maintenance windows; without any those of the sites count."""
    created: Time
    changed: Time
    reached: Time | None
    """When the wave under way has reached its threshold."""
    by: str | None


class RolloutDevice(msgspec.Struct):
    """How far a device is."""

    device: str
    wave: int
    """From 1."""
    state: State
    since: Time | None
    """When it came into this state; of one that must wait, when it last asked."""
    attempts: int
    reason: str | None
    progress: float | None
    """0 to 1, of its state."""


class SiteWindows(msgspec.Struct):
    """When the devices of a site may be updated."""

    site: str
    source: Literal["configuration", "api"] | None
    """Where they were set; null for a site without any."""
    open: bool
    """Whether it may be updated now."""
    windows: list[Window]


Rollouts = Page[Rollout]
RolloutDevices = Page[RolloutDevice]
Windows = Page[SiteWindows]
