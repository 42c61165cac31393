"""The figures a device reports of itself, by psutil."""

from __future__ import annotations

from typing import Any

import psutil

from actors.runtime import Clock, ThreadedActor


class VitalsActor(ThreadedActor):
    """Answers any ask with the `system_info` of an announcement; has a thread because reading /proc may block."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def on_receive(self, message: Any) -> dict[str, Any]:  # noqa: ARG002 - there is one question
        """Return uptime (hours), load averages (1, 5, 15 minutes) and memory (bytes)."""
        memory = psutil.virtual_memory()
        return {
            "uptime_hours": round((self._clock.time() - psutil.boot_time()) / 3600, 2),
            "load_average": [round(load, 2) for load in psutil.getloadavg()],
            "memory": {"total": memory.total, "available": memory.available, "used_percent": memory.percent},
        }
