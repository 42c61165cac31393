"""The twin of an edge: its facts reported, and the settings that desired properties may change."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

SHORTEST_HEARTBEAT, LONGEST_HEARTBEAT = 5, 3600
"""Seconds."""


class SettingsTwin:
    """A `TwinSource` for facts and setters that others give. `heartbeat` is the one setting there is."""

    def __init__(self, facts: Callable[[], dict[str, Any]], set_heartbeat: Callable[[float | None], None]) -> None:
        """Assign.

        Args:
            facts: returns what is reported, as it is now; must not block.
            set_heartbeat: takes the seconds between two heartbeats; None means as configured.

        """
        self._facts = facts
        self._set_heartbeat = set_heartbeat
        self._heartbeat: float | None = None

    def reported(self) -> dict[str, Any]:
        """Return the facts."""
        return self._facts()

    def apply(self, desired: dict[str, Any]) -> dict[str, Any]:
        """Set what is desired, and set back what is no longer; see `TwinSource`."""
        result: dict[str, Any] = {}
        heartbeat: float | None = None
        for name, value in desired.items():
            if name != "heartbeat":
                result[name] = {"error": "there is no such setting"}
            elif not is_heartbeat(value):
                result[name] = {"error": f"must be seconds from {SHORTEST_HEARTBEAT} to {LONGEST_HEARTBEAT}"}
            else:
                result[name] = heartbeat = value
        if heartbeat != self._heartbeat:
            self._heartbeat = heartbeat
            self._set_heartbeat(heartbeat)
        return result


def is_heartbeat(value: object) -> bool:
    """Return whether a value can be the seconds between two heartbeats."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False
    return SHORTEST_HEARTBEAT <= value <= LONGEST_HEARTBEAT
