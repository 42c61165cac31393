"""The settings of an edge that change while it runs: by its twin, and by the command `set`. Pure, no file, no clock.

Whichever spoke last holds. What cannot be taken is told, and changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from edge.hub.settings_twin import LONGEST_HEARTBEAT, SHORTEST_HEARTBEAT, is_heartbeat
from edge.inbox.settings import PRIORITIES, HandlerSettings, Priority

MOST_ERRORS = 20
"""Settings that could not be taken, of which a report tells why."""


class HandlerState(msgspec.Struct, frozen=True):
    """How a handler works now."""

    enabled: bool
    min_priority: Priority


class Kept(msgspec.Struct, frozen=True):
    """What survives a restart."""

    version: int = 0
    """Of the desired twin that was applied last; 0 before the first."""
    heartbeat: float | None = None
    """None: as configured."""
    handlers: dict[str, dict[str, Any]] = {}
    """What differs from the configuration, by handler."""
    errors: dict[str, str] = {}
    """Why some of what was desired is not so, by its name."""
    digest: str = ""
    """Of what was desired; empty when a release has kept this that did not draw it."""


class EdgeTwin:
    """Belongs to the inbox's thread."""

    def __init__(self, heartbeat: float, handlers: Mapping[str, HandlerSettings]) -> None:
        """Assign.

        Args:
            heartbeat: seconds, as configured.
            handlers: as configured.

        """
        self.kept = Kept()
        self._heartbeat = heartbeat
        self._handlers = dict(handlers)

    def restore(self, value: bytes) -> None:
        """Take up what an earlier run has kept; what cannot be read is forgotten, the twin brings it again."""
        try:
            self.kept = msgspec.json.decode(value, type=Kept) if value else Kept()
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.kept = Kept()

    def desire(self, version: int, desired: Mapping[str, Any]) -> Kept:
        """Return what is to be kept when this is desired: all of it, and the configuration where it says nothing."""
        kept, errors = self._with_all(Kept(version=version, digest=_digest(desired)), desired)
        return msgspec.structs.replace(kept, errors=errors)

    def is_news(self, version: int, desired: Mapping[str, Any], *, retained: bool) -> bool:
        """Return whether this is to be applied.

        What the broker retains is the server's word now, even when that had to begin again with an older database; what
        comes otherwise may be old and sent again.
        """
        if version != self.kept.version:
            return retained or version > self.kept.version
        return bool(self.kept.digest) and self.kept.digest != _digest(desired)

    def change(self, values: Mapping[str, Any]) -> tuple[Kept, dict[str, str]]:
        """Return what is to be kept when these values change, None for as configured; and why any of them cannot."""
        return self._with_all(self.kept, values)

    def handler(self, name: str) -> HandlerState:
        """Return how a handler works now."""
        kept = self.kept.handlers.get(name, {})
        return HandlerState(kept.get("enabled", True), kept.get("min_priority", self._handlers[name].min_priority))

    @property
    def heartbeat(self) -> float:
        """Seconds between two heartbeats as they hold now."""
        return self._heartbeat if self.kept.heartbeat is None else self.kept.heartbeat

    def reported(self) -> dict[str, Any]:
        """Return what is reported: the settings as they hold now, and what could not be taken."""
        report: dict[str, Any] = {"heartbeat": self.heartbeat}
        if self._handlers:
            report["handlers"] = {name: msgspec.to_builtins(self.handler(name)) for name in self._handlers}
        if self.kept.errors:
            report["errors"] = self.kept.errors
        return report

    def _with_all(self, kept: Kept, values: Mapping[str, Any]) -> tuple[Kept, dict[str, str]]:
        """Return the same with these settings changed, and why some could not be: a bounded number of reasons."""
        errors: dict[str, str] = {}
        for name, value in values.items():
            kept, found = self._with(kept, name, value)
            errors |= found
        if len(errors) > MOST_ERRORS:
            told = dict(list(errors.items())[:MOST_ERRORS])
            errors = told | {"...": f"and {len(errors) - MOST_ERRORS} more"}
        return kept, errors

    def _with(self, kept: Kept, name: str, value: Any) -> tuple[Kept, dict[str, str]]:
        """Return the same with one setting changed, and why it could not be."""
        if name == "heartbeat":
            if value is not None and not is_heartbeat(value):
                sentence = f"has to be a number of seconds from {SHORTEST_HEARTBEAT} to {LONGEST_HEARTBEAT}"
                return kept, {"heartbeat": sentence}
            return msgspec.structs.replace(kept, heartbeat=value), {}
        if name == "handlers":
            return self._with_handlers(kept, value)
        return kept, {name[:80]: "there is no such setting"}

    def _with_handlers(self, kept: Kept, value: Any) -> tuple[Kept, dict[str, str]]:
        if value is None:
            return msgspec.structs.replace(kept, handlers={}), {}
        if not isinstance(value, dict):
            return kept, {"handlers": "has to be an object: names of handlers and their settings"}
        handlers = dict(kept.handlers)
        errors: dict[str, str] = {}
        for name, change in value.items():
            error = self._check_handler(name, change)
            if error:
                errors[f"handlers.{name[:64]}"] = error
                continue
            merged = {**handlers.get(name, {}), **(change or {})}
            kept_items = {key: item for key, item in merged.items() if item is not None}
            handlers[name] = {} if change is None else kept_items
        return msgspec.structs.replace(kept, handlers=handlers), errors

    def _check_handler(self, name: str, change: Any) -> str:
        """Return why a change of a handler cannot be taken; empty when it can."""
        if name not in self._handlers:
            return "there is no such handler"
        if change is None:
            return ""
        if not isinstance(change, dict):
            return "has to be an object"
        for key, value in change.items():
            if key == "enabled":
                if value is not None and not isinstance(value, bool):
                    return "`enabled` has to be true or false"
            elif key == "min_priority":
                if value is not None and value not in PRIORITIES:
                    return f"`min_priority` has to be one of {', '.join(PRIORITIES)}"
            else:
                return f"`{key[:40]}` is no setting of a handler"
        return ""


def _digest(desired: Mapping[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(desired, order="deterministic")).hexdigest()[:16]
