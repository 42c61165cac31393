"""What is asked of the commander, what it answers, and its one error."""

from __future__ import annotations

import re
from typing import Any, Final, Literal

import msgspec

State = Literal["queued", "sent", "running", "succeeded", "failed", "timed_out", "cancelled"]
Code = Literal["not_found", "finished", "too_many"]

OPEN: Final = ("queued", "sent", "running")
"""States of a command that is not over."""
FINAL: Final = ("succeeded", "failed", "timed_out", "cancelled")
STATES: Final[tuple[State, ...]] = ("queued", "sent", "running", "succeeded", "failed", "timed_out", "cancelled")

COMMANDER: Final = "commander"
"""The actor's name in the directory."""
NAME: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
"""What a command may be called; which ones there are is the device's own affair."""
SHORTEST: Final = 1.0
LONGEST: Final = 30 * 86_400.0
"""Seconds that a command may have."""
USUAL: Final = 60.0
"""Seconds that it has where nobody says."""
MOST_OPEN: Final = 100
"""Commands of one device that are not over."""
MOST_TARGETS: Final = 100_000
"""Devices of one request."""


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """Asks to keep a command for each device and to send it as soon as the device is there.

    The answer is an `Issued`; whoever sends this has checked every field.
    """

    serials: tuple[str, ...]
    name: str
    args: str
    """JSON object."""
    timeout: float
    """Seconds until nobody wants it any more."""
    by: str
    """Who asks."""
    address: str
    """From where."""
    batch: bool = False
    """Whether all of them together get an id."""


class Issued(msgspec.Struct, frozen=True):
    """The commands are on the disk."""

    ids: tuple[str, ...]
    """One for each serial, in the same order."""
    batch: str
    """The id of all of them, or empty."""


class Cancel(msgspec.Struct, frozen=True):
    """Asks to end a command that is not over; the answer is its row."""

    id: str
    by: str
    address: str


class Came(msgspec.Struct, frozen=True, gc=False):
    """Tells that a device for which commands wait is there."""

    serial: str


class CommandError(Exception):
    """Why a command was not taken, or not cancelled."""

    def __init__(self, code: Code, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
