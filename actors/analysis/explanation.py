"""What stands behind an analysis, as JSON-able values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from actors.analysis.baseline import Baseline
from actors.analysis.crops import Range, score
from actors.analysis.measures import quantity, span
from actors.analysis.plan import Part
from actors.analysis.trend import Forecast

_ADVICE = {
    "N": ("nitrogen fertiliser, manure or a legume raises it", "leave out nitrogen: what is not taken up leaches"),
    "P": ("phosphate fertiliser or compost raises it", "leave out phosphate: it harms waters and blocks zinc"),
    "K": ("potash fertiliser or compost raises it", "leave out potash: it displaces magnesium"),
    "CO2": (
        "there is little life in the soil: organic matter feeds it",
        "air reaches the roots badly: loosen or drain",
    ),
    "Temperature": ("wait with sowing, or mulch to keep it warm", "shade, mulch or water cools it"),
    "Moisture": ("irrigate", "drain, and do not irrigate"),
    "pH": ("lime raises it", "elemental sulphur or acidifying fertiliser lowers it"),
}
"""By measure: what helps where it is too low, and where it is too high."""


def explained(parts: Sequence[Part], measures: Mapping[str, float], baseline: Baseline | None) -> dict[str, Any]:
    """Return `contributions`, `usual`, `forecast` and `recommendations`."""
    return {
        "contributions": {
            part.name: _contribution(part, part.range, measures[part.name]) for part in parts if part.range is not None
        },
        "usual": dict(_usual(parts, baseline)),
        "forecast": [msgspec.to_builtins(forecast) for forecast in forecasts(parts, baseline)],
        "recommendations": list(_recommendations(parts, measures)),
    }


def forecasts(parts: Sequence[Part], baseline: Baseline | None) -> list[Forecast]:
    """Return when measures will meet the limits of their site or crop, the nearest first."""
    if baseline is None:
        return []
    found = (baseline.forecast(part.name, *part.asked) for part in parts if part.range is not None)
    return sorted((forecast for forecast in found if forecast is not None), key=lambda found: found.in_seconds)


def _contribution(part: Part, limits: Range, value: float) -> dict[str, Any]:
    assert part.measure is not None, "a measure with a range is one of ours"
    reached, points = score(value, limits), 100 * part.weight
    return {
        "measure": part.measure.name,
        "unit": part.measure.unit,
        "value": value,
        "score": round(reached, 4),
        "weight": round(part.weight, 4),
        "points": round(points * reached, 4),
        "lost": round(points * (1 - reached), 4),
        "optimum": limits[1:3],
        "range": part.asked,
        "plausible": part.plausible,
    }


def _usual(parts: Sequence[Part], baseline: Baseline | None) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in parts if baseline is not None else ():
        assert baseline is not None
        usual = baseline.usual(part.name)
        if usual is not None:
            low, high = (round(fence, 4) for fence in usual.fences)
            yield part.name, {"median": round(usual.median, 4), "low": low, "high": high, "n": usual.n}


def _recommendations(parts: Sequence[Part], measures: Mapping[str, float]) -> Iterator[str]:
    """Yield what would raise the index, what costs most points first; nothing on values that are not plausible."""
    lacking = []
    for part in parts:
        value = measures[part.name]
        if part.range is not None and part.plausible[0] <= value <= part.plausible[1]:
            lost = part.weight * (1 - score(value, part.range))
            if lost > 0:
                lacking.append((lost, part, part.range, value))
    for _, part, (_, low, high, _), value in sorted(lacking, key=lambda found: -found[0]):
        assert part.measure is not None
        name, unit = part.measure.name, part.measure.unit
        where = "below" if value < low else "above"
        advice = _ADVICE[name][value > high]
        yield f"{part.name} is {quantity(value, unit)}, {where} the optimum of {span(low, high, unit)}: {advice}."
