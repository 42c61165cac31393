"""The built-in analyser: a Soil Health Index from 0 to 100, and what is anomalous in a reading.

The index is 100 times the weighted mean of the scores of the measures that are present (`actors.analysis.crops`). The
weights of absent measures are shared out over the others in proportion: a station with few probes is judged by those.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from operator import ge, le
from typing import Any

from actors.analysis.anomalies import anomalies_of, beyond_physics
from actors.analysis.baseline import Baseline
from actors.analysis.explanation import explained
from actors.analysis.measures import hard_limits, resolve
from actors.analysis.plan import Plan, Tables, make_plan
from actors.analysis.results import Analysis
from actors.analysis.settings import SoilSettings

STATUSES = ((0.0, "Critical"), (30.0, "Poor"), (50.0, "Fair"), (65.0, "Good"), (80.0, "Excellent"))
"""From which index on a status holds."""
MOST_PLANS = 1_024
"""Sets of names that are remembered; a sender that invents names would have any number."""
_FROM = tuple(least for least, _ in STATUSES[1:])
_WORDS = tuple(word for _, word in STATUSES)
_WEATHER = frozenset({"Temperature", "CO2"})
"""What stations that are none of the soil's send too."""
_LETTERS = frozenset({"N", "P", "K"})


def status_of(index: float | None) -> str:
    """Return the index in a word; empty for None."""
    return "" if index is None else _WORDS[bisect_right(_FROM, index)]


class SoilAnalyser:
    """Analyses the readings of soil stations; pure but for what it remembers of names and settings."""

    name = "soil"

    def __init__(self, settings: SoilSettings | None = None) -> None:
        self.settings = settings or SoilSettings()
        self._tables = Tables(self.settings)
        self._plans: dict[tuple[str, ...], Plan] = {}
        self._hard: dict[tuple[str, ...], tuple[tuple[float, ...], tuple[float, ...]]] = {}

    def takes(self, channel: str, kind: str, names: frozenset[str]) -> bool:
        """Whether these are readings of the soil.

        On channel `data` one measure with a weight is enough, as long as a reading that shares only temperature or CO2
        with the soil has nothing else in it: that is another kind of station. On channel `reading`, where any device
        may send anything, there must be two, and not only such as weather stations have, or a lone letter.
        """
        found = {measure.name for measure in resolve(names).values() if measure.name in self._tables.weights}
        if channel == "data":
            return kind == "sensor" and bool(found) and (not found <= _WEATHER or len(names) == len(found))
        own = found - _WEATHER
        return channel == "reading" and len(found) >= 2 and (len(own) >= 2 or not own <= _LETTERS)

    def check(self, measures: Mapping[str, float]) -> None:
        """Refuse what physics excludes.

        Raises:
            BeyondPhysicsError: naming the field as it was sent, the limits and the unit.

        """
        names = tuple(measures)
        limits = self._hard.get(names) or self._remember_limits(names)
        lows, highs = limits
        values = measures.values()
        if all(map(le, lows, values)) and all(map(ge, highs, values)):  # written so for speed: all of it runs in C
            return
        for name, low, high, value in zip(names, lows, highs, values, strict=True):
            if not low <= value <= high:
                raise beyond_physics(name, value)

    def analyse(self, measures: Mapping[str, float], baseline: Baseline | None, site: str) -> Analysis:
        """Return index, status and anomalies."""
        plan = self._plans.get((site, *measures)) or self._plan(site, tuple(measures))
        fences = baseline.fences_by_name if baseline is not None else {}
        points = 0.0
        is_odd = False
        for step, value in zip(plan.steps, measures.values(), strict=True):
            name, low, optimum_low, optimum_high, high, rise, fall, full, least, greatest = step
            if value < optimum_low:
                if value > low:
                    points += (value - low) * rise
            elif value > optimum_high:
                if value < high:
                    points += (high - value) * fall
            else:
                points += full
            if value < least or value > greatest:
                is_odd = True
            elif name in fences:
                fence = fences[name]
                if value < fence[0] or value > fence[1]:
                    is_odd = True
        index = round(points, 2) if plan.is_indexed else None
        anomalies = anomalies_of(plan.parts, measures, baseline) if is_odd else ()
        return Analysis(index, status_of(index), anomalies)

    def explain(self, measures: Mapping[str, float], baseline: Baseline | None, site: str) -> dict[str, Any]:
        """Return the crop, what each measure contributes, what is usual, forecasts and advice; JSON-able."""
        plan = self._plan(site, tuple(measures))
        return {"site": site, "crop": self.settings.crop_of(site), **explained(plan.parts, measures, baseline)}

    def _plan(self, site: str, names: tuple[str, ...]) -> Plan:
        key = (site, *names)
        found = self._plans.get(key)
        if found is None:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            found = self._plans[key] = make_plan(self._tables, site, names)
        return found

    def _remember_limits(self, names: tuple[str, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        if len(self._hard) >= MOST_PLANS:
            self._hard.clear()
        limits = [hard_limits(name) for name in names]
        found = self._hard[names] = tuple(low for low, _ in limits), tuple(high for _, high in limits)
        return found
