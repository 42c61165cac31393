"""What the HTTP server counts; outlives its restarts."""

from __future__ import annotations

import threading
from collections import Counter

from web.errors import CODES


class HttpBoard:
    """Totals since the process started; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.refused: Counter[str] = Counter()
        """Requests that were refused, by the code of their status, whoever refused them."""
        self.cut = 0
        """Connections ended because their client was too slow."""
        self.pushed_out = 0
        """Silent connections ended to make room."""

    def refuse(self, status: int) -> None:
        """Count an answer of 400 or more."""
        with self._lock:
            self.refused[CODES.get(status, "bad_request" if status < 500 else "internal")] += 1
