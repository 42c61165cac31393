r"""An analyser for air-quality stations, as a plug-in: PM2.5 and PM10 in ug/m3, NO2 and O3 in ppb, CO2 in ppm.

It is installed beside Muster as a package of its own, whose `pyproject.toml` says

    [project]
    name = "muster-air-quality"
    version = "1.0"
    dependencies = ["muster-fleet"]

    [tool.setuptools]
    py-modules = ["air_quality"]

    [project.entry-points."muster.analysers"]
    air = "air_quality:AirAnalyser"

and is loaded when the server starts next. A station then publishes like any other:

    mosquitto_pub -t harit-samarth/sensor/data -q 1 \
        -m '{"publisher_id": "roof-1", "sensor_readings": {"PM2.5": 12, "O3": 31}}'

Index: the US EPA's Air Quality Index runs from 0 (best) to 500; Muster's runs from 100 (best) to 0. The category
decides: 100 to 80 is the EPA's Good, 80 to 65 Moderate, 65 to 50 Unhealthy for Sensitive Groups, 50 to 30 Unhealthy,
and 30 to 0 all that is worse, so that `status` says Excellent, Good, Fair, Poor and Critical for these. The worst
pollutant counts, as it does for the EPA.

Sources: US EPA, Technical Assistance Document for the Reporting of Daily Air Quality, EPA-454/B-24-002, May 2024, table
6; WHO global air quality guidelines, 2021 (24-hour and, for O3, 8-hour means; ug/m3 at 20 degrees C to ppb: NO2 / 1.91,
O3 / 2.00). Both are for means over hours, so a single reading is only an indication.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from actors.analysis import Analysis, Anomaly, Baseline, BeyondPhysicsError, status_of

AQI = (0.0, 50.0, 100.0, 150.0, 200.0, 300.0, 500.0)
INDEX = (100.0, 80.0, 65.0, 50.0, 30.0, 15.0, 0.0)
"""What the index is at each of these."""
BREAKPOINTS = {
    "PM2.5": (0.0, 9.0, 35.4, 55.4, 125.4, 225.4, 325.4),
    "PM10": (0.0, 54.0, 154.0, 254.0, 354.0, 424.0, 604.0),
    "NO2": (0.0, 53.0, 100.0, 360.0, 649.0, 1249.0, 2049.0),
    "O3": (0.0, 54.0, 70.0, 85.0, 105.0, 200.0, 604.0),
}
"""Concentrations at which the AQI has those values. O3 is the 8-hour index; beyond 200 ppb the 1-hour one."""
WHO = {"PM2.5": 15.0, "PM10": 45.0, "NO2": 13.1, "O3": 50.0}
"""Guideline levels for short exposure."""
UNITS = {"PM2.5": "ug/m3", "PM10": "ug/m3", "NO2": "ppb", "O3": "ppb", "CO2": "ppm"}
CEILINGS = {"PM2.5": 1e9, "PM10": 1e9, "NO2": 1e9, "O3": 1e9, "CO2": 1e6}
"""A cubic metre of air weighs about 1e9 ug; no share exceeds the whole."""
PLAUSIBLE_CO2 = (350.0, 5000.0)
"""The air outside never has less; above 5000 ppm a workplace is not allowed (EU directive 2006/15/EC)."""


class AirAnalyser:
    """Index, guideline levels and what is unusual for the station."""

    name = "air"

    def takes(self, channel: str, kind: str, names: frozenset[str]) -> bool:
        """Whether a station publishes at least one pollutant that has an index."""
        return channel == "data" and kind == "sensor" and not names.isdisjoint(BREAKPOINTS)

    def check(self, measures: Mapping[str, float]) -> None:
        """Refuse shares of the air below nothing and above all of it.

        Raises:
            BeyondPhysicsError: naming the field.

        """
        for name, value in measures.items():
            ceiling = CEILINGS.get(name)
            if ceiling is not None and not 0 <= value <= ceiling:
                raise BeyondPhysicsError(name, f"`{name}` is {value:g}, but can only be 0 to {ceiling:g} {UNITS[name]}")

    def analyse(self, measures: Mapping[str, float], baseline: Baseline | None, site: str) -> Analysis:  # noqa: ARG002 - all sites are judged alike
        """Return the index of the worst pollutant."""
        index = min(indices(measures).values(), default=None)
        return Analysis(index, status_of(index), tuple(anomalies(measures, baseline)))

    def explain(self, measures: Mapping[str, float], baseline: Baseline | None, site: str) -> dict[str, Any]:  # noqa: ARG002 - as above
        """Return each pollutant's index, which of them counts, and when a trend meets its guideline level."""
        found = indices(measures)
        forecasts = [baseline.forecast(name, None, WHO[name]) for name in found] if baseline is not None else []
        return {
            "contributions": {
                name: {"value": measures[name], "unit": UNITS[name], "index": index, "guideline": WHO[name]}
                for name, index in found.items()
            },
            "worst": min(found, key=found.__getitem__, default=""),
            "forecast": [msgspec.to_builtins(forecast) for forecast in forecasts if forecast is not None],
        }


def indices(measures: Mapping[str, float]) -> dict[str, float]:
    """Return Muster's index, 100 to 0, of every pollutant that has one."""
    return {
        name: round(between(measures[name], limits, INDEX), 2)
        for name, limits in BREAKPOINTS.items()
        if name in measures
    }


def between(value: float, points: tuple[float, ...], results: tuple[float, ...]) -> float:
    """Return the piecewise linear function through (points, results); the last result beyond the last point."""
    if value >= points[-1]:
        return results[-1]
    right = max(bisect_left(points, value), 1)
    share = (value - points[right - 1]) / (points[right] - points[right - 1])
    return results[right - 1] + share * (results[right] - results[right - 1])


def anomalies(measures: Mapping[str, float], baseline: Baseline | None) -> Iterator[Anomaly]:
    """Yield what is wrong: CO2 that cannot be, more than the guideline level, and what this station never told."""
    low, high = PLAUSIBLE_CO2
    if not low <= measures.get("CO2", low) <= high:
        message = f"CO2 is {measures['CO2']:g} ppm, outside the plausible {low:g} to {high:g} ppm."
        yield Anomaly("implausible", "CO2", measures["CO2"], low, high, message)
    for name, value in measures.items():
        unit, level = UNITS.get(name, ""), WHO.get(name)
        if level is not None and value > level:
            message = f"{name} is {value:g} {unit}, above the guideline level of the WHO, {level:g} {unit}."
            yield Anomaly("out_of_range", name, value, None, level, message)
        fences = baseline.fences(name) if baseline is not None else None
        if fences is not None and not fences[0] <= value <= fences[1]:
            usual = f"{fences[0]:.4g} to {fences[1]:.4g} {unit}".rstrip()
            message = f"{name} is {value:g} {unit}, unusual for this station, which is used to {usual}."
            yield Anomaly("unusual", name, value, *fences, message)
