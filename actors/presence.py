"""Presence as a pure state machine: announcement, heartbeat, data, last will and silence fused into one state.

Stored states are `online` and `offline`. `unknown` is derived: a device that is stored as online, but has not been
heard since its link last regained sight, is unknown until it speaks or a full timeout of sight has passed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from actors.messages import DeviceSnapshot, Presence, Reason

OFFLINE_AFTER: Mapping[str, float] = {
    "raspberry_pi": 60.0,  # beats every 30 s, jitter only shortens
    "datalogger": 30.0,
    "gateway": 30.0,
    "sensor": 180.0,  # three publishing intervals
    "controller": 60.0,
    "other": 60.0,
}
"""Seconds of silence after which a device of that kind is offline."""

FLAP_WINDOW = 600.0
"""Seconds over which transitions are counted."""
FLAP_LIMIT = 6
"""Transitions within the window from which a device is called flapping."""

DerivedPresence = Literal["online", "offline", "unknown"]


class OfflineAfter(msgspec.Struct, frozen=True):
    """The policy of `offline_after`, the most specific setting first: device, type, site, kind, override, default."""

    everywhere: float | None = None
    """`MUSTER_OFFLINE_AFTER`: replaces every default, seconds."""
    devices: Mapping[str, float] = {}
    kinds: Mapping[str, float] = {}
    types: Mapping[str, float] = {}
    sites: Mapping[str, float] = {}

    def of(self, device: DeviceSnapshot) -> float:
        """Return the seconds of silence that make this device offline."""
        if device.offline_after is not None:
            return device.offline_after
        if not (self.devices or self.types or self.sites or self.kinds):  # the common case, asked at every verdict
            return self.everywhere if self.everywhere is not None else OFFLINE_AFTER[device.kind]
        for table, key in (
            (self.devices, device.serial),
            (self.types, device.type),
            (self.sites, device.site),
            (self.kinds, device.kind),
        ):
            if key in table:
                return table[key]
        return self.everywhere if self.everywhere is not None else OFFLINE_AFTER[device.kind]


class Transition(NamedTuple):
    """The device's presence has changed."""

    presence: Presence
    reason: Reason


def on_life(presence: Presence, reason: Reason) -> Transition | None:
    """Judge a live message: it makes the device online, whatever was believed before."""
    return Transition("online", reason) if presence == "offline" else None


def on_farewell(presence: Presence, reason: Reason, *, session: str, last_session: str) -> Transition | None:
    """Judge a message that says `offline`, a last will or a goodbye.

    With a session it counts only if that is the last one seen: the will of a connection that has been replaced says
    nothing about the new one. Without a session it counts at once, and any later live message revokes it.
    """
    if presence == "offline" or (session and last_session and session != last_session):
        return None
    return Transition("offline", reason)


def deadline_at(heard_at: float, sight_since_at: float, offline_after: float) -> float:
    """Return the monotonic time from which silence means offline: silence counts only while we could hear."""
    return max(heard_at, sight_since_at) + offline_after


def derive(stored: Presence, *, blind: bool, heard_in_this_epoch: bool) -> DerivedPresence:
    """Return what may honestly be said now."""
    if stored == "offline":
        return "offline"
    return "online" if heard_in_this_epoch and not blind else "unknown"


def is_flapping(transitions_at: tuple[float, ...], now: float) -> bool:
    """Return whether the recent transitions, monotonic seconds, are too many."""
    return sum(1 for at in transitions_at if now - at < FLAP_WINDOW) >= FLAP_LIMIT


def note_transition(transitions_at: tuple[float, ...], now: float) -> tuple[float, ...]:
    """Return the recent transitions with this one, bounded."""
    recent = [at for at in transitions_at if now - at < FLAP_WINDOW]
    return (*recent[-FLAP_LIMIT:], now)
