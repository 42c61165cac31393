"""News on their way: handed to the couriers, tried again until they have arrived, or are a day old.

What waits stands in the database. Each channel gets one after the other, and of an alarm in their order: nobody hears
that something is over before hearing of it. A channel that hangs holds up no other.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from itertools import count
from typing import Any, NamedTuple, Protocol

import pykka

from actors.alarms.messages import Event, Notice, Told
from actors.runtime import compute_backoff
from actors.storage import alarms as storage
from actors.storage.errors import StoreUnavailable

logger = logging.getLogger(__name__)

UNAVAILABLE = (StoreUnavailable, pykka.ActorDeadError, pykka.Timeout)
RETRY_BASE = 4.0
RETRY_CAP = 600.0
"""Seconds between two attempts: at first, and at most."""
MOST_ATTEMPTS = 150
"""About a day."""
LOST_AFTER_US = 300_000_000
"""After this a courier is asked again: it has crashed with what it carried."""
FARTHEST_US = int(RETRY_CAP * 1_000_000)
"""Nothing is put off for longer, unless the clock was set back meanwhile."""
GONE = "the channel is not in the configuration any more"


class Run(Protocol):
    """Gets the result of what the writer runs in a transaction."""

    def __call__(self, work: Callable[[Any], Any]) -> Any:
        """Return it. Raises one of `UNAVAILABLE`."""
        ...


class _Under(NamedTuple):
    """News that a courier carries."""

    notice: Notice
    since_us: int


class Direct(NamedTuple):
    """News that were told while the database was away."""

    number: int
    """Negative, in the place of an id."""
    key: str
    """Of the alarm."""
    channel: str
    told: Told | None
    """What became of it, None while a courier has it."""

    @property
    def is_done(self) -> bool:
        """Whether it is not to be tried again."""
        return self.told is not None and (not self.told.error or self.told.is_final)


class Post:
    """Keeps track of the news.

    Args:
        hand_over: gives news to the courier of its channel.
        counts: where it is counted what became of them.
        channels: names of those there are.

    """

    def __init__(self, hand_over: Callable[[Notice], None], counts: Counter[str], channels: Collection[str]) -> None:
        self._hand_over = hand_over
        self._counts = counts
        self._channels = channels
        self._under_way: dict[str, _Under] = {}
        """By channel."""
        self._numbers = count(-1, -1)
        self._direct: dict[int, Direct] = {}
        self._stored: dict[int, int] = {}
        """Number of direct news that a courier has -> their id in the database, where they are by now."""
        self._ended: list[tuple[Told, int, int]] = []
        """What became of an attempt, how many there were, and when: not noted in the database yet."""
        self._next_us: int | None = None
        """When something is due in the database."""

    def load(self, run: Run) -> None:
        """Find out when there is something to send."""
        self._next_us = run(storage.next_due_us)

    def hurry(self) -> None:
        """Look for news in the database at the next `work`: there are new ones."""
        self._next_us = 0

    def told(self, told: Told, now_us: int) -> None:
        """Take note of an attempt."""
        self._counts["notice_failed" if told.error else "notice_sent"] += 1
        direct = self._direct.get(told.id)
        if direct is not None:
            self._direct[told.id] = direct._replace(told=told)
        elif told.id in self._stored:
            self._ended.append((Told(self._stored.pop(told.id), told.error, told.is_final), 1, now_us))
        for under in self._under_way.values():
            if under.notice.id == told.id:
                self._ended.append((told, under.notice.attempts + 1, now_us))

    def work(self, run: Run, now_us: int) -> None:
        """Note what became of attempts, and send what is due; while the database is away, later."""
        try:
            self._settle(run)
            self._send_due(run, now_us)
        except UNAVAILABLE as error:
            logger.debug("news of alarms wait for the database: %r", error)

    # Without the database

    def tell_at_once(self, key: str, channels: Sequence[str], event: Event, body: dict[str, Any]) -> None:
        """Hand over news that could not be stored; they are tried once before they can be."""
        for channel in channels:
            number = next(self._numbers)
            self._direct[number] = Direct(number, key, channel, None)
            self._hand_over(Notice(id=number, channel=channel, event=event, body=body))

    def direct_of(self, keys: Collection[str]) -> list[Direct]:
        """Return what was told of alarms without the database."""
        return [direct for direct in self._direct.values() if direct.key in keys]

    def adopted(self, pairs: Iterable[tuple[Direct, int]]) -> None:
        """Take note that such news are stored, with their ids."""
        for direct, notice_id in pairs:
            del self._direct[direct.number]
            if direct.told is None:
                self._stored[direct.number] = notice_id

    # With it

    def _settle(self, run: Run) -> None:
        while self._ended:
            told, attempts, now_us = self._ended[0]
            due_us = self._retry_us(told, attempts, now_us)
            work = partial(
                storage.settle_notice,
                notice_id=told.id,
                attempts=attempts,
                error=told.error,
                due_us=due_us,
                now_us=now_us,
            )
            run(work)
            del self._ended[0]
            self._count_end(told, attempts, due_us)
            self._under_way = {name: under for name, under in self._under_way.items() if under.notice.id != told.id}
            self._next_us = 0

    def _retry_us(self, told: Told, attempts: int, now_us: int) -> int | None:
        """Return when news are tried again, None when they are not."""
        if not told.error or told.is_final or attempts >= MOST_ATTEMPTS:
            return None
        floor = min(RETRY_CAP, RETRY_BASE * attempts) / 4
        delay = compute_backoff(attempts - 1, base=RETRY_BASE, cap=RETRY_CAP, floor=floor)
        return now_us + int(delay * 1_000_000)

    def _count_end(self, told: Told, attempts: int, due_us: int | None) -> None:
        if told.error and due_us is None:
            self._counts["notice_given_up"] += 1
            logger.warning("news of an alarm are given up after %d attempts: %s", attempts, told.error)

    def _send_due(self, run: Run, now_us: int) -> None:
        for name, under in list(self._under_way.items()):
            if now_us - under.since_us > LOST_AFTER_US:
                self._send(name, under.notice, now_us)
        if self._next_us is None or now_us < self._next_us <= now_us + FARTHEST_US:
            return
        found, next_us = run(partial(_look_up, now_us=now_us, busy=list(self._under_way)))
        self._next_us = None if next_us is None else min(next_us, now_us + FARTHEST_US)
        for notice in found:
            if notice.channel in self._channels:
                self._send(notice.channel, notice, now_us)
            else:
                self._ended.append((Told(notice.id, GONE, is_final=True), notice.attempts, now_us))

    def _send(self, channel: str, notice: Notice, now_us: int) -> None:
        self._under_way[channel] = _Under(notice, now_us)
        self._hand_over(notice)


def _look_up(database: Any, now_us: int, busy: Sequence[str]) -> tuple[list[Notice], int | None]:
    """Return the first news of each channel that has time, and when the next ones are due."""
    first: dict[str, Notice] = {}
    for notice in storage.due_notices(database, now_us, now_us + 2 * FARTHEST_US, busy):
        first.setdefault(notice.channel, notice)
    return list(first.values()), storage.next_due_us(database, [*busy, *first])
