"""What the routes of readings and their analysis answer with, as types; see `web.answers`."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from actors.messages import Reason
from actors.presence import DerivedPresence
from web.answers import Page, Time


class Anomaly(msgspec.Struct):
    """What is not as it should be in a reading, and why."""

    kind: Literal["implausible", "out_of_range", "unusual"]
    measure: str
    value: float
    low: float | None
    """The least that would have been all right."""
    high: float | None
    message: str
    """A sentence for people."""
    score: float | None
    """How far out it is; in the terms of what found it."""


class Reading(msgspec.Struct):
    """One message with numbers."""

    id: int
    ts: Time
    """The device's time."""
    digest: str
    rx: Time
    """When the server received it."""
    clock: str
    """Quality of the device's clock, empty where it was not told."""
    source: str
    channel: str
    measures: dict[str, float]
    health_index: float | None
    """0 to 100; null where no analyser took the reading."""
    status: str
    """The index in a word, empty without one."""
    anomalies: list[Anomaly]


class Bucket(msgspec.Struct):
    """The numbers of one interval."""

    ts: Time
    """When it begins."""
    n: int
    avg: float
    min: float
    max: float


class SoilReading(Reading):
    """One analysed message of any station."""

    serial: str
    site: str
    """Empty where it is not known."""


class Station(msgspec.Struct):
    """A station and its latest analysed reading, where there is none its latest reading; null or empty before one."""

    serial: str
    label: str | None
    site: str | None
    presence: DerivedPresence
    reason: Reason
    since: Time | None
    last_seen: Time | None
    ts: Time | None
    rx: Time | None
    health_index: float | None
    status: str
    contributions: dict[str, dict[str, Any]]
    """By measure what it gives to the index and costs it, `points` and `lost`, and whatever else its analyser tells.

    The built-in one tells `unit`, `value`, `weight`, and the limits of the site's crop as [low, high]: `optimum`, where
    nothing is lost, `range`, beyond which a value is `out_of_range`, and `plausible`."""
    recommendations: list[str]
    """Sentences: what would raise the index, what costs most first."""
    forecast: list[dict[str, Any]]
    """When which measure will meet which limit, the nearest first."""
    crop: str | None
    """Whose limits those are, where the analyser goes by crops."""
    anomalies: list[Anomaly]
    measures: dict[str, float]


class SoilAnalysis(msgspec.Struct):
    """What a reading says. An analyser may tell more than these fields."""

    id: str
    stored: bool
    duplicate: bool
    """True when the reading was known already."""
    publisher_id: str
    timestamp: Time
    health_index: float | None
    status: str
    contributions: dict[str, dict[str, Any]]
    """As in `Station`."""
    anomalies: list[Anomaly]
    forecast: list[dict[str, Any]]
    """When which measure will meet which limit, the nearest first."""


class SoilStatistics(msgspec.Struct):
    """What came in since the server started."""

    received: int
    processed: int
    """Readings stored that were new."""
    duplicates: int
    failed: int
    by_reason: dict[str, int]
    """The failed by the reason of their dead letter."""
    published: int
    """Analyses published."""
    publishers: int
    """Stations known."""
    last_received: Time | None
    last_processed: Time | None


class Follower(msgspec.Struct):
    """What follows the stored readings."""

    name: str
    cursor: int
    """The last row that it is done with."""
    lag: int
    """Rows behind."""
    written: int
    last_error: str | None
    ok: bool


Readings = Page[Reading]
Buckets = Page[Bucket]
SoilReadings = Page[SoilReading]
Stations = Page[Station]
Followers = Page[Follower]
