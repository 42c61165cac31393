"""The sensor pipeline as the HTTP face sees it: readings that are posted, and what was stored and analysed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from actors.effects import Stored
from actors.fleet_pages import Cut, find_devices
from actors.storage.buckets import FindBuckets
from actors.storage.queries import BadCursor, Page
from actors.storage.soil import FindNewest, FindSoilHistory
from actors.timestamps import rfc3339
from actors.topics import SENSOR_TAIL, SERIAL
from supervisor.server.parts import Parts
from supervisor.server.posted import store_posted
from web.face import Item
from web.fleet import Filter
from web.soil_health import WITHOUT_INDEX, StationFilter, TimeOf

EXPLAINED = ("contributions", "recommendations", "forecast", "crop")
"""What a station's newest reading is explained by."""
MOST_PIECES = 10
"""Parts of the fleet that one page looks at, where a filter by status leaves stations out."""

_decode_measures = msgspec.json.Decoder(dict[str, float]).decode


class SoilFace:
    """Direct ingest, the history with its analysis, the stations, the figures of the pipeline."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def analyze(self, body: bytes, *, idempotency_key: str, serial: str | None) -> Item:
        """Store one reading as if it had come over MQTT, and return its analysis after the commit."""
        stored: Stored = store_posted(
            self._parts,
            "subscriber.sensor",
            body,
            what="readings",
            idempotency_key=idempotency_key,
            serial=serial,
            topic=f"{self._prefix()}{SENSOR_TAIL}",
        )
        return self._answer(stored)

    def _prefix(self) -> str:
        prefixes = self._parts.config.prefixes
        return prefixes[0] if prefixes else "http"

    def _answer(self, stored: Stored) -> Item:
        reading = stored.reading
        measures = _decode_measures(reading.measures)
        return {
            "id": reading.sender_id or reading.digest.hex(),
            "stored": True,
            "duplicate": not stored.is_new,
            "publisher_id": reading.serial,
            "timestamp": rfc3339(reading.ts_us),
            "received": rfc3339(reading.rx_us),
            "health_index": reading.health_index,
            "status": reading.status,
            **self._explained(reading.serial, reading.channel, measures),
            "anomalies": msgspec.json.decode(reading.anomalies) if reading.anomalies else [],
            "sensor_readings": measures,
        }

    def _explained(self, serial: str, channel: str, measures: Mapping[str, float]) -> dict[str, Any]:
        nothing: dict[str, Any] = {"contributions": {}, "forecast": []}
        record = self._parts.fleet.record(serial)
        if record is None:
            return nothing
        kind, site = record.snapshot.kind, record.snapshot.site
        analyser = self._parts.analysts.of(channel, kind, frozenset(measures))
        return nothing | self._parts.analysts.explain(analyser, measures, record.baseline, site)

    def history(
        self, *, limit: int, cursor: str, serial: str | None, site: str | None, of: TimeOf, is_odd: bool
    ) -> tuple[list[Item], str | None]:
        """Return analysed readings of the whole fleet, newest first."""
        question = FindSoilHistory(
            limit=limit,
            after=cursor or None,
            serial=serial,
            site=site,
            since_us=of.since_us,
            until_us=of.until_us,
            is_odd=is_odd,
        )
        page: Page = self._parts.readers.ask(question)
        return page.items, page.cursor

    def indexes(
        self, serial: str, *, bucket_us: int, of: TimeOf, limit: int, cursor: str
    ) -> tuple[list[Item], str | None]:
        """Return the index of a station by intervals, newest first."""
        question = FindBuckets(
            serial=serial,
            metric=None,
            bucket_us=bucket_us,
            since_us=of.since_us,
            until_us=of.until_us,
            limit=limit,
            after=cursor or None,
        )
        page: Page = self._parts.readers.ask(question)
        return page.items, page.cursor

    def stations(self, wanted: StationFilter, *, limit: int, cursor: str) -> tuple[list[Item], str | None]:
        """Return the sensors that are wanted, by serial, each with its newest reading and why that says what it says.

        With a status a page may hold fewer than `limit`, even none, and still have a cursor.
        """
        if wanted.serials:
            known = tuple(serial for serial in wanted.serials if self._parts.fleet.record(serial) is not None)
            return self._newest(known), None
        if cursor and not SERIAL.fullmatch(cursor):
            raise BadCursor(cursor[:100])
        where = Filter(kind="sensor", site=wanted.site, q=wanted.q).wanted()
        found: list[Item] = []
        for _ in range(MOST_PIECES):
            place = (cursor, cursor) if cursor else None
            page = find_devices(self._parts.fleet, where, Cut(after=place, limit=limit))
            for station in self._newest(tuple(device.snapshot.serial for device in page.devices)):
                cursor = station["serial"]
                if wanted.status in {None, station["status"] or WITHOUT_INDEX}:
                    found.append(station)
                if len(found) == limit:
                    is_last = page.following is None and cursor == page.devices[-1].snapshot.serial
                    return found, None if is_last else cursor
            if page.following is None:
                return found, None
        return found, cursor

    def _newest(self, serials: tuple[str, ...]) -> list[Item]:
        items: list[Item] = self._parts.readers.ask(FindNewest(serials)) if serials else []
        return [self._station(item) for item in items]

    def _station(self, item: Item) -> Item:
        if item["health_index"] is None:
            return item
        explained = self._explained(item["serial"], item["channel"], item["measures"])
        return item | {name: explained[name] for name in EXPLAINED if name in explained}

    def statistics(self) -> Item:
        """Return what the pipeline has done since the process started."""
        stations = sum(record.snapshot.family == "sensor" for record in self._parts.fleet)
        return self._parts.statistics.as_dict() | {"publishers": stations}


class FollowersFace:
    """What follows the table of readings, by the boards."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def status(self) -> list[Item]:
        """Return how each follower is."""
        followers = self._parts.followers
        broken = [
            {"name": f"sink.{name}", "ok": False, "cursor": 0, "lag": 0, "written": 0, "last_error": reason}
            for name, reason in followers.broken.items()
        ]
        return broken + [
            {
                "name": status.name,
                "ok": status.ok,
                "cursor": status.cursor,
                "lag": status.lag,
                "written": status.written,
                "last_error": status.last_error or None,
            }
            for status in followers.statuses()
        ]
