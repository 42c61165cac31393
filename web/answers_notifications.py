"""What the routes of notifications answer with, as types; see `web.answers`."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.notifications.rules import Priority, State
from web.answers import Page, Time
from web.errors import Problem


class SentNotification(msgspec.Struct):
    """A notification that is kept, and sent from now on."""

    id: str
    recipients: int
    warnings: list[str]
    """Payloads larger than what many devices of the kind can take."""
    duplicate: bool
    """True when this request had come before, with the same Idempotency-Key."""


class BulkResult(msgspec.Struct):
    """One of a bulk: its id, or why it is not sent."""

    id: str | None
    error: Problem | None


class SentNotifications(SentNotification):
    """Notifications that were kept together; `id` stands for all of them."""

    accepted: int
    refused: int
    notifications: list[BulkResult]
    """In the order of the request."""


class NotificationDelivery(msgspec.Struct):
    """What has become of a notification at one recipient."""

    notification: str
    device: str | None
    """Serial number; null where a topic was asked for."""
    topic: str
    state: State
    reason: str | None
    """`no_subscribers`, or a sentence; null where there is nothing to say."""
    updated: Time


class NotificationRow(msgspec.Struct):
    """A notification in a list."""

    id: str
    batch: str
    """The request that it came with; the id of a bulk."""
    title: str
    priority: Priority
    qos: int
    retain: bool
    created: Time
    expires: Time | None
    recipients: int
    sent_by: str | None
    status: State
    """The state of the delivery that is farthest behind; `expired` and `failed` only where there are no others."""
    counts: dict[str, int]
    """How many deliveries are in each state."""


class Notification(NotificationRow):
    """A notification, or a whole bulk of them, with a page of its deliveries."""

    notifications: int
    """How many there are under this id: 1, or those of the bulk."""
    waiting: int
    """Deliveries of which the broker has not answered yet."""
    payload: Any
    """What is sent; null for a bulk."""
    deliveries: list[NotificationDelivery]
    cursor: str | None


class Tally(msgspec.Struct):
    """How many deliveries were tried, and how they ended."""

    sent: int
    success: int
    failed: int


class NotificationStatistics(msgspec.Struct):
    """Of all notifications that are kept, and of the broker that they go through."""

    total_sent: int
    """Deliveries that came to an end: `total_success` and `total_failed`."""
    total_success: int
    """Those that the broker has, and what is known to have arrived."""
    total_failed: int
    """Those that were refused, and those whose time was over."""
    last_sent: Time | None
    connection_count: int
    """How often this process has connected to its brokers."""
    waiting: int
    """Deliveries that are still to be sent."""
    by_state: dict[str, int]
    by_priority: dict[str, Tally]
    by_qos: dict[str, Tally]
    refused: dict[str, int]
    """Requests that were refused since the process started, by reason."""
    platform: str
    """`mqtt`."""
    broker: str
    """`host:port` of the first broker."""
    broker_host: str
    broker_port: int
    connected: bool
    qos: int
    """Where neither QoS nor priority are chosen."""


NotificationPage = Page[NotificationRow]
