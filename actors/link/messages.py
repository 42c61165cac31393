"""Messages that only links understand. What crosses other borders is in `actors.messages`."""

from __future__ import annotations

import msgspec

Announcement = tuple[str, bytes, int, bool]
"""(topic, payload, qos, retain): a will, a greeting, a farewell."""


class Publish(msgspec.Struct, frozen=True, gc=False):
    """Publish a message. QoS 0 is dropped and counted while the link is down; QoS 1 waits in a bounded queue."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    expiry: float | None = None
    """Seconds after which nobody wants it any more; counts here while it waits, and at the broker with MQTT 5."""


class Reconnect(msgspec.Struct, frozen=True):
    """Connect anew at once, even after "session taken over": an operator wants it, or our address has changed."""

    path_lost: bool = False
    """True when the broker cannot be reached from where we were: nothing is said to it, and no answer awaited."""


class PauseReading(msgspec.Struct, frozen=True):
    """From an operator: stop reading from the broker; settled deliveries are still acknowledged. Data link only."""


class ResumeReading(msgspec.Struct, frozen=True):
    """From an operator: read again."""


class Replay(msgspec.Struct, frozen=True):
    """From an actor that restarted: tell again, in order, what is unresolved; a broker never does so by itself."""

    subscriber: str = ""
    """Only what was told to this subscriber; empty means everything (the registry restarted)."""
