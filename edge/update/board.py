"""What the updater shows of itself; outlives its incarnations, written by its thread."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec


class UpdateStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands; swapped whole."""

    state: str = "off"
    """`off` (no launcher, or not enabled), `idle`, or the state that the server was told last."""
    version: str = ""
    """Of the update that is under way, or was the last."""
    reason: str = ""
    detail: str = ""
    progress: float | None = None
    """0 to 1, of the state."""


class UpdateBoard:
    """Read by any thread."""

    def __init__(self) -> None:
        self.status = UpdateStatus()
        self.slot = ""
        """What we run from: `a`, `b`, `factory`; empty without a launcher."""
        self.is_trial = False
        self.checks = 0
        """Questions that were answered."""
        self.checked = ""
        """When the last one was, RFC 3339."""
        self.answer = ""
        """What the last one said, in a few words."""
        self.error = ""
        """Why the last question, report or step has failed; empty once one has worked."""
        self.blocked: dict[str, str] = {}
        self.untold = 0
        """States that the server has not got yet."""
        self.counters: Counter[str] = Counter()

    def show(self, state: str, version: str = "", reason: str = "", detail: str = "") -> None:
        """Show a state."""
        self.status = UpdateStatus(state=state, version=version, reason=reason, detail=detail)

    def describe(self) -> dict[str, Any]:
        """Return all of it as JSON shows it."""
        return {
            **msgspec.to_builtins(self.status),
            "slot": self.slot,
            "trial": self.is_trial,
            "checks": self.checks,
            "checked": self.checked or None,
            "answer": self.answer,
            "error": self.error,
            "blocked": dict(self.blocked),
            "untold": self.untold,
            "counters": dict(self.counters),
        }
