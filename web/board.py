"""What the HTTP server counts; outlives its restarts."""

from __future__ import annotations

import threading
from collections import Counter

from web.errors import usual_code


class HttpBoard:
    """Totals since the process started; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.refused: Counter[tuple[str, str]] = Counter()
        """Requests that were refused, by route ("" for what reaches none) and the word for programs."""
        self.answered: Counter[str] = Counter()
        """Answers, by the first figure of their status."""
        self.cut = 0
        """Connections ended because their client was too slow."""
        self.pushed_out = 0
        """Silent connections ended to make room."""
        self.streams = 0
        """Event streams that are open now."""
        self.streams_ended: Counter[str] = Counter()
        """Event streams that have ended, by `web.pump.Ended`."""
        self.resyncs: Counter[str] = Counter()
        """How often a stream was told to fetch everything again, by `web.pump.Missed`."""

    def answer(self, status: str) -> None:
        """Count an answer by its status line."""
        with self._lock:
            self.answered[status[:1]] += 1

    def refuse(self, status: int, route: str = "", code: str = "") -> None:
        """Count an answer of 400 or more; without a `code` by the usual word for its status."""
        with self._lock:
            self.refused[route, code or usual_code(status)] += 1

    def miss(self, why: str) -> None:
        """Count a stream that was told to fetch everything again."""
        with self._lock:
            self.resyncs[why] += 1
