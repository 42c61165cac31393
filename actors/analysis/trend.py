"""Whether a series rises or falls, how fast, and when it meets a limit.

The slope is the median of the slopes between each value and the one half a window later: the incomplete method of Theil
(A rank-invariant method of linear and polynomial regression analysis, 1950), the sparing form of the Theil-Sen
estimator: 30 slopes instead of 1,770 for 60 values, and a quarter of the values may be wrong. The same pairs tell
whether there is a trend at all, by the sign test of Cox and Stuart (Some quick sign tests for trend in location and
dispersion, Biometrika 42, 1955).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from statistics import median
from typing import NamedTuple

import msgspec

from actors.analysis.measures import Measure, quantity
from actors.timestamps import rfc3339

CERTAINTY = 0.99
"""Of the sign test, two-sided."""
DAY = 86_400.0
HORIZON = 7 * DAY
"""Seconds that a forecast looks ahead."""
SHORT_HORIZON = DAY / 4
"""The same for what follows the sun, as long as the series is shorter than a day: what rises
all morning does not rise for a week."""


class Forecast(msgspec.Struct, frozen=True):
    """When a clear trend meets a limit."""

    measure: str
    """As it was sent."""
    limit: float
    at: str
    """RFC 3339, UTC, milliseconds."""
    in_seconds: float
    """From the moment for which it was asked."""
    slope_per_hour: float
    """In units of the measure."""
    message: str
    """A plain sentence."""


class Trend(NamedTuple):
    """A clear trend: at the time `t` the value is `level + slope * (t - at)`."""

    slope: float
    """Units of the measure per second."""
    level: float
    at: float
    """The newest time of the series, in seconds."""
    length: float
    """Seconds from its oldest to its newest value."""


def find_trend(series: Sequence[tuple[float, float]], resolution: float) -> Trend | None:
    """Return the trend of a series, or None when it is not clear.

    Args:
        series: (seconds, value), ascending in time.
        resolution: a change over the whole series that is less than this means nothing.

    """
    half = len(series) // 2
    slopes = [
        (value - before) / (t - t_before)
        for (t_before, before), (t, value) in zip(series[:half], series[len(series) - half :], strict=True)
        if t > t_before
    ]
    if not _is_clear(slopes):
        return None
    slope, at = median(slopes), series[-1][0]
    length = at - series[0][0]
    if abs(slope) * length < resolution:
        return None
    return Trend(slope, median(value + slope * (at - t) for t, value in series), at, length)


def meeting(
    trend: Trend, name: str, measure: Measure | None, limits: tuple[float | None, float | None], now: float
) -> Forecast | None:
    """Return when a trend meets the limit that it approaches, or None when that is past or too far ahead.

    Args:
        trend: of the measure.
        name: of the measure as it was sent.
        measure: None for a measure that is none of ours.
        limits: lower and upper; None for no limit.
        now: seconds since 1970.

    """
    limit = limits[trend.slope > 0]
    level = trend.level + trend.slope * (now - trend.at)
    if limit is None or (level - limit) * trend.slope >= 0:
        return None
    ahead = (limit - level) / trend.slope
    short = measure is not None and measure.follows_the_day and trend.length < DAY
    if ahead > (SHORT_HORIZON if short else HORIZON):
        return None
    unit = measure.unit if measure is not None else ""
    verb = "rises" if trend.slope > 0 else "falls"
    per_hour = trend.slope * 3600
    message = (
        f"{name} {verb} by {quantity(abs(per_hour), unit)} an hour and reaches {quantity(limit, unit)} "
        f"in about {_duration(ahead)} if that goes on."
    )
    at = rfc3339(round((now + ahead) * 1e6))
    return Forecast(name, limit, at, round(ahead, 1), round(per_hour, 6), message)


def _duration(seconds: float) -> str:
    """Return a time to two digits: `40 minutes`, `3.5 hours`, `2 days`."""
    size, unit = next(((s, u) for s, u in ((DAY, "days"), (3600.0, "hours")) if seconds >= 2 * s), (60.0, "minutes"))
    return f"{max(seconds / size, 1):.2g} {unit}"


def _is_clear(slopes: Sequence[float]) -> bool:
    rising = sum(slope > 0 for slope in slopes)
    falling = sum(slope < 0 for slope in slopes)
    return max(rising, falling) >= _least_agreeing(rising + falling)


@cache
def _least_agreeing(signs: int) -> int:
    """Return how many of so many signs must agree, so that chance alone does it in less than 1 - CERTAINTY of cases."""
    tail = 0.0
    for agreeing in range(signs, -1, -1):
        tail += math.comb(signs, agreeing) / 2**signs
        if 2 * tail > 1 - CERTAINTY:
            return agreeing + 1
    return signs + 1
