"""`LedgerActor`: keeps every notification and what becomes of it at each recipient, and sends what waits.

On disk first, then to the broker. What is sent is read back from the table, so that a bulk that was begun before a
restart goes on where it was. A delivery that was on its way when the server was killed is sent again with the same id.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pykka

from actors.device_messages import Told
from actors.link.messages import DROPPED, NOBODY_SUBSCRIBED, REFUSED, Publish, Published
from actors.messages import Settled
from actors.notifications.board import LedgerBoard
from actors.notifications.messages import Change, Enter, Entered, Waiting
from actors.notifications.receipts import Receipt
from actors.notifications.rules import PRIORITIES, State
from actors.registry import Execute
from actors.runtime import Directory, Runtime, ThreadedActor
from actors.storage.errors import StoreUnavailable
from actors.storage.notifications import HasExpired, NextDeliveries, adopt, enter, expire, mark, note_receipt
from actors.timestamps import rfc3339

logger = logging.getLogger(__name__)

WINDOW = 500
"""Deliveries on their way to one broker at most: an urgent one waits behind no more than these."""
LOW_WATER = WINDOW // 2
"""So many on their way, and more are read from the table."""
GATHER = 0.05
"""Seconds for which news gather before they are written."""
MOST_NEWS = 500
"""News that are written at once, without waiting."""
LOOK_EVERY = 1.0
"""Seconds between two looks at links and times while something waits."""
AWAY = (StoreUnavailable, pykka.Timeout, pykka.ActorDeadError)

REFUSALS = {
    0x80: "unspecified_error",
    0x83: "implementation_specific_error",
    0x87: "not_authorized",
    0x90: "topic_name_invalid",
    0x91: "packet_identifier_in_use",
    0x97: "quota_exceeded",
    0x99: "payload_format_invalid",
}
"""What the reason codes of a broker mean (MQTT 5, 3.4.2.1)."""


class _Tick(msgspec.Struct, frozen=True):
    """To itself, from a timer: write the news, send what waits."""

    due: float
    """The time that it stands for, monotonic seconds; one that is no longer the time to look is ignored."""


class LedgerActor(ThreadedActor):
    """Answers `Enter`; takes `Published` of the links and `Told` receipts of devices.

    Args:
        ask: gets the writer's answer to a message.
        read: gets a reader's answer to a query.
        services: finds the links.
        runtime: its clock and timers are used.
        links: names of the links that publish; the first takes what waits for one that there is no more.
        scope: begins the names of the links in the table, where several servers share a database.
        is_up: whether a link is connected now.
        board: is kept up to date.
        on_change: called with what has become of deliveries, after the commit.

    """

    def __init__(
        self,
        *,
        ask: Callable[[Any], Any],
        read: Callable[[Any], Any],
        services: Directory,
        runtime: Runtime,
        links: Sequence[str],
        scope: str = "",
        is_up: Callable[[str], bool],
        board: LedgerBoard,
        on_change: Callable[[Sequence[Change]], None],
    ) -> None:
        super().__init__()
        self._ask = ask
        self._read = read
        self._services = services
        self._runtime = runtime
        self._links = {f"{scope}{link}": link for link in links}
        """Names in the table to those of services."""
        self._shared = bool(scope)
        self._is_up = is_up
        self._board = board
        self._on_change = on_change
        self._cursors: dict[tuple[str, int], int] = {}
        """(link, rank) to the last delivery that was read."""
        self._more: set[tuple[str, int]] = set()
        """Those of which the table may hold more."""
        self._is_unsure = False
        """True after an answer that did not come: the writer may keep the order yet."""
        self._under_way: dict[int, Waiting] = {}
        self._loads: Counter[str] = Counter()
        """How many of them are on their way through each link."""
        self._again: dict[str, deque[Waiting]] = {link: deque() for link in self._links}
        """What a link has given back, by the link."""
        self._news: list[Change] = []
        self._receipts: list[Told] = []
        self._adopted = False
        self._looked_at = float("-inf")
        self._tick_at = float("inf")

    def on_start(self) -> None:
        """Look for what an earlier process has left."""
        self._board.under_way = frozenset()
        self._look_everywhere()
        self._arm(0.0)

    def on_receive(self, message: Any) -> Any:
        """Keep, send, or note."""
        match message:
            case Enter():
                return self._enter(message)
            case Published():
                self._published(message)
            case Told(body=Receipt()):
                self._receipts.append(message)
                self._arm(0.0 if len(self._receipts) >= MOST_NEWS else GATHER)
            case _Tick(due=due):
                if due == self._tick_at:
                    self._tick()
            case _:
                logger.warning("the ledger does not know %.200r", message)
        return None

    def on_stop(self) -> None:
        """Write the last news; what could not be written is sent again by the next process."""
        self._write()

    def unfinished(self) -> Sequence[Any]:
        """Return the receipts that are not written: nothing else tells of them again soon."""
        return list(self._receipts)

    # What is to be sent

    def _enter(self, order: Enter) -> Entered:
        now_us = self._now_us()
        try:
            entered: Entered = self._ask(Execute(lambda database: enter(database, order, now_us)))
        except AWAY:
            self._is_unsure = True
            self._arm(LOOK_EVERY)
            raise
        self._more |= {(to.link, entry.rank) for entry in order.entries for to in entry.recipients}
        if entered.is_new:
            self._cursors = {key: min(cursor, entered.after) for key, cursor in self._cursors.items()}
            self._board.counts["notifications"] += len(order.entries)
            recipients = [to for entry in order.entries for to in entry.recipients]
            self._board.counts["deliveries"] += len(recipients)
            self._board.counts["failed"] += sum(bool(to.refused) for to in recipients)
        self._arm(0.0)
        return entered

    def _look_everywhere(self) -> None:
        self._more = {(link, rank) for link in self._links for rank in range(len(PRIORITIES))}

    def _make_sure(self) -> None:
        """Look for what was kept although its answer did not come: the writer answers us behind it."""
        if self._is_unsure:
            self._ask(Execute(lambda _database: None))
            self._is_unsure = False
            self._look_everywhere()

    def _feed(self) -> None:
        """Send what the windows of the links that are up have room for, the highest priority first."""
        for link in self._links:
            if not self._is_up(self._links[link]):
                continue
            again = self._again[link]
            while again and self._loads[link] < WINDOW:
                self._send(again.popleft())
            for rank in reversed(range(len(PRIORITIES))):
                while (link, rank) in self._more and (room := WINDOW - self._loads[link]) > 0:
                    self._read_some(link, rank, room)
        self._board.under_way = frozenset(self._under_way)

    def _read_some(self, link: str, rank: int, room: int) -> None:
        key = (link, rank)
        rows = self._read(NextDeliveries(link=link, rank=rank, after=self._cursors.get(key, 0), limit=room))
        if len(rows) < room:
            self._more.discard(key)
        for row in rows:
            self._cursors[key] = row.id
            self._send(row)

    def _send(self, row: Waiting) -> None:
        left = None if row.expires_us is None else (row.expires_us - self._now_us()) / 1_000_000
        if left is not None and left <= 0:
            self._note(row, "expired", "its time was over before it could be sent")
            return
        self._under_way[row.id] = row
        self._loads[row.link] += 1
        message = Publish(
            row.topic,
            row.payload,
            row.qos,
            row.retain,
            left,
            reply_to="ledger",
            token=row.id,
            to=row.device,
        )
        self._services.tell(self._links[row.link], message)

    # What becomes of it

    def _published(self, told: Published) -> None:
        row = self._under_way.pop(told.token, None)
        if row is None:
            self._board.counts["late_answers"] += 1  # a predecessor's: the delivery is sent anew, and answered again
            return
        self._loads[row.link] -= 1
        if told.reason == DROPPED and told.cause in ("link_down", "overflow"):
            self._again[row.link].append(row)
            self._arm(LOOK_EVERY)
            return
        self._note(row, *_verdict(row, told))
        if self._loads[row.link] <= LOW_WATER and (self._again[row.link] or self._has_more(row.link)):
            self._arm(0.0)

    def _has_more(self, link: str) -> bool:
        return any((link, rank) in self._more for rank in range(len(PRIORITIES)))

    def _note(self, row: Waiting, state: State, reason: str = "") -> None:
        self._news.append(Change(row.id, row.notification_id, row.device, row.topic, state, reason))
        self._board.counts[state] += 1
        self._arm(0.0 if len(self._news) >= MOST_NEWS else GATHER)

    def _write(self) -> bool:
        """Write the news and receipts; False while the database is away."""
        news, receipts = self._news[:], self._receipts[:]
        if not news and not receipts:
            return True
        now_us = self._now_us()

        def work(database: Any) -> list[Change | None]:
            mark(database, news, now_us)
            return [_note(database, told, now_us) for told in receipts]

        try:
            noted = self._ask(Execute(work))
        except AWAY as error:
            logger.warning("the ledger keeps %d news until the database is back: %s", len(news) + len(receipts), error)
            return False
        del self._news[: len(news)], self._receipts[: len(receipts)]
        self._settle(receipts, noted)
        self._on_change([*news, *(change for change in noted if change is not None and change.is_news)])
        return True

    def _settle(self, receipts: Sequence[Told], noted: Sequence[Change | None]) -> None:
        """Acknowledge receipts, which are on disk now, and answer those that have an id."""
        tokens: dict[str, list[int]] = {}
        answers: dict[tuple[str, str], tuple[list[str], dict[str, str]]] = {}
        for told, change in zip(receipts, noted, strict=True):
            receipt, delivery = told.body, told.delivery
            self._board.counts[_count_of(change)] += 1
            if delivery.token:
                tokens.setdefault(delivery.link, []).append(delivery.token)
            if receipt.sender_id:
                stored, refused = answers.setdefault((told.serial, delivery.link), ([], {}))
                if change is not None:
                    stored.append(receipt.sender_id)
                else:
                    refused[receipt.sender_id] = "unknown_notification"
        for link, settled in tokens.items():
            self._services.tell(link, Settled(settled))
        for (serial, link), (stored, refused) in answers.items():
            body = {"stored": stored, "refused": refused, "timestamp": rfc3339(self._now_us())}
            payload = msgspec.json.encode(body)
            control = f"{link.rpartition('.')[0]}.control"
            self._services.tell(control, Publish(f"devices/{serial}/receipts", payload))

    # Time

    def _arm(self, seconds: float) -> None:
        """Have a tick within `seconds`, unless one comes sooner."""
        due = self._runtime.clock.monotonic() + seconds
        if due >= self._tick_at:
            return
        self._tick_at = due
        if seconds:
            self._runtime.timers.at(due, self.actor_ref, _Tick(due))
        else:
            self.actor_ref.tell(_Tick(due))

    def _tick(self) -> None:
        self._tick_at = float("inf")
        is_written = self._write()
        try:
            self._make_sure()
            self._adopt()
            self._feed()
            self._expire()
        except AWAY as error:
            logger.warning("the ledger sends nothing until the database is back: %s", error)
            is_written = False
        if not is_written or self._is_waiting():
            self._arm(LOOK_EVERY)

    def _is_waiting(self) -> bool:
        return bool(self._more or self._under_way or any(self._again.values()))

    def _adopt(self) -> None:
        """Find a way for what waits for a broker that is not configured any more, once."""
        if not self._adopted and not self._shared:
            links = tuple(self._links)
            self._ask(Execute(lambda database: adopt(database, links, links[0])))
        self._adopted = True

    def _expire(self) -> None:
        """End what nobody wants any more, while links are down."""
        now = self._runtime.clock.monotonic()
        if not self._is_waiting() or now - self._looked_at < LOOK_EVERY:
            return
        now_us = self._now_us()
        if not self._read(HasExpired(now_us)):
            self._looked_at = now
            return
        expired = self._ask(Execute(lambda database: expire(database, now_us)))
        # Of these we are told by the link, or find out when it is up.
        known = {*self._under_way, *(row.id for rows in self._again.values() for row in rows)}
        self._board.counts["expired"] += sum(change.delivery not in known for change in expired)
        self._on_change(expired)
        self._arm(0.0)  # there may be more

    def _now_us(self) -> int:
        return int(self._runtime.clock.time() * 1_000_000)


def _note(database: Any, told: Told, now_us: int) -> Change | None:
    receipt: Receipt = told.body
    return note_receipt(
        database,
        serial=told.serial,
        notification_id=receipt.notification_id,
        state=receipt.state,
        reason=receipt.reason,
        now_us=now_us,
    )


def _count_of(change: Change | None) -> str:
    """Return what a receipt counts as, from what it has changed."""
    if change is None:
        return "unknown_receipts"
    return change.state if change.is_news else "repeated_receipts"


def _verdict(row: Waiting, told: Published) -> tuple[State, str]:
    """Return the state that an answer means, and why."""
    if told.reason == DROPPED:
        return ("expired" if told.cause == "expired" else "failed"), told.detail
    if told.reason >= REFUSED:
        return "failed", f"refused by the broker: {REFUSALS.get(told.reason, hex(told.reason))}"
    if told.reason == NOBODY_SUBSCRIBED:
        return "accepted", "no_subscribers"
    return ("accepted" if row.qos else "sent"), ""
