"""How long commits take, as the metrics count them."""

from __future__ import annotations

from actors.commit_times import BOUNDS, CommitTimes


def test_a_commit_counts_where_it_belongs_and_a_bound_belongs_to_what_is_below():
    times = CommitTimes()
    for seconds in (0.0, BOUNDS[0], 0.002, BOUNDS[-1], 60.0):
        times.took(seconds)
    assert times.within[0] == 2
    assert times.within[1] == 1
    assert times.within[-2:] == [1, 1]
    assert sum(times.within) == 5
    assert times.seconds == 60.0 + BOUNDS[-1] + BOUNDS[0] + 0.002
