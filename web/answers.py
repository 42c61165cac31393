"""What the routes answer with, as types: the contract is made from them, and tests hold real answers against them.

Handlers build their answers as plain dictionaries, whose fields a device, a row of the database or a board gives them;
nothing here is in the way of a request.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec

from actors.messages import Kind, Reason
from actors.presence import DerivedPresence
from actors.presence_history import PastReason
from web.sessions import Role

T = TypeVar("T")

Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
"""RFC 3339 in UTC with milliseconds."""


class Page(msgspec.Struct, Generic[T]):
    """One page of a list."""

    items: list[T]
    cursor: str | None
    """Ask with it for the next page; null on the last."""


class Device(msgspec.Struct):
    """One device of the fleet; what is not known is null."""

    serial: str
    kind: Kind
    type: str | None
    device_id: str | None
    site: str | None
    label: str | None
    group: str | None
    presence: DerivedPresence
    reason: Reason
    since: Time | None
    ip_address: str | None
    hostname: str | None
    mac_address: str | None
    first_seen: Time | None
    last_seen: Time | None
    offline_after: float
    """Seconds of silence that make it offline."""
    flapping: bool
    quarantined: bool
    pinned: bool
    services: dict[str, Any]
    system_info: dict[str, Any]
    device_token: str | None
    metadata: dict[str, Any]
    supervised: bool
    """It has told its own supervision tree."""
    labels: dict[str, str]


class Event(msgspec.Struct):
    """One entry of a device's timeline."""

    id: int
    ts: Time
    serial: str
    kind: str
    data: dict[str, Any]


class PresenceSegment(msgspec.Struct):
    """A stretch of one presence; it ends where the next one begins."""

    since: Time
    until: Time
    presence: DerivedPresence | None
    """Null before the first sign of the device."""
    reason: PastReason | None
    """Null where there is no presence, and where nothing is kept that tells."""


class Sensor(msgspec.Struct):
    """A number that a device sends."""

    name: str
    first_seen: Time


class DeadLetter(msgspec.Struct):
    """What could not be processed."""

    id: int
    rx: Time
    reason: str
    detail: str
    link: str
    topic: str
    payload: str
    serial: str
    qos: int
    replayed: Time | None
    payload_encoding: Literal["base64"] | msgspec.UnsetType = msgspec.UNSET
    """Present where the bytes are not text."""


class LetterCount(msgspec.Struct):
    """How many dead letters there are for one reason."""

    reason: str
    count: int


class HealthBroker(msgspec.Struct):
    """The links, in short."""

    connected: bool
    durable: bool
    """False while the embedded broker keeps nothing over its restart."""
    links: dict[str, str]
    detail: str | msgspec.UnsetType = msgspec.UNSET
    """Which links are not connected, and why; present where one is not."""


class HealthDatabase(msgspec.Struct):
    """What waits to be written."""

    ok: bool
    pending: int
    oldest_age: float
    error: str | msgspec.UnsetType = msgspec.UNSET
    """Present while it is away."""


class HealthActors(msgspec.Struct):
    """The tree, in short."""

    alive: int
    restarts: int
    quarantined: int


class HealthDevices(msgspec.Struct):
    """The fleet, in short."""

    total: int
    online: int
    offline: int
    unknown: int


class Health(msgspec.Struct):
    """How the server is; `failing` comes with the status 503."""

    status: Literal["ok", "degraded", "failing"]
    version: str
    uptime: float
    """Seconds."""
    broker: HealthBroker
    database: HealthDatabase
    actors: HealthActors
    devices: HealthDevices


class Resolved(msgspec.Struct):
    """Where the primary device of a type is, and how it was found."""

    serial: str
    address: str
    hostname: str | None
    mac_address: str | None
    method: Literal["roll_call", "last_known", "mdns", "scan"]
    port: int | None
    presence: DerivedPresence
    last_seen: Time | None


class Token(msgspec.Struct):
    """A token of the API, without its text."""

    id: int
    name: str
    role: Role
    serial: str | None
    created: Time
    expires: Time | None
    revoked: Time | None


class MadeToken(Token):
    """A token with its text, which is told only here."""

    token: str


class Session(msgspec.Struct):
    """Who asks, and what serves him."""

    role: Role
    version: str
    last_event_id: str
    """Of the newest live event: what is asked for from now on is newer, and a stream from there misses nothing."""


class LoggedIn(msgspec.Struct):
    """What the session may do."""

    role: Role


class LetterTold(msgspec.Struct):
    """A dead letter was handed in again."""

    id: int
    action: Literal["replay"]


Devices = Page[Device]
Events = Page[Event]
Presences = Page[PresenceSegment]
Sensors = Page[Sensor]
DeadLetters = Page[DeadLetter]
LetterCounts = Page[LetterCount]
Tokens = Page[Token]
