"""Soil stations: a reading handed in over HTTP, and what the analysis says of all that were kept."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.analysis import STATUSES
from actors.topics import SERIAL
from web.answers_readings import Buckets, SoilAnalysis, SoilReadings, SoilStatistics, Stations
from web.call import Call, Reply
from web.errors import bad_field
from web.face import Item
from web.ingest import IDEMPOTENCY_KEY, hand_in
from web.render import listing, plain, station_json
from web.route import PAGED, Route
from web.routes_history import cursor_of, not_ours, page_of
from web.soil_health import WITHOUT_INDEX, StationFilter, TimeOf

HISTORY = (*PAGED, "device", "site", "since", "until", "anomalies", "bucket")
"""Query parameters of the history."""
OF_ONE = ("since", "until", "anomalies", "bucket")
"""Those that ask of one device, by its clock."""
STATION_STATUSES = (*(word for _, word in STATUSES), WITHOUT_INDEX)
MOST_SERIALS = 100


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
    """List analysed readings of the whole fleet, newest first; of one `device`, of one `site`.

    Of a device from `since` (included) until `until` (excluded), with `anomalies=true` only those with some. With
    `bucket` its index by intervals: how many, their average, the smallest and the largest.
    """
    serial, site = call.text("device"), call.text("site")
    lacking = next((name for name in OF_ONE if serial is None and call.text(name) is not None), None)
    if lacking is not None:
        raise bad_field(lacking, "needs device: it is asked of one")
    of = TimeOf(*call.time_range_us())
    bucket, is_odd = call.span_us("bucket"), call.choice("anomalies", ("true",)) == "true"
    limit, cursor, soil = call.limit(), cursor_of(call), call.face.soil_health
    if bucket is not None and serial is not None:
        return page_of(lambda: soil.indexes(serial, bucket_us=bucket, of=of, limit=limit, cursor=cursor))
    return page_of(lambda: soil.history(limit=limit, cursor=cursor, serial=serial, site=site, of=of, is_odd=is_odd))


def stations(call: Call) -> Item:
    """List the stations by serial: where they stand, whether they are present, and what their latest reading says.

    `q` is a part of serial, label or site; `status` is the index in a word, `none` for those that have no index;
    `serials`, separated by commas, asks for these alone.
    """
    wanted = StationFilter(
        q=call.text("q"), site=call.text("site"), status=call.choice("status", STATION_STATUSES), serials=_serials(call)
    )
    limit, cursor = call.limit(), cursor_of(call)
    try:
        rows, following = call.face.soil_health.stations(wanted, limit=limit, cursor=cursor)
    except ValueError:
        raise not_ours() from None
    found = [(call.face.fleet.get(row["serial"]), row) for row in rows]
    # What was removed a moment ago may still be in the answer of the database.
    return listing([station_json(device, row) for device, row in found if device is not None], following)


def _serials(call: Call) -> tuple[str, ...]:
    text = call.text("serials")
    found = tuple(dict.fromkeys(text.split(","))) if text is not None else ()
    if len(found) > MOST_SERIALS or not all(map(SERIAL.fullmatch, found)):
        raise bad_field("serials", f"must be at most {MOST_SERIALS} serials, separated by commas")
    return found


def statistics(call: Call) -> Item:
    """Count what came in since the server started: received, processed, known already, failed and why."""
    counted: Item = plain(call.face.soil_health.statistics())
    return counted


ROUTES = (
    Route(
        "POST",
        "/api/soil-health/analyze",
        "operate",
        analyze,
        SoilAnalysis,
        speaks=True,
        headers=(IDEMPOTENCY_KEY,),
        body=SensorReading,
        status=201,
        known_status=200,
    ),
    Route("GET", "/api/soil-health/history", "read", history, SoilReadings, other_answer=Buckets, query=HISTORY),
    Route(
        "GET",
        "/api/soil-health/stations",
        "read",
        stations,
        Stations,
        query=("q", "site", "status", "serials", *PAGED),
    ),
    Route("GET", "/api/soil-health/statistics", "read", statistics, SoilStatistics),
)
