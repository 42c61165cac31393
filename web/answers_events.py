"""What the stream of events tells, by kind, as types; see `web.answers` and `actors.events`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from actors.commands.messages import State as CommandState
from actors.messages import Kind, Reason
from actors.presence import DerivedPresence
from actors.updates.states import State as UpdateState
from actors.updates.states import Status
from web.answers import Device, Time
from web.answers_alarms import AlarmNews
from web.answers_notifications import NotificationDelivery
from web.answers_readings import Anomaly
from web.answers_scans import Scan


class PresenceEvent(msgspec.Struct):
    """A device's presence has changed, or whether it flaps."""

    serial: str
    presence: DerivedPresence
    reason: Reason
    since: Time | None
    last_seen: Time | None
    flapping: bool


class ReadingEvent(msgspec.Struct):
    """A reading was stored; of a device at most one a second."""

    serial: str
    kind: Kind
    ts: Time
    measures: dict[str, float]
    health_index: float | None
    """Null, with an empty status, where no analyser took the reading."""
    status: str
    anomalies: list[Anomaly]
    contributions: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    """What drives the index; present where an analyser tells."""
    recommendations: list[Any] | msgspec.UnsetType = msgspec.UNSET


class SerialEvent(msgspec.Struct):
    """Something of this device has changed: ask for it."""

    serial: str


class CommandEvent(msgspec.Struct):
    """A command is new or has changed."""

    id: str
    device: str
    name: str
    state: CommandState
    reason: str | None
    batch: str | None
    updated: Time


class GroupEvent(msgspec.Struct):
    """A group or a roster has changed."""

    name: str


class SightEvent(msgspec.Struct):
    """What a link is heard of is, or is no longer, `unknown`."""

    link: str
    sees: bool


class LinkEvent(msgspec.Struct):
    """A link's state has changed."""

    name: str
    state: str


class NodeEvent(msgspec.Struct):
    """An actor was restarted, quarantined, resumed."""

    path: str
    state: str
    restarts: int
    error: str | None


class MoreDeliveries(msgspec.Struct):
    """Beside those that were told one by one, so many deliveries have changed at once."""

    more: int
    updated: Time


class RolloutEvent(msgspec.Struct):
    """A rollout was started or has changed."""

    id: str
    version: str
    status: Status
    reason: str | None
    wave: int
    devices: int
    counts: dict[UpdateState, int]


class DeadLetterEvent(msgspec.Struct):
    """Something could not be processed."""

    reason: str
    topic: str
    serial: str
    count: int
    """How many at once; where there are several nothing else may be told."""


EVENTS: Final[Mapping[str, tuple[type[msgspec.Struct], ...]]] = {
    "device": (Device,),
    "presence": (PresenceEvent,),
    "reading": (ReadingEvent,),
    "scan": (Scan,),
    "enrolment": (SerialEvent,),
    "command": (CommandEvent,),
    "group": (GroupEvent,),
    "twin": (SerialEvent,),
    "removed": (SerialEvent,),
    "sight": (SightEvent,),
    "link": (LinkEvent,),
    "supervision": (NodeEvent,),
    "dead_letter": (DeadLetterEvent,),
    "alarm": (AlarmNews,),
    "delivery": (NotificationDelivery, MoreDeliveries),
    "rollout": (RolloutEvent,),
}
"""The type of the data of each kind of event; of several it is one of them."""
