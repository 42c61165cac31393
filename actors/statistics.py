"""What the sensor pipeline has done since the process started; written on the dispatcher's thread, read by any."""

from __future__ import annotations

from collections import Counter
from typing import Any


class PipelineStatistics:
    """Counts as they are usual in the field: received, processed, failed, and why."""

    def __init__(self) -> None:
        self.received = 0
        """Messages of sensors, over MQTT and HTTP, repetitions included."""
        self.processed = 0
        """Readings committed that were new."""
        self.duplicates = 0
        """Readings that were known already."""
        self.failed: Counter[str] = Counter()
        """Messages refused, by reason."""
        self.published = 0
        """Analyses published."""
        self.last_received_us = 0
        self.last_processed_us = 0

    def receive(self, count: int, rx_us: int) -> None:
        """Count messages, the last of which came at `rx_us`."""
        self.received += count
        self.last_received_us = rx_us

    def fail(self, reason: str) -> None:
        """Count a message that was refused."""
        self.failed[reason] += 1

    def as_dict(self) -> dict[str, Any]:
        """Return all counts; keys that end in `_us` are microseconds since 1970, 0 for never."""
        failed = dict(self.failed)
        return {
            "received": self.received,
            "processed": self.processed,
            "duplicates": self.duplicates,
            "failed": sum(failed.values()),
            "by_reason": failed,
            "published": self.published,
            "last_received_us": self.last_received_us,
            "last_processed_us": self.last_processed_us,
        }
