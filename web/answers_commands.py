"""What the routes of commands answer with, as types; see `web.answers`."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.commands.messages import State
from web.answers import Page, Time


class Command(msgspec.Struct):
    """What a device was asked to do, and what became of it."""

    id: str
    device: str
    """Serial number."""
    name: str
    args: dict[str, Any]
    state: State
    result: Any
    """What the device gave back; null where it gave nothing."""
    reason: str | None
    """Why it is in this state, in one sentence; null where there is nothing to say."""
    batch: str | None
    """The id of all that one request has made; null for one alone."""
    by: str | None
    """Who asked for it."""
    created: Time
    deadline: Time
    """When nobody wants it any more."""
    sent: Time | None
    """When it was handed to the broker last."""
    accepted: Time | None
    """When the broker has confirmed it."""
    updated: Time


class IssuedCommand(msgspec.Struct):
    """A command that was taken."""

    id: str


class DeviceCommand(msgspec.Struct):
    """One of several."""

    device: str
    id: str


class IssuedCommands(msgspec.Struct):
    """Commands that were taken."""

    id: str
    """Of all of them: `batch` in each."""
    commands: list[DeviceCommand]


CommandPage = Page[Command]
