"""What is known of a reading before it comes: a station sends the same names every time, so they are looked up once."""

from __future__ import annotations

import math
from typing import NamedTuple

from actors.analysis.crops import Range
from actors.analysis.measures import Measure, resolve
from actors.analysis.settings import Limits, SoilSettings

_ANY: Limits = (-math.inf, math.inf)
Step = tuple[str, float, float, float, float, float, float, float, float, float]
"""Name; the crop's range of four; index points for each unit above `low` and below `high`, and in the optimum; the
least and the greatest value that is no anomaly."""


class Part(NamedTuple):
    """What is known of one measure."""

    name: str
    """As it is sent."""
    measure: Measure | None
    """None for a name that is none of ours."""
    weight: float
    """Its share of the index, 0 to 1."""
    range: Range | None
    """What the crop asks for; None where it asks for nothing."""
    plausible: Limits
    asked: Limits
    """The limits of `out_of_range`."""
    whose: str
    """Whose limits those are: `site field-7` or `crop maize`."""


class Plan(NamedTuple):
    """What is known of all readings with the same names from one site."""

    parts: tuple[Part, ...]
    """In the order of the names."""
    steps: tuple[Step, ...]
    """The same for the hot path."""
    is_indexed: bool
    """Whether any measure has a weight."""


class Tables:
    """The settings, looked through once."""

    def __init__(self, settings: SoilSettings) -> None:
        self.settings = settings
        self.crops = settings.crops_by_name()
        self.weights = settings.weight_by_measure()
        self.plausible = settings.plausible_by_measure()


def make_plan(tables: Tables, site: str, names: tuple[str, ...]) -> Plan:
    """Return the plan for readings with these names, in this order; weights are shared out over those present."""
    crop_name = tables.settings.crop_of(site)
    crop, own = tables.crops[crop_name], tables.settings.range_of(site)
    known = resolve(names)
    total = sum(tables.weights.get(measure.name, 0.0) for measure in known.values())
    parts = []
    for name in names:
        measure = known.get(name)
        if measure is None:
            parts.append(Part(name, None, 0.0, None, _ANY, _ANY, ""))
            continue
        key, limits = measure.name, crop[measure.name]
        weight = tables.weights.get(key, 0.0) / total if total else 0.0
        asked, whose = (own[key], f"site {site}") if key in own else ((limits[0], limits[3]), f"crop {crop_name}")
        parts.append(Part(name, measure, weight, limits, tables.plausible[key], asked, whose))
    return Plan(tuple(parts), tuple(_step(part) for part in parts), total > 0)


def _step(part: Part) -> Step:
    least, greatest = max(part.plausible[0], part.asked[0]), min(part.plausible[1], part.asked[1])
    if part.range is None:
        return (part.name, -math.inf, -math.inf, math.inf, math.inf, 0.0, 0.0, 0.0, least, greatest)
    low, optimum_low, optimum_high, high = part.range
    points = 100 * part.weight
    rise, fall = points / (optimum_low - low), points / (high - optimum_high)
    return (part.name, low, optimum_low, optimum_high, high, rise, fall, points, least, greatest)
