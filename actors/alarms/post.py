"""News on their way: handed to the courier, tried again until they have arrived, or are a day old."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
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
"""After this the courier is asked again: it has crashed with what it carried."""


class Run(Protocol):
    """Gets the result of what the writer runs in a transaction."""

    def __call__(self, work: Callable[[Any], Any]) -> Any:
        """Return it. Raises one of `UNAVAILABLE`."""
        ...


class _Under(NamedTuple):
    """News that the courier carries."""

    notice: Notice
    since_us: int


class Post:
    """Keeps track of the news. What waits stands in the database; here is what is on its way."""

    def __init__(self, hand_over: Callable[[Notice], None], counts: Counter[str]) -> None:
        self._hand_over = hand_over
        self._counts = counts
        self._under_way: dict[int, _Under] = {}
        self._direct: dict[int, str] = {}
        """News that were told without the database, by a negative number: the key of their alarm."""
        self._ended: list[tuple[Told, int, int]] = []
        """What became of an attempt, how many there were, and when: not noted in the database yet."""
        self._next_us: int | None = None
        """When something is due in the database."""

    def load(self, run: Run) -> None:
        """Find out when there is something to send."""
        self._next_us = run(storage.next_due_us)

    def send(self, notice: Notice, now_us: int) -> None:
        """Hand stored news to the courier."""
        self._under_way[notice.id] = _Under(notice, now_us)
        self._hand_over(notice)

    def tell_at_once(self, key: str, channels: Sequence[str], event: Event, body: dict[str, Any]) -> None:
        """Hand over news that could not be stored; they are tried once."""
        for channel in channels:
            number = -len(self._direct) - 1
            self._direct[number] = key
            self._hand_over(Notice(id=number, channel=channel, event=event, body=body))

    def told(self, told: Told, now_us: int) -> str | None:
        """Take note of an attempt; return the key of an alarm whose news were not stored and have not arrived."""
        self._counts["notice_failed" if told.error else "notice_sent"] += 1
        if told.id < 0:
            key = self._direct.get(told.id)
            return key if told.error else None
        under = self._under_way.get(told.id)
        if under is not None:
            self._ended.append((told, under.notice.attempts + 1, now_us))
        return None

    def work(self, run: Run, now_us: int) -> None:
        """Note what became of attempts, and send what is due; while the database is away, later."""
        try:
            self._settle(run)
            self._send_due(run, now_us)
        except UNAVAILABLE as error:
            logger.debug("news of alarms wait for the database: %r", error)

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
            self._under_way.pop(told.id, None)
            if due_us is not None:
                self._next_us = due_us if self._next_us is None else min(self._next_us, due_us)

    def _retry_us(self, told: Told, attempts: int, now_us: int) -> int | None:
        """Return when news are tried again, None when they are not."""
        if not told.error:
            return None
        if told.is_final or attempts >= MOST_ATTEMPTS:
            self._counts["notice_given_up"] += 1
            logger.warning("news of an alarm are given up after %d attempts: %s", attempts, told.error)
            return None
        floor = min(RETRY_CAP, RETRY_BASE * attempts) / 4
        delay = compute_backoff(attempts - 1, base=RETRY_BASE, cap=RETRY_CAP, floor=floor)
        return now_us + int(delay * 1_000_000)

    def _send_due(self, run: Run, now_us: int) -> None:
        lost = [number for number, under in self._under_way.items() if now_us - under.since_us > LOST_AFTER_US]
        for number in lost:
            self.send(self._under_way[number].notice, now_us)
        if self._next_us is None or self._next_us > now_us:
            return
        skip = list(self._under_way)
        due, self._next_us = run(partial(_look_up, now_us=now_us, skip=skip))
        for notice in due:
            self.send(notice, now_us)


def _look_up(database: Any, now_us: int, skip: Sequence[int]) -> tuple[list[Notice], int | None]:
    due = storage.due_notices(database, now_us, skip)
    under_way = [*skip, *(notice.id for notice in due)]
    return due, storage.next_due_us(database, under_way)
