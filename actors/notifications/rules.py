"""What a notification is, and what may become of it: pure rules, no clock, no database.

A delivery goes from `queued` to `sent`, `accepted` by the broker, `received` and `displayed`, as far as its recipient
tells; or it ends as `expired` or `failed`. It never goes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from actors.topics import SERIAL

Priority = Literal["low", "normal", "high", "urgent"]
State = Literal["queued", "sent", "accepted", "received", "displayed", "expired", "failed"]

PRIORITIES: Final[tuple[Priority, ...]] = ("low", "normal", "high", "urgent")
QOS_OF: Final[Mapping[Priority, int]] = {"low": 0, "normal": 1, "high": 1, "urgent": 2}
STATES: Final[tuple[State, ...]] = ("queued", "sent", "accepted", "received", "displayed", "expired", "failed")
OPEN: Final = ("queued", "sent")
"""What this server has still to do something about."""
SUCCESSES: Final = ("accepted", "received", "displayed")

SOURCES: Final[Mapping[State, tuple[State, ...]]] = {
    "sent": ("queued",),
    "accepted": ("queued", "sent", "expired"),
    "expired": ("queued", "sent"),
    "received": ("queued", "sent", "accepted", "expired"),
    "displayed": ("queued", "sent", "accepted", "received", "expired", "failed"),
    "failed": ("queued", "sent", "accepted", "received"),
}
"""The states from which each is reached: news that come late change nothing."""

MOST_LEVELS: Final = 7
LONGEST_TOPIC: Final = 1024
"""Bytes."""
LARGEST_PAYLOAD: Final = 262_144
"""Bytes of what is sent: title, body, data and what is added."""
LARGE_FOR: Final[Mapping[str, int]] = {"sensor": 10_240, "controller": 102_400}
"""Bytes above which a device of this kind is warned of, since many of its like cannot take more."""
LONGEST_TITLE: Final = 1_000
LONGEST_TTL: Final = 366 * 86_400.0

Code = Literal["bad_field", "bad_topic", "too_large", "unknown_device", "unknown_group", "too_many", "key_reused"]


class NotificationError(Exception):
    """A notification that is not sent, and why: a word for programs, a sentence for people, and the field at fault."""

    def __init__(self, code: Code, message: str, field: str = "") -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message
        self.field = field


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to be sent, before it is known to whom."""

    title: str = ""
    body: str = ""
    data: dict[str, Any] = {}
    priority: Priority = "normal"
    qos: int | None = None
    """None takes the one of the priority."""
    retain: bool = False
    ttl: float | None = None
    """Seconds for which somebody wants it; None for ever."""

    @property
    def level(self) -> int:
        """Return the QoS that counts."""
        return QOS_OF[self.priority] if self.qos is None else self.qos

    @property
    def rank(self) -> int:
        """Return the priority as a number."""
        return PRIORITIES.index(self.priority)


def check_message(message: Message) -> None:
    """Refuse what says nothing or says it too long.

    Raises:
        NotificationError: `bad_field`.

    """
    if not (message.title or message.body or message.data):
        raise NotificationError("bad_field", "title: a notification needs a title, a body or data", "title")
    if len(message.title) > LONGEST_TITLE:
        raise NotificationError("bad_field", f"title: has more than {LONGEST_TITLE} characters", "title")
    if message.qos not in (None, 0, 1, 2):
        raise NotificationError("bad_field", "qos: must be 0, 1 or 2", "qos")
    if message.ttl is not None and not 0 < message.ttl <= LONGEST_TTL:
        raise NotificationError("bad_field", f"ttl: must be above 0 and at most {LONGEST_TTL:.0f} seconds", "ttl")
    for name in ("title", "body"):
        if "\0" in getattr(message, name):
            raise NotificationError("bad_field", f"{name}: contains NUL", name)


def check_topic(topic: str, field: str = "topic") -> None:
    """Refuse a topic that nobody may publish on, and those on which this server speaks of other things.

    Raises:
        NotificationError: `bad_topic`.

    """

    def refuse(why: str) -> NotificationError:
        return NotificationError("bad_topic", f"{field}: {topic[:80]!r} {why}", field)

    if not topic:
        raise NotificationError("bad_topic", f"{field}: is empty", field)
    try:
        size = len(topic.encode())
    except UnicodeEncodeError:
        raise refuse("is not Unicode text") from None
    if size > LONGEST_TOPIC:
        raise refuse(f"has more than {LONGEST_TOPIC} bytes")
    if any(character in topic for character in "+#\0"):
        raise refuse("has a wildcard or NUL, which no topic of a publication may have")
    levels = topic.split("/")
    if len(levels) > MOST_LEVELS:
        raise refuse(f"has {len(levels)} levels, at most {MOST_LEVELS} are allowed")
    if "" in levels:
        raise refuse("has an empty level")
    if topic.startswith("$") or levels[0] in ("server", "muster"):
        raise refuse("belongs to the broker or to Muster itself")
    if levels[0] == "devices" and not _is_for_notifications(levels):
        raise refuse("is no topic of notifications; there is devices/{serial}/notifications")


def _is_for_notifications(levels: list[str]) -> bool:
    return len(levels) == 3 and levels[2] == "notifications" and SERIAL.fullmatch(levels[1]) is not None


def encode(message: Message, notification_id: str, timestamp: str) -> bytes:
    """Return what is sent.

    Raises:
        NotificationError: `too_large`, or `bad_field` for data that JSON cannot carry.

    """
    body = {
        "title": message.title,
        "body": message.body,
        "data": message.data,
        "priority": message.priority,
        "timestamp": timestamp,
        "id": notification_id,
    }
    try:
        payload = msgspec.json.encode(body)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise NotificationError("bad_field", f"data: cannot be sent as JSON: {error}", "data") from None
    if len(payload) > LARGEST_PAYLOAD:
        detail = f"body: the notification has {len(payload)} bytes, at most {LARGEST_PAYLOAD} are sent"
        raise NotificationError("too_large", detail, "body")
    return payload


def warning_of(size: int, kind: str, serial: str) -> str:
    """Return what to warn of, empty for nothing."""
    large = LARGE_FOR.get(kind)
    if large is None or size <= large:
        return ""
    return f"{serial} is a {kind}: {size} bytes are more than the {large // 1024} KB that many of them can take"


def status_of(counts: Mapping[str, int]) -> State:
    """Return the state of a notification from those of its deliveries: the one that is farthest behind.

    Those that have failed or expired count only where there are no others.
    """
    return next((state for state in STATES if counts.get(state)), "queued")
