"""Calls things when their time has come: one thread, one heap."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

Action = Callable[[], None]


class Schedule:
    """Actions at monotonic times; `after` may be called from any thread."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Action]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopping = False

    def after(self, delay: float, action: Action) -> None:
        """Call `action` once in `delay` seconds."""
        with self._changed:
            heapq.heappush(self._entries, (time.monotonic() + delay, next(self._order), action))
            self._changed.notify()

    def every(self, interval: float, action: Action) -> None:
        """Call `action` every `interval` seconds, the first time after one."""

        def repeat() -> None:
            action()
            self.after(interval, repeat)

        self.after(interval, repeat)

    def stop(self) -> None:
        """Let `run` return; harmless when repeated, and in a signal handler of the thread that runs."""
        self._stopping = True

    def run(self) -> None:
        """Call what is due until `stop`."""
        while not self._stopping:
            for action in self._take_due():
                action()

    def _take_due(self) -> list[Action]:
        due = []
        with self._changed:
            now = time.monotonic()
            while self._entries and self._entries[0][0] <= now:
                due.append(heapq.heappop(self._entries)[2])
            if not due:
                # Short enough that a signal handler, which may not take the lock, is obeyed soon.
                wait = self._entries[0][0] - now if self._entries else 0.1
                self._changed.wait(min(wait, 0.1))
        return due
