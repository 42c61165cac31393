"""What comes in, as it stands on the wire, and what the inbox and its workers tell each other."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import msgspec

from edge.inbox.settings import PRIORITIES, Priority

T = TypeVar("T")

LONGEST_ID = 100
LARGEST_NOTIFICATION = 262_144
"""Bytes; what the server lets through."""
LARGEST_COMMAND = 65_536 + 4_096
"""Bytes: the arguments that the server lets through, and what stands around them."""
LARGEST_TWIN = 65_536

CommandState = Literal["running", "succeeded", "failed"]
Lane = Literal["inbox.handlers", "inbox.commands", "inbox.programs"]


class UnreadableError(Exception):
    """A payload that cannot be used; the message is one sentence that names the field."""

    def __init__(self, reason: str, item_id: str = "") -> None:
        super().__init__(reason)
        self.item_id = item_id
        """The id of what cannot be used, where that much could be read."""


class Notification(msgspec.Struct, frozen=True):
    """A notification as it is published; unknown fields pass."""

    title: str = ""
    body: str = ""
    data: dict[str, Any] = {}
    priority: Priority = "normal"
    timestamp: str = ""
    id: str = ""

    def is_at_least(self, priority: Priority) -> bool:
        """Return whether it is of this priority or a higher one."""
        return PRIORITIES.index(self.priority) >= PRIORITIES.index(priority)


class Command(msgspec.Struct, frozen=True):
    """A command as it is published, or that it is cancelled; unknown fields pass."""

    id: str
    name: str = ""
    args: dict[str, Any] = {}
    deadline: str = ""
    timestamp: str = ""
    cancel: bool = False
    """Nobody wants the command of this id any more."""


class DesiredTwin(msgspec.Struct, frozen=True):
    """What `devices/{id}/twin/desired` holds."""

    version: int
    desired: dict[str, Any] = {}


class Answer(msgspec.Struct, frozen=True):
    """What became of a command."""

    state: CommandState
    result: Any = None
    reason: str = ""
    later: bool = False
    """The answer follows when this process, or the machine, is back."""


class Work(msgspec.Struct, frozen=True):
    """From the inbox to a worker: do this."""

    incarnation: str
    """Of the worker; a later one does not do it."""
    number: int
    """Given back in `Finished`."""
    job: Any


class Finished(msgspec.Struct, frozen=True):
    """From a worker: this has been done."""

    lane: Lane
    number: int
    outcome: Any


class Report(msgspec.Struct, frozen=True):
    """From an inbox that has just started: tell who you are when you have finished what you have in hand."""


class Idle(msgspec.Struct, frozen=True):
    """From a worker that has just started, or was asked: it has nothing in hand."""

    lane: Lane
    incarnation: str
    """Drawn at its start."""


class Blinks(msgspec.Struct, frozen=True):
    """From the commands: the LED blinks, and is to stop in so many seconds."""

    seconds: float


class RestoreLed(msgspec.Struct, frozen=True):
    """To itself: the LED has blinked long enough."""


class Look(msgspec.Struct, frozen=True):
    """To itself: something is due."""


def read_notification(payload: bytes) -> Notification:
    """Return a notification.

    Raises:
        UnreadableError: it is none.

    """
    _check_size(payload, LARGEST_NOTIFICATION)
    found = _decode(payload, Notification)
    if len(found.id) > LONGEST_ID or not found.id.isprintable():
        raise UnreadableError(f"`id` has to have at most {LONGEST_ID} characters, all of them printable")
    return found


def read_command(payload: bytes) -> Command:
    """Return a command.

    Raises:
        UnreadableError: it is none.

    """
    _check_size(payload, LARGEST_COMMAND)
    found = _decode(payload, Command)
    if not 0 < len(found.id) <= LONGEST_ID or not found.id.isprintable():
        raise UnreadableError(f"`id` has to have 1 to {LONGEST_ID} characters, all of them printable")
    if not found.name and not found.cancel:
        raise UnreadableError("`name` is missing", found.id)
    return found


def read_twin(payload: bytes) -> DesiredTwin:
    """Return a desired twin.

    Raises:
        UnreadableError: it is none.

    """
    _check_size(payload, LARGEST_TWIN)
    return _decode(payload, DesiredTwin)


class _Named(msgspec.Struct, frozen=True):
    id: str = ""


def _check_size(payload: bytes, largest: int) -> None:
    if len(payload) > largest:
        raise UnreadableError(f"the payload has {len(payload)} bytes, more than {largest}", _id_of(payload))


def _decode(payload: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError(f"the payload cannot be used: {error}", _id_of(payload)) from None


def _id_of(payload: bytes) -> str:
    """Return the id of something unreadable, so that it can be answered; empty where there is none."""
    try:
        item_id = msgspec.json.decode(payload, type=_Named).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return item_id if len(item_id) <= LONGEST_ID and item_id.isprintable() else ""
