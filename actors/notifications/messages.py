"""What the ledger is told and asked."""

from __future__ import annotations

import msgspec

from actors.notifications.rules import State


class Recipient(msgspec.Struct, frozen=True, gc=False):
    """One who gets a notification."""

    device: str
    """Serial; empty where a topic was asked for."""
    topic: str
    link: str
    """Name of the link that publishes it."""
    refused: str = ""
    """Why nothing can be sent there; empty where it can."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One notification, checked, with all who get it."""

    id: str
    seq: int
    """Its place in the batch."""
    title: str
    priority: str
    rank: int
    qos: int
    retain: bool
    created_us: int
    expires_us: int | None
    payload: str
    recipients: tuple[Recipient, ...]


class Enter(msgspec.Struct, frozen=True):
    """Asks the ledger to keep notifications and send them.

    The answer is an `Entered`. A batch that is known already is left as it is: the request has come a second time.
    """

    batch: str
    entries: list[Entry]
    by: str
    """Who wants it, for the record."""
    origin: str
    """From where."""


class Entered(msgspec.Struct, frozen=True):
    """What the ledger has kept."""

    ids: tuple[str, ...]
    """Of the notifications of the batch, in its order."""
    is_new: bool
    """False when the batch was known."""
    is_same: bool = True
    """False when what was known under this name says something else."""
    after: int = 0
    """The numbers of the new deliveries are above this."""


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """A delivery that has to be sent."""

    id: int
    notification_id: str
    device: str
    topic: str
    link: str
    qos: int
    retain: bool
    expires_us: int | None
    payload: bytes


class Change(msgspec.Struct, frozen=True, gc=False):
    """What has become of a delivery."""

    delivery: int
    notification_id: str
    device: str
    topic: str
    state: State
    reason: str = ""
    is_news: bool = True
    """False for what was known already, or comes too late."""
