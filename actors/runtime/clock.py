"""Time, passed in: the system's clock and one that tests move by hand."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two faces of time, both in seconds."""

    def monotonic(self) -> float:
        """Seconds that never step back; deadlines are made of these."""
        ...

    def time(self) -> float:
        """Seconds since 1970 UTC; rows and people read these."""
        ...


class SystemClock:
    """The machine's own clock."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)


class ManualClock:
    """A clock that stands still until it is advanced."""

    def __init__(self, *, monotonic: float = 1_000.0, time: float = 1_760_000_000.0) -> None:
        self._monotonic = monotonic
        self._time = time

    def monotonic(self) -> float:
        """Return the virtual monotonic time, seconds."""
        return self._monotonic

    def time(self) -> float:
        """Return the virtual wall clock, seconds since 1970 UTC."""
        return self._time

    def advance(self, seconds: float) -> None:
        """Move both faces forward.

        Raises:
            ValueError: if `seconds` is negative; monotonic time does not run back.

        """
        if seconds < 0:
            raise ValueError(f"time does not run back: {seconds}")
        self._monotonic += seconds
        self._time += seconds

    def step_wall_clock(self, seconds: float) -> None:
        """Move the wall clock alone, as NTP or an operator does."""
        self._time += seconds
