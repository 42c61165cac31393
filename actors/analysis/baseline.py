"""What is usual for one sensor: robust statistics over its last values, measure by measure.

The fences are Tukey's outer ones, beyond which a value is "far out" (Exploratory Data Analysis, 1977, chapter 2): three
interquartile ranges beyond the quartiles. A quarter of the window may be wrong without moving a quartile, and a lasting
change becomes usual once it fills a quarter. Of normally distributed values about one in half a million is far out.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from actors.analysis.measures import Measure, find_measure
from actors.analysis.trend import Forecast, find_trend, meeting

WINDOW = 60
"""Values of each measure."""
WARM_UP = 20
"""Values before anything is called unusual."""
SPACING_US = 10_000_000
"""A burst of messages must not define what is usual: values closer together than this do not count."""
FAR_OUT = 3.0
"""Tukey's factor for the outer fences."""
MOST_MEASURES = 32
"""Measures of one sensor that have a window; further ones are never unusual."""
RELATIVE_RESOLUTION = 0.01
"""Of the median: the least spread of a measure that is none of ours."""
_LAST = WINDOW - 1
_NEVER = -(1 << 62)


class Usual(NamedTuple):
    """What is usual for one measure of a sensor."""

    median: float
    q1: float
    q3: float
    spread: float
    """The interquartile range, or the measure's resolution where that is more: a constant signal has no spread, and
    noise of the last digit is not unusual."""
    n: int
    """Values that this rests on."""

    @property
    def fences(self) -> tuple[float, float]:
        """Return the values beyond which one is far out."""
        return self.q1 - FAR_OUT * self.spread, self.q3 + FAR_OUT * self.spread


class _Window:
    """The last values of one measure: as a ring in the order of arrival, and sorted."""

    __slots__ = ("least_reach", "measure", "oldest", "ordered", "times", "values")

    def __init__(self, measure: Measure | None) -> None:
        self.measure = measure
        self.values: list[float] = []
        self.times = array("q")
        # Lists, which share their numbers: arrays take 14 KB instead of 20, and two thirds more time for each value.
        self.ordered: list[float] = []
        self.oldest = 0
        """Index of the oldest value once the ring is full."""
        self.least_reach = 0.0
        """What the fences are at least away from the quartiles."""

    def resolution(self) -> float:
        if self.measure is not None:
            return self.measure.resolution
        return abs(_quantile(self.ordered, 0.5)) * RELATIVE_RESOLUTION

    def usual(self) -> Usual:
        q1, median, q3 = (_quantile(self.ordered, part) for part in (0.25, 0.5, 0.75))
        return Usual(median, q1, q3, max(q3 - q1, self.resolution()), len(self.ordered))

    def put(self, ts_us: int, value: float) -> None:
        """Take a value while the ring is not full."""
        self.values.append(value)
        self.times.append(ts_us)
        insort(self.ordered, value)
        self.turn()

    def turn(self) -> int:
        """Begin another turn of the ring, and see how fine the measure is by now; return the first index."""
        self.least_reach = FAR_OUT * self.resolution()
        return 0

    def series(self) -> list[tuple[float, float]]:
        """Return (seconds, value), ascending in time."""
        return sorted((ts_us / 1e6, value) for ts_us, value in zip(self.times, self.values, strict=True))


class Baseline:
    """Robust online statistics of one sensor.

    Memory: 3 KB for each measure once its window is full, 20 KB for a station of seven measures. Used by one thread.
    """

    __slots__ = ("_counted_us", "_newest_us", "_windows", "fences_by_name")

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}
        self.fences_by_name: dict[str, tuple[float, float]] = {}
        """What `fences` answers, for who asks for many; only to be read."""
        self._counted_us = _NEVER
        self._newest_us = _NEVER

    @classmethod
    def from_history(cls, rows: Iterable[tuple[int, Mapping[str, float]]]) -> Baseline:
        """Return the baseline of stored readings: (microseconds, measures), oldest first."""
        baseline = cls()
        for ts_us, measures in rows:
            baseline.add(ts_us, measures)
        return baseline

    def is_due(self, ts_us: int) -> bool:
        """Whether a reading of this time would count: it is ten seconds or more away from the one that counted last.

        A late reading counts like any other; in the trend it stands where its time puts it.
        """
        return not -SPACING_US < ts_us - self._counted_us < SPACING_US

    def add(self, ts_us: int, measures: Mapping[str, float]) -> None:
        """Take the values of a committed reading.

        Args:
            ts_us: the reading's own time, in microseconds.
            measures: finite numbers by the names that were sent.

        """
        if -SPACING_US < ts_us - self._counted_us < SPACING_US:
            return
        self._counted_us = ts_us
        self._newest_us = max(self._newest_us, ts_us)
        windows, fences = self._windows, self.fences_by_name
        for name, value in measures.items():
            window = windows.get(name)
            if window is None or len(window.values) < WINDOW:
                self._warm_up(name, ts_us, value)
                continue
            # Written out: a call for each of these steps would double the cost of the common case.
            oldest, values, ordered = window.oldest, window.values, window.ordered
            del ordered[bisect_left(ordered, values[oldest])]
            insort(ordered, value)
            values[oldest] = value
            window.times[oldest] = ts_us
            window.oldest = oldest + 1 if oldest < _LAST else window.turn()
            q1 = 0.25 * ordered[14] + 0.75 * ordered[15]
            q3 = 0.75 * ordered[44] + 0.25 * ordered[45]
            reach = FAR_OUT * (q3 - q1)
            if reach < window.least_reach:  # noqa: PLR1730 - calling `max` costs more than all the arithmetic here
                reach = window.least_reach
            fences[name] = (q1 - reach, q3 + reach)

    def fences(self, measure: str) -> tuple[float, float] | None:
        """Return the limits of what is usual for a measure as it was sent; None while it warms up."""
        return self.fences_by_name.get(measure)

    def usual(self, measure: str) -> Usual | None:
        """Return what the fences of a measure rest on; None while it warms up."""
        return self._windows[measure].usual() if measure in self.fences_by_name else None

    def forecast(
        self, measure: str, low: float | None, high: float | None, now_us: int | None = None
    ) -> Forecast | None:
        """Return when the trend of a measure meets a limit.

        None while the measure warms up, without a clear trend, when the value is beyond the limit already, and when
        the limit is too far ahead (`actors.analysis.trend.HORIZON`).

        Args:
            measure: as it was sent.
            low: what a falling trend would meet; None for no limit.
            high: what a rising trend would meet.
            now_us: from when to look ahead, in microseconds; the time of the newest reading if not given.

        """
        if measure not in self.fences_by_name:
            return None
        window = self._windows[measure]
        series = window.series()
        trend = find_trend(series, window.resolution())
        if trend is None:
            return None
        now = (self._newest_us if now_us is None else now_us) / 1e6
        return meeting(trend, measure, window.measure, (low, high), now)

    def _warm_up(self, name: str, ts_us: int, value: float) -> None:
        window = self._windows.get(name)
        if window is None:
            if len(self._windows) >= MOST_MEASURES:
                return
            window = self._windows[name] = _Window(find_measure(name))
        window.put(ts_us, value)
        if len(window.values) >= WARM_UP:
            self.fences_by_name[name] = window.usual().fences


def _quantile(ordered: Sequence[float], part: float) -> float:
    """Return a quantile of sorted values, interpolated between neighbours (Hyndman and Fan's type 7)."""
    position = (len(ordered) - 1) * part
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])
