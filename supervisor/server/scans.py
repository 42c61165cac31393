"""Scans as the HTTP face sees them: those that are posted, and those that are stored."""

from __future__ import annotations

import msgspec

from actors.effects import StoredScan
from actors.storage.queries import Page
from actors.storage.scans import FindScan, FindScans
from supervisor.server.parts import Parts
from supervisor.server.posted import store_posted
from web.face import Item

SHOWN = ("scan_id", "device_id", "code", "symbology", "valid", "scanner", "clock", "ts_us", "rx_us")
"""What is told of a scan."""


class ScansFace:
    """What scanners read."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def store(self, body: bytes, *, idempotency_key: str, serial: str | None) -> Item:
        """Store one scan as if it had come over MQTT, and return it after the commit.

        One whose id is known is answered as it is stored, whatever was sent the second time.
        """
        stored: StoredScan = store_posted(
            self._parts, "subscriber.pi", body, what="scans", idempotency_key=idempotency_key, serial=serial
        )
        sent = msgspec.structs.asdict(stored.scan) | {"device_id": stored.scan.serial}
        if stored.is_new:
            return _answer(sent, is_new=True)
        known = self._parts.readers.ask(FindScan(stored.scan.serial, stored.scan.scan_id))
        return _answer(known or sent, is_new=False)

    def find(
        self,
        *,
        limit: int,
        cursor: str,
        serial: str | None,
        code: str | None,
        since_us: int | None,
        until_us: int | None,
    ) -> tuple[list[Item], str | None]:
        """Return scans, newest first."""
        page: Page = self._parts.readers.ask(
            FindScans(serial=serial, code=code, since_us=since_us, until_us=until_us, limit=limit, after=cursor or None)
        )
        return page.items, page.cursor


def _answer(scan: Item, *, is_new: bool) -> Item:
    return {"stored": True, "duplicate": not is_new, **{name: scan[name] for name in SHOWN}}
