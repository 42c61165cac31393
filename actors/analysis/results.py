"""What an analyser is, and what it says of a reading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from actors.analysis.baseline import Baseline

AnomalyKind = Literal["implausible", "out_of_range", "unusual"]


class Anomaly(msgspec.Struct, frozen=True):
    """One thing that is wrong with one value; the reading is stored all the same."""

    kind: AnomalyKind
    """`implausible`: rather a fault of the sensor than a property of the soil. `out_of_range`: outside what the site
    or its crop asks for. `unusual`: outside what this sensor has told so far."""
    measure: str
    """As it was sent."""
    value: float
    low: float | None
    """The limit on either side that belongs to `kind`; None where there is none."""
    high: float | None
    message: str
    """A plain sentence with the value, its unit and the limits."""
    score: float | None = None
    """`unusual` only: how many spreads (interquartile ranges) the value lies beyond the nearer quartile."""


class Analysis(msgspec.Struct, frozen=True, gc=False):
    """What an analyser says of one reading."""

    health_index: float | None
    """0 to 100 with two decimals; None where nothing in the reading has a weight."""
    status: str
    """The index in a word; empty without an index."""
    anomalies: tuple[Anomaly, ...] = ()


class BeyondPhysicsError(ValueError):
    """A value that cannot be: the reading is refused."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field
        """The measure's name as it was sent."""


@runtime_checkable
class Analyser(Protocol):
    """Makes an `Analysis` of a reading; pure, without memory of its own."""

    name: str
    """Short and stable: it is stored and shown."""

    def takes(self, channel: str, kind: str, names: frozenset[str]) -> bool:
        """Whether this analyser is the one for such readings.

        Args:
            channel: `data` for what sensor stations publish, `reading`, `input` or `output`.
            kind: the kind of the device, `sensor` for stations.
            names: the names of the reading's measures. The answer may be remembered for these three.

        """

    def check(self, measures: Mapping[str, float]) -> None:
        """Refuse what physics excludes.

        Raises:
            BeyondPhysicsError: naming the field, the limit and the unit.

        """

    def analyse(self, measures: Mapping[str, float], baseline: Baseline | None, site: str) -> Analysis:
        """Return index, status and anomalies; called for every reading before it is stored."""

    def explain(self, measures: Mapping[str, float], baseline: Baseline | None, site: str) -> dict[str, Any]:
        """Return what stands behind the analysis as JSON-able values; called for those that are shown."""
