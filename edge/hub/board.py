"""What the hub's actor shows of itself: a status that other threads may read at any time, and counters."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import msgspec


class HubState(StrEnum):
    """Where the connection to the hub stands."""

    OFF = "off"
    """No connection string is known."""
    MISCONFIGURED = "misconfigured"
    """The connection string cannot be used."""
    WAITING_FOR_CLOCK = "waiting_for_clock"
    """The clock is not set, so that a token of ours would be refused."""
    BACKING_OFF = "backing_off"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    """Every subscription is acknowledged."""
    STOPPED = "stopped"


class HubStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot, replaced as a whole by the hub's thread."""

    state: HubState = HubState.OFF
    since_us: int = 0
    """When the state last changed."""
    host: str = ""
    last_error: str = ""
    """Why there is no connection, or what the hub refused last; empty again once all is well."""
    in_flight: int = 0
    """Messages published and not yet acknowledged."""
    desired_version: int = 0
    """Version of the desired properties that are applied; 0 before the first are known."""


@dataclass(kw_only=True, slots=True)
class HubCounters:
    """Totals since the process began. Written by the hub's thread alone."""

    connections: int = 0
    renewals: int = 0
    """Connections ended by us to connect with a new token."""
    published: int = 0
    """Messages sent, sendings again included."""
    confirmed: int = 0
    refused: int = 0
    """Messages that the hub can never take."""
    reports: int = 0
    """Reports of the twin that the hub took."""
    reports_refused: int = 0
    desired: int = 0
    """Desired properties taken, as a whole or as a patch."""
    methods: int = 0
    """Direct methods asked of us."""
    unreadable: int = 0
    """Messages of the hub that could not be read."""

    def as_dict(self) -> dict[str, Any]:
        """Return all of them by name."""
        return asdict(self)


@dataclass(kw_only=True, slots=True)
class HubBoard:
    """Where the hub's actor leaves its status; it outlives the actor's incarnations."""

    status: HubStatus = field(default_factory=HubStatus)
    counters: HubCounters = field(default_factory=HubCounters)

    def show(self, **changes: Any) -> None:
        """Replace the status if something changed."""
        status = msgspec.structs.replace(self.status, **changes)
        if status != self.status:
            self.status = status
