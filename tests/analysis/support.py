"""Readings and histories that the tests of the analysis share."""

from __future__ import annotations

import random
from collections.abc import Mapping

from actors.analysis import Baseline

MINUTE_US = 60_000_000
START_US = 1_790_000_000_000_000
GOOD = {"N": 41, "P": 32, "K": 180, "CO2": 620, "Temperature": 21.5, "Moisture": 33, "pH": 6.4}
"""Every measure in the optimum of every crop but rice."""


def noisy(usual: Mapping[str, float], count: int, *, share: float = 0.005, seed: int = 1) -> list[dict[str, float]]:
    """Return readings around usual values, with normally distributed noise."""
    draw = random.Random(seed)
    return [{name: draw.gauss(value, abs(value) * share) for name, value in usual.items()} for _ in range(count)]


def minutely(samples: list[dict[str, float]]) -> Baseline:
    """Return the baseline of a reading each minute."""
    return Baseline.from_history((START_US + n * MINUTE_US, sample) for n, sample in enumerate(samples))


def series(name: str, values: list[float]) -> Baseline:
    """Return the baseline of one measure."""
    return minutely([{name: value} for value in values])
