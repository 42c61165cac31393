"""What is asked of the actor that keeps the broker's users."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

NAME = "access"


class Grant(msgspec.Struct, frozen=True):
    """Asks for new passwords of devices; the answer has them by serial, whether the broker is there or not."""

    publishes: Mapping[str, bool]
    """Serial to whether it may publish for sites and as a sensor."""


class Revoke(msgspec.Struct, frozen=True):
    """Tells that these devices may not use the broker any more; asked, it answers when the broker has taken it."""

    serials: tuple[str, ...]


class Look(msgspec.Struct, frozen=True):
    """Tells that these devices may have to read other topics than before."""

    serials: tuple[str, ...]


class Compare(msgspec.Struct, frozen=True):
    """Tells that the broker may not know what it knew: the server has just connected to it."""


class RenewDevices(msgspec.Struct, frozen=True):
    """Asks that devices get new passwords within a time; the answer is who has to."""

    serials: tuple[str, ...]
    """Empty: all that have a user."""
    grace: float
    """Seconds after which the old password ends, whether the device has a new one or not."""


class UnknownDeviceError(Exception):
    """A device has no user of its own at the broker; the message is its serial."""


class RotateServer(msgspec.Struct, frozen=True):
    """Asks for another user for the server itself; the answer is its name."""

    grace: float


class RetireShared(msgspec.Struct, frozen=True):
    """Asks that the user that all devices of releases before share ends; the answer is whether there was one."""


class Tick(msgspec.Struct, frozen=True):
    """To itself, from a timer: something may be due."""

    at: float
    """Monotonic time for which it was set; one that is not awaited sets no other."""
