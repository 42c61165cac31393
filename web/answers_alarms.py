"""What the routes of alarms answer with, as types; see `web.answers`."""

from __future__ import annotations

from typing import Literal

import msgspec

from actors.alarms.rules import AlarmKind, Severity
from actors.messages import Kind
from web.answers import Page, Time


class AlarmNews(msgspec.Struct):
    """Something that is wrong, or was; what is not known is null."""

    id: int
    rule: str
    kind: AlarmKind
    severity: Severity
    state: Literal["open", "cleared"]
    subject: str
    """What it is about: `device:SERIAL`, `gateway:SERIAL`, `site:NAME`, `link:NAME`, `queue:NAME`, `server`, ..."""
    device: str | None
    site: str | None
    summary: str
    """One sentence."""
    value: float | None
    """The number that was beyond its limit when it was raised."""
    count: int
    """Devices that it is about, where it is about several."""
    raised: Time
    updated: Time
    cleared: Time | None
    cleared_why: Literal["over", "rule_changed", "device_removed"] | None
    acknowledged: Time | None
    acknowledged_by: str | None
    silenced_until: Time | None
    silenced_by: str | None


class Alarm(AlarmNews):
    """An alarm, and the devices that it is about."""

    members: list[str]
    """Serials of the first thousand of those devices."""


class Notice(msgspec.Struct):
    """News of an alarm for one channel."""

    event: Literal["raised", "cleared"]
    channel: str
    attempts: int
    made: Time
    due: Time | None
    """When it is tried next; null once it has ended."""
    ended: Time | None
    error: str
    """Why the last attempt failed; empty once it has arrived."""


class AlarmWithNotices(Alarm):
    """An alarm, and who was told of it."""

    notices: list[Notice]


class KnownRule(msgspec.Struct):
    """A rule with what is usual for its kind; what it does not restrict is null."""

    name: str
    kind: AlarmKind
    description: str
    severity: Severity
    enabled: bool
    metric: str
    over: float | None
    under: float | None
    hysteresis: float
    lasts: float
    clear_after: float
    window: float
    site: str | None
    device_kind: Kind | None
    type: str | None
    group: str | None
    devices: list[str]
    """Serials; empty: all that the other fields leave."""
    subject: str | None
    min_group: int
    group_wait: float
    send: list[str] | None
    """Names of channels; null: those of the configuration."""
    origin: Literal["default", "configuration", "api"]
    changed: Time | None
    changed_by: str


Alarms = Page[Alarm]
AlarmRules = Page[KnownRule]
