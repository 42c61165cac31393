"""The time that a search may take, shared by all its steps, and the switch that ends it early."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: Seconds. Loops that wait for the network look at their budget at least this often, so a cancelled search ends soon.
SLICE = 0.1


class Budget:
    """A deadline on the monotonic clock that can be cut short from another thread."""

    def __init__(
        self,
        seconds: float,
        *,
        cancelled: threading.Event | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._deadline = monotonic() + seconds
        self._cancelled = cancelled or threading.Event()

    def left(self) -> float:
        """Return the seconds that are left, 0.0 when spent or cancelled."""
        return 0.0 if self._cancelled.is_set() else max(0.0, self._deadline - self._monotonic())

    def spent(self) -> bool:
        """Tell whether to stop now."""
        return self.left() <= 0.0

    def part(self, seconds: float) -> Budget:
        """Return a budget for one step: at most `seconds` of what is left, cancelled together with this one."""
        return Budget(min(seconds, self.left()), cancelled=self._cancelled, monotonic=self._monotonic)
