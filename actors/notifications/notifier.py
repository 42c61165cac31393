"""`Notifier`: the Python API. Checks what is to be sent, finds out to whom, and gives it to the ledger.

    notifier.notify("Temperature alert", "85 °C", device="plc-01", priority="high")

Any thread may use it; actors that share the dispatcher may not, since it waits for the disk.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from actors.fleet import DeviceView, Fleet
from actors.notifications.board import LedgerBoard
from actors.notifications.messages import Enter, Entered, Entry, Recipient
from actors.notifications.rules import (
    Code,
    Message,
    NotificationError,
    Priority,
    check_message,
    check_topic,
    encode,
    warning_of,
)
from actors.runtime import Clock
from actors.targets import Groups, Target, UnknownTargetError, resolve
from actors.timestamps import rfc3339

logger = logging.getLogger(__name__)

MOST_IN_BULK = 10_000
"""Notifications in one call."""
MOST_RECIPIENTS = 100_000
"""Of all notifications in one call."""
KEY = "Idempotency-Key"
"""What names a request, as those who send it know it."""
OWN = "muster"
"""Who wants what no operator has asked for."""


class Letter(NamedTuple):
    """A message and for whom it is: a target, or a topic."""

    message: Message
    target: Target | None = None
    topic: str = ""


class Accepted(msgspec.Struct, frozen=True):
    """What has become of a request."""

    id: str
    """Of the notification; of the batch where it is a bulk."""
    results: tuple[str | NotificationError, ...]
    """The id of each notification, or why it is not sent; in the order of the request."""
    recipients: int
    warnings: tuple[str, ...]
    is_new: bool
    """False when a request with this key had come before."""


class Notifier:
    """Sends notifications.

    Args:
        fleet: the devices.
        groups: the groups.
        enter: gives an order to the ledger and waits until it is on disk.
        clock: tells the time.
        board: counts what is refused.
        links: names of the links by which can be published; the first takes what is for no device.
        scope: begins the names of the links in the table, where several servers share a database.

    """

    def __init__(
        self,
        *,
        fleet: Fleet,
        groups: Groups,
        enter: Callable[[Enter], Entered],
        clock: Clock,
        board: LedgerBoard,
        links: Sequence[str],
        scope: str = "",
    ) -> None:
        self._fleet = fleet
        self._groups = groups
        self._enter = enter
        self._clock = clock
        self._board = board
        self._links = {link: f"{scope}{link}" for link in links}
        self._default = f"{scope}{links[0]}"

    def notify(
        self,
        title: str,
        body: str = "",
        *,
        device: str = "",
        group: str = "",
        topic: str = "",
        priority: Priority = "normal",
        data: dict[str, Any] | None = None,
        ttl: float | None = None,
        by: str = OWN,
    ) -> str:
        """Send one notification to a device, a group or a topic, and return its id.

        Raises:
            NotificationError: it cannot be sent.
            pykka.Timeout, pykka.ActorDeadError, StoreUnavailable: it could not be kept.

        """
        message = Message(title=title, body=body, data=data or {}, priority=priority, ttl=ttl)
        target = None if topic else Target(device=device, group=group)
        return self.send(Letter(message, target, topic), by=by).id

    def send(self, letter: Letter, *, by: str = OWN, origin: str = "", key: str = "") -> Accepted:
        """Send one notification.

        Args:
            letter: the message and for whom it is.
            by: who wants it, for the record.
            origin: from where.
            key: a second request with this key, by the same sender, is the same request.

        Raises:
            NotificationError: it cannot be sent.

        """
        return self._send([letter], by, origin, _batch_of(by, key), is_bulk=False)

    def send_all(self, letters: Sequence[Letter], *, by: str = OWN, origin: str = "", key: str = "") -> Accepted:
        """Send many in one go; those that cannot be sent keep no other from being sent.

        Raises:
            NotificationError: none of them can be sent, or they are too many.

        """
        if not 0 < len(letters) <= MOST_IN_BULK:
            error = NotificationError(
                "too_many", f"notifications: 1 to {MOST_IN_BULK} in one call, not {len(letters)}", "notifications"
            )
            self._board.refused[error.code] += 1
            raise error
        return self._send(letters, by, origin, _batch_of(by, key), is_bulk=True)

    def _send(self, letters: Sequence[Letter], by: str, origin: str, batch: str, *, is_bulk: bool) -> Accepted:
        draft = _Draft(now_us=int(self._clock.time() * 1_000_000))
        results: list[str | NotificationError] = []
        for seq, letter in enumerate(letters):
            notification_id = f"{batch}-{seq}" if is_bulk else batch
            try:
                self._add(draft, letter, notification_id, seq)
            except NotificationError as error:
                self._board.refused[error.code] += 1
                results.append(error)
            else:
                results.append(notification_id)
        if not draft.entries:
            raise next(result for result in results if isinstance(result, NotificationError))
        entered = self._enter(Enter(batch, draft.entries, by, origin))
        if not entered.is_same:
            self._board.refused["key_reused"] += 1
            raise NotificationError("key_reused", f"{KEY}: it came before with another request", KEY)
        for kind in draft.warned:
            self._board.warned[kind] += 1
        return Accepted(batch, tuple(results), draft.recipients, tuple(draft.warnings), entered.is_new)

    def _add(self, draft: _Draft, letter: Letter, notification_id: str, seq: int) -> None:
        message = letter.message
        check_message(message)
        payload = encode(message, notification_id, rfc3339(draft.now_us))
        recipients = tuple(self._recipients(letter, draft, len(payload)))
        if not recipients:
            raise NotificationError("unknown_device", f"{letter.target} was deleted this very moment", "device")
        if draft.recipients + len(recipients) > MOST_RECIPIENTS:
            raise NotificationError("too_many", f"more than {MOST_RECIPIENTS} recipients in one call", "devices")
        draft.recipients += len(recipients)
        expires_us = None if message.ttl is None else draft.now_us + round(message.ttl * 1_000_000)
        draft.entries.append(
            Entry(
                id=notification_id,
                seq=seq,
                title=message.title,
                priority=message.priority,
                rank=message.rank,
                qos=message.level,
                retain=message.retain,
                created_us=draft.now_us,
                expires_us=expires_us,
                payload=payload.decode(),
                recipients=recipients,
            )
        )

    def _recipients(self, letter: Letter, draft: _Draft, size: int) -> Iterable[Recipient]:
        if letter.target is None:
            check_topic(letter.topic)
            yield Recipient("", letter.topic, self._default)
            return
        try:
            serials = resolve(letter.target, self._fleet, self._groups)
        except UnknownTargetError as error:
            code: Code = "unknown_device" if error.what == "device" else "unknown_group"
            raise NotificationError(code, str(error), error.what) from None
        for serial in serials:
            view = self._fleet.get(serial)
            if view is not None:  # else it was deleted this very moment
                yield self._recipient(view, draft, size, is_alone=len(serials) == 1)

    def _recipient(self, view: DeviceView, draft: _Draft, size: int, *, is_alone: bool) -> Recipient:
        device = view.snapshot
        topic, refused = device.device_token or f"devices/{device.serial}/notifications", ""
        if device.device_token:
            try:
                check_topic(topic, f"device_token of {device.serial}")
            except NotificationError as error:
                if is_alone:
                    raise
                # Kept by a release that took any token: it keeps no other from getting the notification.
                self._board.refused[error.code] += 1
                refused = error.message
        warning = warning_of(size, device.kind, device.serial)
        if warning:
            draft.warn(device.kind, warning)
        return Recipient(device.serial, topic, self._links.get(f"{device.broker}.control", self._default), refused)


MOST_WARNINGS = 20
"""Warnings that are told of one call; all are counted."""


class _Draft:
    """What a call has come to so far."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us
        self.entries: list[Entry] = []
        self.recipients = 0
        self.warnings: list[str] = []
        self.warned: list[str] = []

    def warn(self, kind: str, warning: str) -> None:
        self.warned.append(kind)
        if len(self.warnings) < MOST_WARNINGS:
            self.warnings.append(warning)
            logger.warning("notification: %s", warning)


def _batch_of(by: str, key: str) -> str:
    """Return the id of a request: the same for the same key of the same sender."""
    if not key:
        return secrets.token_hex(12)
    return hashlib.blake2b(f"{by}\0{key}".encode(), digest_size=12, person=b"notification").hexdigest()
