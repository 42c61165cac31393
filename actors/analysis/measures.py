"""The measures that a soil station sends: names, units, what physics allows and what is plausible.

Hard limits are those of the quantity itself: beyond them a value is no measurement, and the reading is refused.
Plausible limits are those of soils: beyond them a value is stored and flagged, since it is rather a fault of the probe.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple


class Measure(NamedTuple):
    """One quantity."""

    name: str
    """The name it has in settings and results."""
    unit: str
    title: str
    """As it stands in a sentence."""
    aliases: tuple[str, ...]
    """Other names, in lower case with `_` between words."""
    hard: tuple[float, float]
    plausible: tuple[float, float]
    resolution: float
    """The least spread of values that means anything: what common field probes repeat to."""
    follows_the_day: bool = False
    """Whether it rises and falls with the sun."""


MEASURES = (
    Measure("N", "mg/kg", "nitrogen", ("nitrogen", "soil_n", "soil_nitrogen"), (0, 1e6), (0, 500), 2.0),
    Measure("P", "mg/kg", "phosphorus", ("phosphorus", "soil_p", "soil_phosphorus"), (0, 1e6), (0, 500), 2.0),
    Measure("K", "mg/kg", "potassium", ("potassium", "soil_k", "soil_potassium"), (0, 1e6), (0, 2000), 4.0),
    Measure("CO2", "ppm", "CO2", ("carbon_dioxide", "soil_co2"), (0, 1e6), (250, 100_000), 20.0, follows_the_day=True),
    Measure(
        "Temperature",
        "degrees C",
        "temperature",
        ("temp", "soil_temperature", "soil_temp", "t_soil"),
        (-273.15, 100),
        (-30, 60),
        0.4,
        follows_the_day=True,
    ),
    Measure("Moisture", "%", "moisture", ("soil_moisture", "vwc", "soil_vwc", "water_content"), (0, 100), (5, 70), 1.0),
    Measure("pH", "", "pH", ("soil_ph", "acidity"), (0, 14), (4, 10), 0.1),
)
"""Sources of the limits.

Hard: a share of mass or volume cannot exceed the whole (1,000,000 mg/kg or ppm, 100 %); absolute zero, and 100 degrees
C at which the water in the soil boils; the pH scale from 0 to 14.

Plausible: CO2 in soil air lies between that of the atmosphere and about a hundred times it, hardly ever above 10 %
(Hillel, Environmental Soil Physics, 1998), and canopies lower the air's to 250 ppm at most; moisture: below 5 % even
sand is near its wilting point (FAO Irrigation and Drainage Paper 56, table 19), above 70 % there is more water than
mineral soils have pores; pH: below 4 only acid sulphate soils, above 10 only the strongest sodic ones (USDA Soil Survey
Manual, chapter 3, classes of reaction); N, P, K: the upper end of what field probes and soil tests report.
"""

KNOWN = tuple(measure.name for measure in MEASURES)

_BY_ALIAS = {alias: measure for measure in MEASURES for alias in (measure.name.lower(), *measure.aliases)}


def find_measure(name: str) -> Measure | None:
    """Return the measure that a sender's name means, whatever its case; None for names that are none of ours."""
    return _BY_ALIAS.get(name.strip().lower().replace(" ", "_").replace("-", "_"))


def hard_limits(name: str) -> tuple[float, float]:
    """Return what physics allows for a measure as it was sent; nothing is known of those that are none of ours."""
    measure = find_measure(name)
    return measure.hard if measure is not None else (-math.inf, math.inf)


def resolve(names: Iterable[str]) -> dict[str, Measure]:
    """Return the measures of a reading by the names that were sent.

    When two names mean one measure, the measure's own name counts, else the first in the alphabet; so the order in
    which a sender writes its fields never matters.
    """
    found: dict[str, tuple[str, Measure]] = {}
    for name in sorted(names):
        measure = find_measure(name)
        if measure is not None and (measure.name not in found or name == measure.name):
            found[measure.name] = (name, measure)
    return dict(found.values())


def quantity(value: float, unit: str = "") -> str:
    """Return a number of at most four significant digits where it is small, with its unit: `3.2 %`."""
    text = f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{text} {unit}" if unit else text


def span(low: float, high: float, unit: str = "") -> str:
    """Return `6 to 7`, or `20 to 40 %` with a unit."""
    return f"{quantity(low)} to {quantity(high, unit)}"
