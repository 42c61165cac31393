"""Soil stations: a reading handed in over HTTP, and what the analysis says of all that were kept."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from actors.payloads import LARGEST_PAYLOAD, RefusedError
from web.call import Call, Reply, read_body
from web.errors import ApiError, bad_field
from web.face import Item
from web.render import listing, plain, station_json
from web.routes_history import cursor_of, not_ours, page_of

HISTORY = ("limit", "cursor", "device", "site")
"""Query parameters of the history."""
IDEMPOTENCY_KEY = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,128}\Z")
_STATUS_OF = {"too_large": 413, "unbound": 403}
"""Refusals that are not a plain 400."""
_QUOTED = re.compile(r"(?P<type>Expected |got )?`(?:\$\.?)?(?P<name>[^`]*)`")
"""Fields stand in backticks, and types, too: "Expected `str`, got `int` - at `$.id`"."""


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
    key = _idempotency_key(call)
    body = read_body(call.environ, LARGEST_PAYLOAD)
    serial = call.who.serial if call.who is not None else None
    try:
        answer = call.face.soil_health.analyze(body, idempotency_key=key, serial=serial)
    except RefusedError as error:
        raise _refusal(error) from None
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


def _idempotency_key(call: Call) -> str:
    key: str | None = call.environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not _KEY.match(key):
        raise bad_field(IDEMPOTENCY_KEY, "must have 1 to 128 visible ASCII characters")
    return key or ""


def _refusal(error: RefusedError) -> ApiError:
    """Return a refusal as the client is told of it: the reason of the dead letter, and the field where one is named."""
    quoted = _QUOTED.finditer(error.detail)
    field = next((found["name"] for found in quoted if found["name"] and not found["type"]), None)
    details = {"reason": error.reason} | ({"field": field} if field else {})
    return ApiError(_STATUS_OF.get(error.reason, 400), error.detail, details=details)
