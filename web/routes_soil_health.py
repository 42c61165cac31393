"""Soil stations: a reading handed in over HTTP, and what the analysis says of all that were kept."""

from __future__ import annotations

from typing import Any

import msgspec

from web.call import Call, Reply
from web.face import Item
from web.ingest import hand_in
from web.render import listing, plain, station_json
from web.routes_history import cursor_of, not_ours, page_of

HISTORY = ("limit", "cursor", "device", "site")
"""Query parameters of the history."""


class SensorReading(msgspec.Struct):
    """The body of `POST /api/soil-health/analyze`; a bare object of numbers such as `{"N": 41, "pH": 6.4}` will do."""

    publisher_id: str | None = None
    """Serial number of the station."""
    timestamp: str | float | None = None
    """RFC 3339, or seconds or milliseconds since 1970; the time of receipt without one."""
    sensor_readings: dict[str, Any] | None = None
    """The numbers: N, P, K (mg/kg), CO2 (ppm), Temperature (°C), Moisture (%), pH; others pass."""
    id: str | int | None = None
    """The sender's own name for this reading: the same once more is the same reading."""


def analyze(call: Call) -> Reply:
    """Take a reading as if it had come by MQTT and answer with its analysis, once it is stored: 200 if it was known."""
    answer = hand_in(call, call.face.soil_health.analyze)
    return Reply(plain(answer), 200 if answer["duplicate"] else 201)


def history(call: Call) -> Item:
    """List analysed readings of the whole fleet, newest first; of one `device`, of one `site`."""
    limit, cursor = call.limit(), cursor_of(call)
    serial, site = call.text("device"), call.text("site")
    return page_of(lambda: call.face.soil_health.history(limit=limit, cursor=cursor, serial=serial, site=site))


def stations(call: Call) -> Item:
    """List the stations by serial: where they stand, whether they are present, and what their latest reading says."""
    limit, cursor = call.limit(), cursor_of(call)
    try:
        rows, following = call.face.soil_health.stations(limit=limit, cursor=cursor)
    except ValueError:
        raise not_ours() from None
    found = [(call.face.fleet.get(row["serial"]), row) for row in rows]
    # What was removed a moment ago may still be in the answer of the database.
    return listing([station_json(device, row) for device, row in found if device is not None], following)


def statistics(call: Call) -> Item:
    """Count what came in since the server started: received, processed, known already, failed and why."""
    counted: Item = plain(call.face.soil_health.statistics())
    return counted
