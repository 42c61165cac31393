"""`sensor_readings.csv`: each reading of a sensor station with what its analysis says."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path

from actors.followers.csv_sink import CsvSink
from actors.followers.lines import Layout
from actors.followers.settings import AuditSettings
from actors.runtime import Clock

ANALYSED = Layout(
    "sensor_readings",
    extra=tuple((name, attrgetter(name)) for name in ("health_index", "status", "anomalies")),
)


def make_analysed(folder: Path, settings: AuditSettings, clock: Clock) -> CsvSink:
    """Return the sink; `folder` is the data directory."""
    return CsvSink(folder, ANALYSED, clock, max_bytes=settings.max_bytes, days=settings.days)
