"""What a link shows of itself: a status that other threads may read at any time, and counters."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from enum import StrEnum

from actors.link.figures import Figure


class LinkState(StrEnum):
    """Where a link stands."""

    CONNECTING = "connecting"
    """TCP, TLS or CONNECT under way."""
    CONNECTED = "connected"
    """CONNACK received; not every subscription is acknowledged."""
    SUBSCRIBED = "subscribed"
    """Every subscription is acknowledged: the link sees."""
    CONGESTED = "congested"
    """Subscribed, but not reading: too much is unresolved."""
    BACKING_OFF = "backing_off"
    """The last attempt failed or the connection was lost; the next one is due soon."""
    TAKEN_OVER = "taken_over"
    """Another client connected with our client id. No attempt until an operator asks for one."""
    PAUSED = "paused"
    """Closed by an operator. No attempt until it is resumed, or the server starts again."""
    STOPPED = "stopped"


#: States with an open MQTT connection: publishing and acknowledging work.
UP = frozenset({LinkState.CONNECTED, LinkState.SUBSCRIBED, LinkState.CONGESTED})


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkStatus:
    """A snapshot, replaced as a whole by the link's thread."""

    name: str
    broker: str = ""
    """`host:port`."""
    state: LinkState = LinkState.STOPPED
    since: float = 0.0
    """When `state` last changed, seconds since 1970 UTC."""
    protocol: str = ""
    """`5.0` or `3.1.1`, once connected."""
    reconnects: int = 0
    last_error: str = ""
    """Why the last connection or attempt ended; empty again once subscribed."""
    unresolved: int = 0
    """Deliveries neither settled nor void."""
    unresolved_bytes: int = 0
    dropped_by_broker: int = 0
    """Messages the broker reports as dropped, for all its clients, since this process first looked."""

    @property
    def connected(self) -> bool:
        """True only once every subscription is acknowledged."""
        return self.state in (LinkState.SUBSCRIBED, LinkState.CONGESTED)


@dataclass(kw_only=True, slots=True)
class LinkCounters:
    """Totals since the process began. Written by the link's thread alone."""

    connections: int = 0
    received: int = 0
    acknowledged: int = 0
    published: int = 0
    publish_link_down: int = 0
    """QoS 0 publications dropped because the link was down."""
    publish_overflow: int = 0
    """QoS 1 publications dropped because the queue was full."""
    publish_expired: int = 0
    publish_invalid: int = 0
    """Refused here: a topic with wildcards, a payload beyond the broker's limit."""
    publish_refused: int = 0
    """Refused by the broker (MQTT 5 reason codes of 0x80 and above)."""
    publish_abandoned: int = 0
    """Given up because the connection broke each time they were sent."""
    repeated: int = 0
    """Sent again on the same connection while still unresolved."""
    unrouted: int = 0
    """Received on a topic that no route wants."""
    voided: int = 0
    """Unresolved when their connection ended; the broker delivers them again."""
    replayed: int = 0
    stuck: int = 0
    """Dead-lettered because nothing settled them in time."""
    settled_void: int = 0
    """Settlements of an earlier connection, ignored."""
    settled_unknown: int = 0
    """Settlements of deliveries that had ended already, ignored."""
    congestions: int = 0
    """How often it has stopped reading because too much was unresolved."""
    unexpected: int = 0
    """Messages in the mailbox that a link does not understand."""


@dataclass(kw_only=True, slots=True)
class LinkBoard:
    """Where a link leaves its status; it outlives the link's incarnations."""

    status: LinkStatus
    counters: LinkCounters = field(default_factory=LinkCounters)
    process: str = field(default_factory=lambda: secrets.token_hex(8))
    """Drawn once for each run of the server."""
    paused: bool = False
    """An operator wants no connection; set by whoever speaks for him, obeyed by each incarnation of the link."""
    figures: dict[str, Figure] = field(default_factory=dict)
    """What the broker tells of itself on this connection, by name; replaced as a whole."""
    figures_refused: bool = False
    """Whether the broker has refused to tell."""
    claimed_ms: int = 0
    """When this process last claimed the link's client id, milliseconds since 1970 UTC; 0 if never."""

    @classmethod
    def of(cls, name: str) -> LinkBoard:
        """Return the board of a link that has not started yet."""
        return cls(status=LinkStatus(name=name))
