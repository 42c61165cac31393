"""What the routes of the broker's users answer with, as types; see `web.answers`."""

from __future__ import annotations

from typing import Literal

import msgspec

from web.answers import Time


class AccessStatus(msgspec.Struct):
    """How the broker is told of its users, and how far that is."""

    mechanism: Literal["dynsec", "files", "none"]
    """`none`: the broker is not Muster's to manage."""
    devices: int
    """Devices with a user of their own."""
    waiting: int
    """Changes that the broker has not taken yet."""
    renewing: int
    """Devices that have still to fetch a new password."""
    reason: str
    """Why the broker has not taken what waits; empty when all is well."""
    anonymous: bool
    """Whether who shows nothing is let in, on this machine alone."""
    shared_user: bool
    """Whether devices of releases before are let in with a user that all of them share."""
    server_user: str
    server_user_ends: Time | None
    """When the server's user of before ends, while that changes."""
    fleet_key_ends: Time | None
    """When the fleet's key of before ends, while that changes."""


class NewFleetKey(msgspec.Struct):
    """The fleet's new key, told only here."""

    key: str
    ends: Time
    """When the key of before ends."""


class NewServerUser(msgspec.Struct):
    """The server's new user of the broker; its password stays with the server."""

    username: str
    ends: Time
    """When the user of before ends."""


class Renewal(msgspec.Struct):
    """Who has to fetch a new password of the broker."""

    devices: list[str]
    ends: Time
    """When the old passwords end."""


class Retired(msgspec.Struct):
    """What became of the shared user."""

    retired: bool
    """False: there was none."""
