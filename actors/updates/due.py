"""When something is due of which device: a time that moves later costs nothing until the old one has come."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable


class Due:
    """One time for each device that has any."""

    def __init__(self, ends_at: Callable[[str], float | None]) -> None:
        """Take what tells the time of a device, None for never."""
        self._ends_at = ends_at
        self._heap: list[tuple[float, str]] = []
        self._watched: dict[str, float] = {}
        """Serial to the one time in the heap that counts."""

    def watch(self, serial: str) -> None:
        """See to it that a device is looked at when its time has come, which may have changed."""
        ends_at = self._ends_at(serial)
        if ends_at is None:
            self.drop(serial)
        elif ends_at < self._watched.get(serial, math.inf):
            self._watched[serial] = ends_at
            heapq.heappush(self._heap, (ends_at, serial))

    def drop(self, serial: str) -> None:
        """Forget a device."""
        self._watched.pop(serial, None)

    @property
    def next_at(self) -> float | None:
        """The next time at which a device is due indeed; None without any."""
        while self._heap:
            at, serial = self._heap[0]
            if self._watched.get(serial) != at:
                heapq.heappop(self._heap)  # it ended, or is due sooner
            elif self._ends_at(serial) != at:
                self.take()  # it was heard of since
                self.watch(serial)
            else:
                return at
        return None

    def take(self) -> str:
        """Return the device that is due next, and forget its time."""
        _, serial = heapq.heappop(self._heap)
        del self._watched[serial]
        return serial
