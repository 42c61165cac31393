"""Whether the machine's clock can be believed: a Pi has no clock of its own and is in the past until NTP has set it."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Literal

CLOCK_IS_NTP = Path("/run/systemd/timesync/synchronized")
"""There once systemd-timesyncd has set the clock in this boot; other services leave no such sign."""
ClockQuality = Literal["ntp", "unsynced"]

TIME_ERROR = 5
"""What adjtimex(2) returns while nothing disciplines the clock."""
_TIMEX_SIZE = 512
"""Bytes; `struct timex` has 208 or fewer on every architecture. All zero it only asks."""


def clock_quality(sign: Path = CLOCK_IS_NTP) -> ClockQuality:
    """Return `ntp` if systemd says so by a file, or the kernel by its clock state, whoever sets it; else `unsynced`."""
    return "ntp" if sign.exists() or 0 <= _clock_state() < TIME_ERROR else "unsynced"


def _clock_state() -> int:
    """Return the state of adjtimex(2); -1 where it is not permitted."""
    state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_SIZE))
    return state
