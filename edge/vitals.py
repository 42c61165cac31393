"""The figures a device reports of itself: how long it runs, how busy, how full, how hot.

What a board does not tell is left out. Read off the hot path: a disk may hang, and `vcgencmd` is a program.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import psutil

_THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
_TEMPERATURE = "sys/class/thermal/thermal_zone0/temp"
_MODEL = "proc/device-tree/model"
_VCGENCMD = ("usr/bin/vcgencmd", "opt/vc/bin/vcgencmd")
_VCGENCMD_TIMEOUT = 2.0
_TROUBLES = ("under_voltage", "frequency_capped", "throttled", "soft_temperature_limit")
"""Bits 0 to 3 of what the firmware says: now; bits 16 to 19: since it was started (Raspberry Pi, get_throttled)."""


class Vitals(NamedTuple):
    """Where the figures come from; other places for tests."""

    disk: Path
    """A path on the file system whose filling is told."""
    root: Path = Path("/")

    def read(self) -> dict[str, Any]:
        """Return the `system_info` of an announcement.

        Uptime is in hours, memory and disk in bytes, the temperature in degrees Celsius. `throttling` says what the
        firmware of a Pi complains of: `now` and `since_boot`, both empty on a healthy one.
        """
        memory = psutil.virtual_memory()
        figures: dict[str, Any] = {
            "uptime_hours": round(self._uptime() / 3600, 2),
            "load_average": [round(load, 2) for load in os.getloadavg()],
            "cpu_count": os.cpu_count() or 1,
            "memory": {"total": memory.total, "available": memory.available, "used_percent": memory.percent},
        }
        with contextlib.suppress(OSError):
            disk = psutil.disk_usage(str(self.disk))
            figures["disk"] = {"total": disk.total, "free": disk.free, "used_percent": disk.percent}
        temperature = self._text(_TEMPERATURE)
        if temperature.lstrip("-").isdecimal():
            figures["temperature"] = round(int(temperature) / 1000, 1)
        throttling = self._throttling()
        if throttling is not None:
            figures["throttling"] = describe_throttling(throttling)
        model = self._text(_MODEL)
        if model:
            figures["model"] = model[:80]
        figures["python"] = ".".join(map(str, sys.version_info[:3]))
        return figures

    def _uptime(self) -> float:
        """Return the seconds since the boot, by a clock that does not jump when the time is set."""
        seconds = self._text("proc/uptime").partition(" ")[0]
        try:
            return float(seconds)
        except ValueError:
            return 0.0

    def _throttling(self) -> int | None:
        text = self._text(_THROTTLED) or self._ask_firmware()
        try:
            return int(text, 16)
        except ValueError:
            return None

    def _ask_firmware(self) -> str:
        program = next((path for name in _VCGENCMD if (path := self.root / name).exists()), None)
        if program is None:
            return ""
        import subprocess  # only where there is such a program

        try:
            done = subprocess.run(  # noqa: S603 - a fixed path and a fixed argument
                [program, "get_throttled"], capture_output=True, text=True, timeout=_VCGENCMD_TIMEOUT, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return ""
        return done.stdout.strip().removeprefix("throttled=")

    def _text(self, path: str) -> str:
        try:
            return (self.root / path).read_text(encoding="utf-8", errors="replace").strip("\0 \n")
        except OSError:
            return ""


def describe_throttling(bits: int) -> dict[str, list[str]]:
    """Return in words what the firmware complains of."""
    return {
        "now": [name for place, name in enumerate(_TROUBLES) if bits >> place & 1],
        "since_boot": [name for place, name in enumerate(_TROUBLES) if bits >> 16 + place & 1],
    }
