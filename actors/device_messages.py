"""What a device actor is told, by subscribers and by operators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from actors.messages import Delivery, StoreReading, StoreScan
from actors.payloads import Announcement, Beat
from actors.topics import Address


class Beaten(msgspec.Struct, frozen=True, gc=False):
    """A heartbeat."""

    serial: str
    address: Address
    delivery: Delivery
    beat: Beat


class Announced(msgspec.Struct, frozen=True):
    """An announcement or a detailed status."""

    serial: str
    address: Address
    delivery: Delivery
    announcement: Announcement


class Farewell(msgspec.Struct, frozen=True, gc=False):
    """A status that says `offline`: a last will, or a goodbye."""

    serial: str
    address: Address
    delivery: Delivery
    session: str = ""
    goodbye: bool = False


class Measured(msgspec.Struct, frozen=True, gc=False):
    """A reading, decoded and identified."""

    serial: str
    address: Address
    delivery: Delivery
    reading: StoreReading
    measures: Mapping[str, int | float]
    names: frozenset[str]
    """Of the measures."""


class Scanned(msgspec.Struct, frozen=True, gc=False):
    """A code that a scanner has read."""

    serial: str
    address: Address
    delivery: Delivery
    scan: StoreScan


class Told(msgspec.Struct, frozen=True, gc=False):
    """Something for a service, which the device's actor passes on once it has taken it as evidence of life.

    The service settles the delivery (`delivery.link`, `delivery.token`) after its commit, and not before.
    """

    serial: str
    address: Address
    delivery: Delivery
    service: str
    """Its name in the directory: `commander`, `ledger`, `twins`."""
    body: Any
    """What was decoded from the payload."""


FromDevice = Beaten | Announced | Farewell | Measured | Scanned | Told


class Changed(msgspec.Struct, frozen=True):
    """An operator has changed fields of the snapshot."""

    changes: dict[str, Any]
    reply_to: Any = None
    """A future that gets None once the change is published; None if nobody waits."""
    labels: Mapping[str, str | None] = {}
    """Labels to set, and with None to take away; merged by the device, since two operators may change it at once."""


class Due:
    """The deadline of a device has come; judged by the device itself."""


DUE = Due()
"""One object for all devices and deadlines: what it means is read from the record when it arrives."""
