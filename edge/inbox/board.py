"""What the inbox shows of itself; outlives its incarnations."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True, slots=True)
class InboxBoard:
    """Counts since the process began, and how things stand; written by the inbox's thread."""

    process: str = field(default_factory=lambda: secrets.token_hex(8))
    """Drawn for each run of the edge."""
    counters: Counter[str] = field(default_factory=Counter)
    """`notifications`, `commands`, `twins` that were taken; `duplicates`; `unreadable` ones; `displayed`, `failed`;
    `refused` and `cancelled` commands, `dropped` notifications; `corrupt_files` that were set aside."""
    waiting: int = 0
    """Notifications that wait for a handler."""
    last_error: str = ""
    """Why the inbox takes nothing now; empty while it does."""
    twin_version: int = 0
    """Of the desired twin that is applied."""

    def describe(self) -> dict[str, Any]:
        """Return the same as JSON."""
        return {
            **{name: self.counters[name] for name in NAMES},
            "waiting": self.waiting,
            "twin_version": self.twin_version,
            "error": self.last_error,
        }


NAMES = (
    "notifications",
    "commands",
    "twins",
    "duplicates",
    "unreadable",
    "displayed",
    "failed",
    "refused",
    "cancelled",
    "dropped",
    "corrupt_files",
)
"""Of the counters."""
