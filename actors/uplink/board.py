"""What an uplink shows of itself: a status that other threads may read at any time, and counters."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec

from actors.uplink.mode import Configured, Mode


class UplinkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot, replaced as a whole by the uplink's thread."""

    configured: Configured = "auto"
    mode: Mode = "mqtt"
    reason: str = ""
    """Why this mode; empty at the beginning."""
    since_us: int = 0
    """When the mode last changed."""
    in_flight: int = 0
    """Published and without a receipt."""
    http_error: str = ""
    """Why the last post did not succeed; empty again after one that did."""
    last_success_us: int = 0
    """When the server last confirmed something."""


@dataclass(kw_only=True, slots=True)
class UplinkCounters:
    """Totals since the process began. Written by the uplink's thread alone."""

    published: int = 0
    """Publications, sendings again included."""
    resent: int = 0
    posted: int = 0
    """Requests that were answered, whatever the answer."""
    confirmed_mqtt: int = 0
    """Items that a receipt has confirmed."""
    confirmed_api: int = 0
    """Items that an answer of HTTP has confirmed."""
    refused: int = 0
    bad_receipts: int = 0
    """Receipts that could not be read."""
    mode_changes: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return all of them by name."""
        return asdict(self)


@dataclass(kw_only=True, slots=True)
class UplinkBoard:
    """Where an uplink leaves its status; it outlives the uplink's incarnations."""

    status: UplinkStatus = field(default_factory=UplinkStatus)
    counters: UplinkCounters = field(default_factory=UplinkCounters)
