"""`Complaints`: what is logged at most once a minute for each device, and counted in between."""

from __future__ import annotations

import logging
from typing import Final

from actors.runtime.clock import Clock

EVERY: Final = 60.0
"""Seconds between two lines of one name."""
MOST_NAMES: Final = 100
"""Names that have a line of their own within a minute; all others share one."""
_OTHERS: Final = ""


class Complaints:
    """Belongs to the thread of its link."""

    def __init__(self, clock: Clock, logger: logging.Logger) -> None:
        self._clock = clock
        self._logger = logger
        self._since: dict[str, tuple[float, int]] = {}
        """When a line of this name was logged, and how many were not since, by name."""

    def about(self, topic: str, to: str, text: str) -> None:
        """Log a sentence, or count it.

        Args:
            topic: of the message that it is about.
            to: the serial whom that is for, where its topic does not say so.
            text: the sentence.

        """
        now = self._clock.monotonic()
        name = self._name(to or _device_of(topic), now)
        logged_at, left_out = self._since.get(name, (float("-inf"), 0))
        if now < logged_at + EVERY:
            self._since[name] = logged_at, left_out + 1
            return
        self._since[name] = now, 0
        self._logger.warning("%s%s", text, f" ({left_out} more since the line before)" if left_out else "")

    def _name(self, name: str, now: float) -> str:
        if name in self._since or len(self._since) < MOST_NAMES:
            return name
        over = [known for known, (logged_at, _) in self._since.items() if known and now >= logged_at + EVERY]
        for known in over:
            del self._since[known]
        return name if over else _OTHERS


def _device_of(topic: str) -> str:
    """Return the serial in a topic, or else the topic."""
    parts = topic.split("/", 2)
    return parts[1] if len(parts) == 3 and parts[0] == "devices" else topic
