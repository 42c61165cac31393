"""The last lines of the log, kept in memory for whoever asks: wherever the log goes, there may be no file of it."""

from __future__ import annotations

import logging
from collections import deque

LINES = 1_000
LONGEST_LINE = 2_000
"""Characters of one record that are kept."""


class LogMemory(logging.Handler):
    """A handler of `logging` that remembers."""

    def __init__(self, lines: int = LINES) -> None:
        super().__init__(logging.INFO)
        self._lines: deque[str] = deque(maxlen=lines)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, as the log shows it."""
        try:
            self._lines.append(self.format(record)[:LONGEST_LINE])
        except Exception:  # noqa: BLE001 - logging's own way with a record that cannot be formatted
            self.handleError(record)

    def last(self, lines: int, most_bytes: int) -> list[str]:
        """Return the last lines, the oldest first, as many as fit."""
        found: list[str] = []
        size = 0
        for line in reversed(tuple(self._lines)[-lines:]):
            size += len(line.encode()) + 4
            if size > most_bytes:
                break
            found.append(line)
        return found[::-1]


def remember_log() -> LogMemory:
    """Return the memory of this process's log; made once, formatted as the log is."""
    root = logging.getLogger()
    for handler in root.handlers:
        if isinstance(handler, LogMemory):
            return handler
    memory = LogMemory()
    if root.handlers:
        memory.setFormatter(root.handlers[0].formatter)
    root.addHandler(memory)
    return memory
