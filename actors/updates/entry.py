"""A device of a rollout, and what a step changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from actors.updates.states import State

MOST_REASON: Final = 500
"""Characters that are kept of what a device says."""


@dataclass(slots=True)
class Entry:
    """One device of a rollout."""

    serial: str
    wave: int
    state: State = "pending"
    since: float = 0.0
    """When it came into this state; of one that must wait, when it last asked."""
    attempts: int = 0
    """How often it was offered the release."""
    reason: str = ""
    progress: float | None = None
    """0 to 1, of its state."""
    forced: bool = False
    """An operator has asked for it again: the device is told so, whatever has happened on it before."""
    heard: float = 0.0
    """When it last said that it still is in this state; in memory only."""


@dataclass(slots=True)
class Changes:
    """What a step has done: to be stored, and shown."""

    entries: dict[str, Entry] = field(default_factory=dict)
    """By serial."""
    is_changed: bool = False
    """Whether the rollout itself is."""

    def __bool__(self) -> bool:
        return self.is_changed or bool(self.entries)

    def add(self, more: Changes) -> None:
        """Add what another step has done."""
        self.entries |= more.entries
        self.is_changed |= more.is_changed


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a device does not get the release now; one of a few words, for machines and people."""

    reason: str
