"""Restart intensity: how many restarts within which time are still healing, and when it is time to escalate."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from supervisor.errors import InvalidSpecError


@dataclass(frozen=True, slots=True)
class Intensity:
    """At most `restarts` within `within` seconds; one more exceeds it (OTP's `intensity` and `period`)."""

    restarts: int = 5
    within: float = 60.0
    """Seconds; a restart older than this is forgotten."""

    def __post_init__(self) -> None:
        if isinstance(self.restarts, bool) or not isinstance(self.restarts, int) or self.restarts < 0:
            raise InvalidSpecError(f"intensity: restarts must be a whole number from 0, not {self.restarts!r}")
        if not is_seconds(self.within) or self.within <= 0:
            raise InvalidSpecError(f"intensity: within must be seconds above 0, not {self.within!r}")

    def add(self, stamps: Iterable[float], now: float) -> tuple[list[float], bool]:
        """Add a restart at `now` (monotonic seconds) to those before.

        Returns:
            the restarts that still count, and whether they are too many.

        """
        kept = [stamp for stamp in stamps if now - stamp <= self.within]
        kept.append(now)
        return kept, len(kept) > self.restarts


def is_seconds(value: object) -> bool:
    """Return whether `value` is a finite number from 0 (True and False are not numbers here)."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
