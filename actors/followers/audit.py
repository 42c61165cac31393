"""The audit trail: `mqtt_sensor_received.csv`, one line for each reading of a sensor station."""

from __future__ import annotations

from pathlib import Path

from actors.followers.csv_sink import CsvSink
from actors.followers.lines import Layout
from actors.followers.settings import AuditSettings
from actors.runtime import Clock
from actors.storage.following import FollowedReading

AUDIT = Layout("mqtt_sensor_received")


def make_audit(folder: Path, settings: AuditSettings, clock: Clock) -> CsvSink:
    """Return the sink; `folder` is the data directory."""
    return CsvSink(folder, AUDIT, clock, max_bytes=settings.max_bytes, days=settings.days)


def is_of_sensor(row: FollowedReading) -> bool:
    """Tell whether a reading came from a sensor station."""
    return row.family == "sensor"
