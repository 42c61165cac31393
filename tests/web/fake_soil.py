"""In-memory twins of the soil's pipeline and of what follows the table of readings."""

from __future__ import annotations

import json

from actors.payloads import RefusedError
from web.soil_health import WITHOUT_INDEX

NOON = 1_760_000_000_000_000  # microseconds since 1970: 2025-10-09T08:53:20Z


def anomaly(measure="pH", value=3.8, kind="implausible", **fields):
    """An anomaly as the analysis tells it."""
    said = f"{measure} is {value}, which is below 4"
    return {
        "kind": kind,
        "measure": measure,
        "value": value,
        "low": 4.0,
        "high": None,
        "message": said,
        "score": None,
    } | fields


COSTS = {"N": 3.2, "pH": 11.8, "Moisture": 6.4, "K": 0.0}


def contribution(lost):
    """What a measure gives to the index and costs it, as the built-in analyser tells it."""
    return {"score": 0.5, "weight": 0.2, "points": 20.0 - lost, "lost": lost, "unit": "", "optimum": [6.5, 7.0]}


def soil(serial, index=72.4, status="Good", **fields):
    """The latest analysed reading of a station, as the database tells it."""
    return {
        "serial": serial,
        "ts_us": NOON,
        "rx_us": NOON + 5000,
        "health_index": index,
        "status": status,
        "contributions": {name: contribution(lost) for name, lost in COSTS.items()},
        "recommendations": ["pH is 6.4, below the optimum of 6.5 to 7: lime raises it."],
        "anomalies": [],
        "measures": {"N": 41, "P": 22, "K": 180, "CO2": 420, "Temperature": 21.5, "Moisture": 33, "pH": 6.4},
    } | fields


class FakeSoilHealth:
    """Knows a reading again by its key or its bytes, and refuses what the test tells it to."""

    def __init__(self):
        self.rows = {"history": [], "stations": [], "indexes": []}
        self.taken = []
        self.asked = None
        self.failure = None

    def analyze(self, body, *, idempotency_key, serial):
        if self.failure:
            raise self.failure
        told = json.loads(body)
        publisher = told.get("publisher_id", serial or "harit-samarth")
        if serial is not None and publisher != serial:
            raise RefusedError("unbound", f"the payload says {publisher!r} with the token of {serial!r}")
        name = idempotency_key or body
        duplicate = name in self.taken
        self.taken.append(name)
        return {
            "id": told.get("id", "1"),
            "stored": True,
            "duplicate": duplicate,
            "publisher_id": publisher,
            "timestamp_us": NOON,
            "health_index": 72.4,
            "status": "Good",
            "contributions": {"pH": contribution(11.8)},
            "anomalies": [anomaly()],
            "forecast": [],
            "crop": "tomato",
        }

    def history(self, *, limit, cursor, serial, site, of, is_odd):
        self.asked = {"serial": serial, "site": site, "since_us": of.since_us, "until_us": of.until_us, "odd": is_odd}
        rows = self.rows["history"]
        return page([row for row in rows if row["anomalies"]] if is_odd else rows, limit, cursor)

    def indexes(self, serial, *, bucket_us, of, limit, cursor):
        self.asked = {"serial": serial, "bucket_us": bucket_us, "since_us": of.since_us, "until_us": of.until_us}
        return page(self.rows["indexes"], limit, cursor)

    def stations(self, wanted, *, limit, cursor):
        """The filter by status is the only one here: what the fleet knows is looked for in the real face."""
        self.asked = wanted
        rows = self.rows["stations"]
        if wanted.serials:
            return [row for serial in wanted.serials for row in rows if row["serial"] == serial], None
        if wanted.status is not None:
            rows = [row for row in rows if (row["status"] or WITHOUT_INDEX) == wanted.status]
        return page(rows, limit, cursor)

    def statistics(self):
        return {
            "received": 12,
            "processed": 9,
            "duplicates": 1,
            "failed": 2,
            "by_reason": {"not_json": 2},
            "published": 9,
            "publishers": len(self.rows["stations"]),
            "last_received_us": NOON,
            "last_processed_us": 0,
        }


def page(rows, limit, cursor):
    start = int(cursor or 0)
    return rows[start : start + limit], str(start + limit) if start + limit < len(rows) else None


class FakeFollowers:
    def __init__(self):
        self.rows = [{"name": "audit", "cursor": 7, "lag": 0, "written": 7, "last_error": None, "ok": True}]

    def status(self):
        return self.rows
