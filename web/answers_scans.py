"""What the routes of scans answer with, as types; see `web.answers`."""

from __future__ import annotations

import msgspec

from web.answers import Page, Time


class Scan(msgspec.Struct):
    """What a barcode scanner read."""

    scan_id: str
    """The device's own name for it."""
    device_id: str
    """Serial number of the device that the scanner belongs to."""
    code: str
    symbology: str
    """EAN-13, EAN-8, UPC-A, GTIN-14, SSCC, GS1 or what the sender says; empty where it is not known."""
    valid: bool | None
    """Whether its check digit is right; null where there is none to tell."""
    timestamp: Time
    """The device's time."""
    received: Time
    """When the server received it."""
    scanner: str
    clock: str
    """Quality of the device's clock, empty where it was not told."""


class StoredScan(Scan):
    """A scan that was handed in, after the commit."""

    stored: bool
    duplicate: bool
    """True when it was known already."""


Scans = Page[Scan]
