"""Back-off: within its bounds for every attempt, spread over all of them."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from actors.runtime import compute_backoff

SECONDS = st.floats(0.001, 1_000)


@given(st.integers(0, 10**9), SECONDS, SECONDS, st.floats(0, 1, exclude_max=True))
def test_a_wait_is_between_nothing_and_its_ceiling(attempt, base, cap, drawn):
    wait = compute_backoff(attempt, base=base, cap=cap, rng=lambda: drawn)

    assert 0.0 <= wait <= cap
    assert wait <= base * 2.0 ** min(attempt, 60)


@given(st.integers(-5, 10**9), st.floats(0, 1, exclude_max=True), SECONDS)
def test_a_wait_is_never_below_its_floor(attempt, drawn, floor):
    assert compute_backoff(attempt, floor=floor, rng=lambda: drawn) >= floor


def test_the_ceiling_doubles_up_to_the_cap():
    ceilings = [compute_backoff(attempt, base=0.1, cap=10.0, rng=lambda: 1.0) for attempt in range(9)]

    assert ceilings == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


def test_waits_are_spread_over_the_whole_range():
    rng = random.Random(1).random
    waits = [compute_backoff(20, cap=10.0, rng=rng) for _ in range(1_000)]

    assert min(waits) < 0.5
    assert max(waits) > 9.5
    assert 4.0 < sum(waits) / len(waits) < 6.0
