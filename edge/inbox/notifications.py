"""`NotificationDesk`: which notifications have come, who is given them, and what their senders are told."""

from __future__ import annotations

import hashlib
import logging
import secrets

import msgspec

from actors.messages import Delivery
from actors.outbox_file import Item
from edge.inbox.board import InboxBoard
from edge.inbox.file import InboxFile, NotificationRow
from edge.inbox.handlers import HandlersJob
from edge.inbox.items import receipt_item
from edge.inbox.messages import Notification, UnreadableError, read_notification
from edge.inbox.twin import EdgeTwin

logger = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often a handler is given a notification that it could not handle."""
AGAIN_AFTER = (2.0, 10.0)
"""Seconds until it is given again."""
ANONYMOUS = "-"
"""Begins our own name of a notification that came without an id; nobody waits for its receipt."""


class NotificationDesk:
    """Belongs to the inbox's thread; whatever changes the file is called in one of its transactions."""

    def __init__(
        self, file: InboxFile, *, device_id: str, handlers: tuple[str, ...], twin: EdgeTwin, board: InboxBoard
    ) -> None:
        """Assign.

        Args:
            file: where they are kept.
            device_id: ours.
            handlers: names of the handlers.
            twin: how the handlers work now.
            board: where we count.

        """
        self._file, self._device_id, self._handlers, self._twin, self._board = file, device_id, handlers, twin, board
        self._due: dict[int, float] = {}
        """When those that have failed are given again, monotonic seconds."""

    def take(self, delivery: Delivery, now_us: int) -> None:
        """Keep a notification, once."""
        try:
            notification = read_notification(delivery.payload)
        except UnreadableError as error:
            self._refuse(delivery, error, now_us)
            return
        digest = hashlib.sha256(delivery.topic.encode() + b"\0" + delivery.payload).digest()
        known = self._file.find_notification(notification.id) if notification.id else None
        if known is not None:
            self._board.counters["duplicates"] += 1
            self._file.mark_notification(known.seq, told=False)
            return
        if not notification.id and (delivery.dup or delivery.retain) and self._file.knows_digest(digest):
            self._board.counters["duplicates"] += 1
            return
        self._board.counters["notifications"] += 1
        item_id = notification.id or f"{ANONYMOUS}{secrets.token_hex(8)}"
        state = "waiting" if self._wanted(notification, "") else "received"
        self._file.add_notification(item_id, digest, delivery.payload, state, now_us, tell=bool(notification.id))

    def trim(self) -> None:
        """Drop the oldest of those that wait where they are too many."""
        for row in self._file.overflow():
            self._board.counters["dropped"] += 1
            logger.warning("the inbox is full: notification %s is dropped", row.id)
            self._end(row, "failed", "the inbox of the device was full")

    def next_job(self, now: float) -> tuple[int, HandlersJob] | None:
        """Return what the handlers are given next, and note that they are; None for nothing now."""
        rows = self._file.waiting_notifications()
        self._board.waiting = len(rows)
        for row in rows:
            if self._due.get(row.seq, 0.0) > now:
                continue
            notification = msgspec.json.decode(row.payload, type=Notification)
            names = self._wanted(notification, row.served)
            if not names:  # they have been switched off meanwhile, or are no longer configured
                self._end(row, "displayed" if row.served else "received", "")
            elif row.attempts >= ATTEMPTS:
                self._end(row, "failed", f"the handlers were interrupted {ATTEMPTS} times")
            else:
                self._file.note_attempt(row.seq, row.attempts + 1, row.served)
                shown = msgspec.structs.replace(notification, id=row.id if notification.id else "")
                return row.seq, HandlersJob(shown, names)
        return None

    def finished(self, seq: int, job: HandlersJob, troubles: dict[str, str], now: float) -> None:
        """Note what the handlers made of it."""
        row = next((row for row in self._file.waiting_notifications() if row.seq == seq), None)
        if row is None:  # dropped meanwhile
            return
        served = ",".join([*filter(None, row.served.split(",")), *(name for name in job.names if name not in troubles)])
        self._file.note_attempt(seq, row.attempts, served)
        if not troubles:
            self._end(row, "displayed", "")
        elif row.attempts >= ATTEMPTS:
            self._end(row, "failed", "; ".join(f"{name}: {reason}" for name, reason in troubles.items()))
        else:
            self._due[seq] = now + AGAIN_AFTER[row.attempts - 1]

    def next_at(self) -> float | None:
        """Return when the next is due that has failed before, monotonic seconds."""
        return min(self._due.values(), default=None)

    def receipts(self, now_us: int) -> list[tuple[int, Item]]:
        """Return the receipts that the outbox has not got yet, by the number of their notification."""
        found = []
        for row in self._file.untold_notifications():
            state = "received" if row.state == "waiting" else row.state
            found.append((row.seq, receipt_item(self._device_id, row.id, state, row.reason, now_us)))
        return found

    def _end(self, row: NotificationRow, state: str, reason: str) -> None:
        self._due.pop(row.seq, None)
        if state in ("displayed", "failed"):
            self._board.counters[state] += 1
        if state == "failed":
            logger.warning("notification %s failed: %s", row.id, reason)
        self._file.end_notification(row.seq, state, reason, tell=not row.id.startswith(ANONYMOUS))

    def _refuse(self, delivery: Delivery, error: UnreadableError, now_us: int) -> None:
        self._board.counters["unreadable"] += 1
        logger.warning("notification on %s: %s", delivery.topic, error)
        if error.item_id and self._file.find_notification(error.item_id) is None:
            self._file.add_notification(error.item_id, b"", b"", "failed", now_us, tell=False)
            row = self._file.find_notification(error.item_id)
            assert row is not None
            self._end(row, "failed", str(error))

    def _wanted(self, notification: Notification, served: str) -> tuple[str, ...]:
        """Return the handlers that are to be given it and have not had it."""
        done = served.split(",")
        return tuple(
            name
            for name in self._handlers
            if name not in done
            and (handler := self._twin.handler(name)).enabled
            and notification.is_at_least(handler.min_priority)
        )
