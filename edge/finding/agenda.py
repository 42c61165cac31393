"""When to search next. Pure: time and chance are passed in.

A search of what costs nothing is made again and again, after a growing while with full jitter. mDNS and the subnets,
which ask something of the network and of this device, have a slower rhythm of their own.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from actors.runtime import compute_backoff

BASE = 1.0
"""Seconds, upper bound of the first wait."""
CAP, CAP_DOWN = 60.0, 10.0
"""Seconds, upper bound of every wait: while there is no server yet; while the link to a known broker is down."""
WIDE_BASE, WIDE_CAP, WIDE_CAP_UP = 10.0, 60.0, 600.0
"""The same for mDNS and subnets; the last one where the link works and nothing but the server's HTTP is missing."""
APPROVAL = 15.0
"""Seconds between two questions whether an operator has decided."""
NEVER = float("inf")


class Agenda:
    """Deadlines in monotonic seconds; everything is due at the beginning."""

    def __init__(self, rng: Callable[[], float] = random.random) -> None:
        self._rng = rng
        self.hurry()

    def hurry(self) -> None:
        """Make everything due: somebody asks, or the network is another one."""
        self._due_at = self._wide_at = -NEVER
        self._failures = self._wide_failures = 0
        self._in_trouble = False

    def sooner(self) -> None:
        """Make a search of what costs nothing due."""
        self._due_at = -NEVER

    def note_trouble(self, in_trouble: bool) -> None:
        """Note whether the contact to a server that was found suffers: its beginning makes a search due."""
        if in_trouble and not self._in_trouble:
            self.sooner()
        if not in_trouble and self._in_trouble:
            self._failures, self._due_at = 0, NEVER
        self._in_trouble = in_trouble

    def is_due(self, now: float) -> bool:
        """Tell whether to search."""
        return now >= self._due_at

    def is_wide(self, now: float) -> bool:
        """Tell whether to ask mDNS and the subnets too."""
        return now >= self._wide_at

    def vain(self, now: float, *, link_up: bool, link_down: bool, was_wide: bool) -> None:
        """Note a search that has found nothing, ended at `now`."""
        if was_wide:
            cap = WIDE_CAP_UP if link_up else WIDE_CAP
            self._wide_at = now + self._wait(self._wide_failures, WIDE_BASE, cap)
            self._wide_failures += 1
        self._due_at = now + self._wait(self._failures, BASE, CAP_DOWN if link_down else CAP)
        self._failures += 1

    def failed(self, now: float) -> None:
        """Note a server that is ours and gave nothing for now."""
        self._due_at = now + self._wait(self._failures, BASE, CAP)
        self._failures += 1

    def waiting(self, now: float) -> None:
        """Note that an operator has to decide."""
        self._failures = 0
        self._due_at = now + APPROVAL * (0.8 + 0.4 * self._rng())

    def found(self, now: float, *, again: bool, in_trouble: bool) -> None:
        """Note a server that was found.

        Args:
            now: monotonic seconds.
            again: whether the place that was configured is another one, which is to be looked at again.
            in_trouble: whether the contact suffers all the same; the server is not the reason then.

        """
        self._wide_at, self._wide_failures, self._in_trouble = -NEVER, 0, in_trouble
        if in_trouble:
            self._due_at = now + self._wait(self._failures, BASE, CAP_DOWN)
            self._failures += 1
            return
        self._failures = 0
        self._due_at = now + CAP * (0.8 + 0.4 * self._rng()) if again else NEVER

    def _wait(self, attempt: int, base: float, cap: float) -> float:
        return compute_backoff(attempt, base=base, cap=cap, floor=min(0.5, cap / 2), rng=self._rng)
