"""Messages that only links understand. What crosses other borders is in `actors.messages`."""

from __future__ import annotations

import msgspec

Announcement = tuple[str, bytes, int, bool]
"""(topic, payload, qos, retain): a will, a greeting, a farewell."""


class Publish(msgspec.Struct, frozen=True, gc=False):
    """Publish a message. QoS 0 is dropped and counted while the link is down; QoS 1 and 2 wait in a bounded queue."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    expiry: float | None = None
    """Seconds after which nobody wants it any more; counts here while it waits, and at the broker with MQTT 5."""
    reply_to: str = ""
    """The service that is told `Published` when this has ended; empty for nobody."""
    token: int = 0
    """Given back in `Published`: the asker's own."""
    response_topic: str = ""
    """Where an answer is expected; told with MQTT 5 only, like the two that follow."""
    correlation: bytes = b""
    """Given back with the answer."""
    content_type: str = ""
    to: str = ""
    """The serial of the device that it is for, where its topic does not say so: it may have to be sealed."""


ACCEPTED = 0x00
"""The reason of what the broker has taken, and of QoS 0 that was written."""
NOBODY_SUBSCRIBED = 0x10
"""The broker has taken it, and nobody has subscribed to its topic; only MQTT 5 tells."""
REFUSED = 0x80
"""Reasons from here on are refusals of the broker."""
DROPPED = -1
"""The reason of what never reached the broker."""


class Published(msgspec.Struct, frozen=True, gc=False):
    """To the service named in `Publish.reply_to`: what has become of a publication. Each is told once."""

    token: int
    reason: int
    """The reason code of the broker, or `DROPPED`."""
    cause: str = ""
    """Why it was dropped, in a word: `link_down`, `overflow`, `expired`, `invalid`, `abandoned`."""
    detail: str = ""
    """The same in a sentence."""


class Reconnect(msgspec.Struct, frozen=True):
    """Connect anew at once, even after "session taken over": an operator wants it, or our address has changed."""

    path_lost: bool = False
    """True when the broker cannot be reached from where we were: nothing is said to it, and no answer awaited."""


class PauseOrResume(msgspec.Struct, frozen=True):
    """An operator has paused or resumed the link: do as `LinkBoard.paused` says."""


class Replay(msgspec.Struct, frozen=True):
    """From an actor that restarted: tell again, in order, what is unresolved; a broker never does so by itself."""

    subscriber: str = ""
    """Only what was told to this subscriber; empty means everything (the registry restarted)."""
