"""Exponential back-off with full jitter, one pure function used everywhere."""

from __future__ import annotations

import random
from collections.abc import Callable

MAX_EXPONENT = 30
"""Beyond this the cap has long been reached; the bound keeps the arithmetic finite after years of retries."""


def compute_backoff(
    attempt: int,
    *,
    base: float = 0.1,
    cap: float = 10.0,
    floor: float = 0.0,
    rng: Callable[[], float] = random.random,
) -> float:
    """Return how long to wait before retry number `attempt`.

    Full jitter: uniform between `floor` and `min(cap, base * 2**attempt)`, so that a fleet that failed together does
    not return together (Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).

    Args:
        attempt: failures so far, from 0.
        base: upper bound of the first wait, seconds.
        cap: upper bound of every wait, seconds.
        floor: lower bound of every wait, seconds.
        rng: uniform in [0, 1).

    """
    ceiling = min(cap, base * 2.0 ** min(max(attempt, 0), MAX_EXPONENT))
    return max(floor, floor + (ceiling - floor) * rng())
