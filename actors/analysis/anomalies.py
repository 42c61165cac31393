"""What is wrong with the values of a reading, each in a plain sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from actors.analysis.baseline import Baseline, Usual
from actors.analysis.measures import find_measure, quantity, span
from actors.analysis.plan import Part
from actors.analysis.results import Anomaly, BeyondPhysicsError


def anomalies_of(
    parts: Sequence[Part], measures: Mapping[str, float], baseline: Baseline | None
) -> tuple[Anomaly, ...]:
    """Return all anomalies, in the order of the measures; one value may be anomalous in several ways."""
    return tuple(found for part in parts for found in _of_one(part, measures[part.name], baseline))


def beyond_physics(name: str, value: float) -> BeyondPhysicsError:
    """Return the refusal of a value that cannot be."""
    measure = find_measure(name)
    assert measure is not None, "only measures of ours have such limits"
    limits = span(*measure.hard, measure.unit)
    return BeyondPhysicsError(
        name, f"`{name}` is {quantity(value, measure.unit)}, but {measure.title} can only be {limits}"
    )


def _of_one(part: Part, value: float, baseline: Baseline | None) -> Iterator[Anomaly]:
    unit = part.measure.unit if part.measure is not None else ""
    is_what = f"{part.name} is {quantity(value, unit)}"
    low, high = part.plausible
    if not low <= value <= high:
        message = (
            f"{is_what}, outside the plausible {span(low, high, unit)}: rather a fault of the probe than of the soil."
        )
        yield Anomaly("implausible", part.name, value, low, high, message)
    low, high = part.asked
    if not low <= value <= high:
        message = f"{is_what}, outside the range of {part.whose}, {span(low, high, unit)}."
        yield Anomaly("out_of_range", part.name, value, low, high, message)
    usual = baseline.usual(part.name) if baseline is not None else None
    if usual is not None and not usual.fences[0] <= value <= usual.fences[1]:
        yield _unusual(part.name, value, unit, usual)


def _unusual(name: str, value: float, unit: str, usual: Usual) -> Anomaly:
    low, high = usual.fences
    beyond = usual.q1 - value if value < low else value - usual.q3
    message = (
        f"{name} is {quantity(value, unit)}, unusual for this sensor: its last {usual.n} values have the median "
        f"{quantity(usual.median, unit)}, and all but freak ones lie in {span(low, high, unit)}."
    )
    return Anomaly("unusual", name, value, low, high, message, round(beyond / usual.spread, 2))
