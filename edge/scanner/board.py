"""What the scanners show of themselves; outlives every actor of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from actors.outbox_file import Item
from edge.scanner.devices import Device
from edge.scanner.tally import Tally

MOST_UNSAVED = 1_000
"""Scans kept in memory while the outbox cannot take them; beyond, the newest is refused and counted."""


@dataclass(kw_only=True, slots=True)
class ScannerStatus:
    """One scanner that is plugged in; written by its reader."""

    device: Device
    open: bool = False
    """It is being read."""
    error: str = ""
    """Why it is not: a sentence."""
    codes: int = 0
    """Codes read, those repeated included."""
    repeated: int = 0
    """Codes left out because the same one had just been read, see `debounce`."""
    last_code_us: int = 0
    tally: Tally = field(default_factory=Tally)

    def describe(self) -> dict[str, Any]:
        """Return the status as JSON shows it."""
        return {
            "id": self.device.id,
            "name": self.device.name,
            "path": str(self.device.path),
            "open": self.open,
            "error": self.error,
            "codes": self.codes,
            "repeated": self.repeated,
            "too_long": self.tally.too_long,
            "lost": self.tally.lost,
            "unmapped": self.tally.unmapped,
        }


@dataclass(kw_only=True, slots=True)
class ScannerBoard:
    """All scanners, and what was read but is not in the outbox yet."""

    scanners: dict[str, ScannerStatus] = field(default_factory=dict)
    """Id of the device to the scanner that a reader has, or is to have again after a crash."""
    unsaved: deque[Item] = field(default_factory=deque)
    """Scans on their way into the outbox; written by the saver alone."""
    saved: int = 0
    """Scans that the outbox holds, or held."""
    not_kept: int = 0
    """Scans refused because the outbox could take none for very long."""
    last_error: str = ""
    """Why the outbox could not take the last scan; empty once it could."""

    def describe_scans(self) -> dict[str, Any]:
        """Return what became of the scans as JSON shows it."""
        return {
            "saved": self.saved,
            "waiting": len(self.unsaved),
            "not_kept": self.not_kept,
            "error": self.last_error,
        }

    @property
    def connected(self) -> int:
        """How many scanners are being read."""
        return sum(status.open for status in tuple(self.scanners.values()))
