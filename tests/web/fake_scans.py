"""In-memory twin of the scans."""

from __future__ import annotations

import json

from actors.payloads import RefusedError
from tests.web.fake_soil import NOON


def scan(scan_id="s-1", serial="pi-1", code="4006381333931", **fields):
    """A scan as the database tells it."""
    return {
        "id": 1,
        "scan_id": scan_id,
        "device_id": serial,
        "code": code,
        "symbology": "EAN-13",
        "valid": True,
        "scanner": "usb-Datalogic",
        "clock": "ntp",
        "ts_us": NOON,
        "rx_us": NOON + 5000,
    } | fields


class FakeScans:
    """Knows a scan again by its id or key; keeps the newest first."""

    def __init__(self):
        self.rows = []
        self.asked = None
        self.failure = None

    def store(self, body, *, idempotency_key, serial):
        if self.failure:
            raise self.failure
        told = json.loads(body)
        device = told.get("device_id", serial)
        if serial is not None and device != serial:
            raise RefusedError("unbound", f"the payload says {device!r} with the token of {serial!r}")
        name = told.get("scan_id") or idempotency_key or told["code"]
        known = next((row for row in self.rows if row["scan_id"] == name), None)
        if known is None:
            self.rows.insert(0, scan(name, device, told["code"]))
        return (known or self.rows[0]) | {"stored": True, "duplicate": known is not None}

    def find(self, *, limit, cursor, serial, code, since_us, until_us):
        self.asked = {"serial": serial, "code": code, "since_us": since_us, "until_us": until_us}
        start = int(cursor or 0)
        rows = [row for row in self.rows if serial in (None, row["device_id"]) and code in (None, row["code"])]
        return rows[start : start + limit], str(start + limit) if start + limit < len(rows) else None
