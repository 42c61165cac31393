"""How long the commits of the writer take, for the metrics."""

from __future__ import annotations

from bisect import bisect_left

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds by which commits are told apart: from a disk that is idle to one that is not well."""


class CommitTimes:
    """Totals since the process started; written by the writer alone, read by any thread."""

    __slots__ = ("seconds", "within")

    def __init__(self) -> None:
        self.seconds = 0.0
        """Of all commits together."""
        self.within = [0] * (len(BOUNDS) + 1)
        """Commits that took at most each of `BOUNDS` and more than the one before; the last, those that took longer."""

    def took(self, seconds: float) -> None:
        """Note one commit."""
        self.seconds += seconds
        self.within[bisect_left(BOUNDS, seconds)] += 1
