"""What the routes of twins answer with, as types; see `web.answers`."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from web.answers import Time


class Twin(msgspec.Struct):
    """A device's twin; times and versions are null and 0 where nothing is desired, or reported, yet."""

    serial: str
    desired: dict[str, Any]
    desired_version: int
    reported: dict[str, Any]
    reported_version: int
    """The version of what is desired that the device has applied, as it says."""
    difference: dict[str, Any]
    """What of the desired is not reported so."""
    updated: Time | None
    """When either was changed last."""
    desired_updated: Time | None
    reported_updated: Time | None
    changed_by: str | None


class TwinOutcome(msgspec.Struct):
    """What became of a change of one device's twin."""

    device: str
    state: Literal["changed", "unchanged", "refused"]
    desired_version: int | None
    """Null where it was refused."""
    reason: str | None
    """Why it was refused."""


class TwinOutcomes(msgspec.Struct):
    """What became of a change of several twins."""

    changed: int
    unchanged: int
    refused: int
    items: list[TwinOutcome]
