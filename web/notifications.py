"""Notifications as the HTTP face sees them: part of `web.face`, in a module of its own for its length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from actors.notifications.rules import Message
from actors.targets import Target

if TYPE_CHECKING:
    from web.face import Item

Wanted = tuple[Message, Target | None, str]
"""A message, and for whom it is: a target, or else a topic."""


class NotificationRefusedError(Exception):
    """A notification was refused; whoever asked is told why."""

    def __init__(self, status: int, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        """Assign.

        Args:
            status: the HTTP status: 400, 404, 413 or 422.
            code: one word for programs: `bad_field`, `bad_topic`, `too_large`, `unknown_device`, `unknown_group`,
                `too_many`, `key_reused`.
            message: one sentence for people.
            details: the `field` at fault.

        """
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})


class Notifications(Protocol):
    """What is sent to devices and topics, and what has become of it. Cursors as in `web.face.History`."""

    def send(self, wanted: Wanted, *, by: str, address: str, key: str) -> Item:
        """Keep a notification, which is sent from then on, whatever becomes of this process.

        Args:
            wanted: the message and for whom it is.
            by: who wants it, for the record.
            address: from where.
            key: a second request with this key, by the same `by`, is the same request; empty without one.

        Returns:
            `id`, `recipients` (how many), `warnings` (sentences), and `duplicate`: True for a request that was known.

        Raises:
            NotificationRefusedError: it cannot be sent.

        """
        ...

    def send_all(self, wanted: Sequence[Wanted], *, by: str, address: str, key: str) -> Item:
        """Keep many at once; those that cannot be sent keep no other from being sent.

        Returns:
            as `send`, and `notifications`: in the order of the request `{"id", "error"}`, of which one is None; an
            error is a `NotificationRefusedError`. The `id` of the answer stands for all of them.

        Raises:
            NotificationRefusedError: none of them can be sent, or they are too many.

        """
        ...

    def get(self, notification: str, *, limit: int, cursor: str) -> Item | None:
        """Return a notification, or all of one bulk, with a page of its deliveries; None when there is none.

        It has the fields of `web.answers_notifications.Notification`, times as `_us`.
        """
        ...

    def find(self, *, serial: str | None, limit: int, cursor: str) -> tuple[list[Item], str | None]:
        """Return notifications, newest first; of one device, or all."""
        ...

    def statistics(self) -> Item:
        """Return the fields of `web.answers_notifications.NotificationStatistics`, times as `_us`."""
        ...
