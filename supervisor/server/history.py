"""What is kept of the past: read for the HTTP face, and what a start has to note for it."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from actors.messages import StoreEvent
from actors.presence_history import START, derive_past
from actors.registry import Execute
from actors.storage.buckets import FindBuckets
from actors.storage.letter_counts import CountDeadLetters
from actors.storage.past import FindPast, find_last_trace
from actors.storage.queries import FindDeadLetters, FindEvents, FindReadings, FindSensors, Page
from actors.timestamps import rfc3339
from supervisor.server.parts import Parts
from web.face import Item


def note_start(parts: Parts) -> None:
    """Note once that this process came, and since when nobody had listened, as far as the database can tell.

    Raises what `Parts.ask_registry` raises.
    """
    if parts.start_noted:
        return
    now_us = int(parts.runtime.clock.time() * 1_000_000)
    find = partial(find_last_trace, server=parts.server_id, alone=parts.serves_all)
    last_us: int | None = parts.ask_registry(Execute(find))
    body = {"server": parts.server_id, "since": rfc3339(min(last_us or now_us, now_us))}
    parts.services.tell("notary", StoreEvent(START, "", now_us, msgspec.json.encode(body).decode()))
    parts.start_noted = True


class HistoryFace:
    """The database, read through the readers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._readers = parts.readers
        self._rollup_key = parts.rollup_key

    def readings(
        self, serial: str, *, metric: str | None, since_us: int | None, until_us: int | None, limit: int, cursor: str
    ) -> tuple[list[Item], str | None]:
        """Return readings, newest first; with `metric` only that one of each."""
        query = FindReadings(
            serial=serial, metric=metric, since_us=since_us, until_us=until_us, limit=limit, after=cursor or None
        )
        items, following = self._page(query)
        if metric is not None:
            items = [item | {"measures": {metric: item["measures"][metric]}} for item in items]
        return items, following

    def buckets(
        self,
        serial: str,
        *,
        metric: str,
        since_us: int | None,
        until_us: int | None,
        bucket_us: int,
        limit: int,
        cursor: str,
    ) -> tuple[list[Item], str | None]:
        """Return the numbers of each interval, newest first."""
        query = FindBuckets(
            serial=serial,
            metric=metric,
            since_us=since_us,
            until_us=until_us,
            bucket_us=bucket_us,
            limit=limit,
            after=cursor or None,
            follower=self._rollup_key,
        )
        return self._page(query)

    def events(
        self, serial: str, *, kind: str | None, since_us: int | None, until_us: int | None, limit: int, cursor: str
    ) -> tuple[list[Item], str | None]:
        """Return a device's timeline, newest first."""
        query = FindEvents(
            serial=serial, kind=kind, since_us=since_us, until_us=until_us, limit=limit, after=cursor or None
        )
        return self._page(query)

    def presence(self, serial: str, *, since_us: int, until_us: int | None) -> list[Item]:
        """Return what a device's presence was, oldest first; up to now without `until_us`."""
        fleet = self._parts.fleet
        record = fleet.record(serial)
        if record is None:
            return []
        now_us = int(self._parts.runtime.clock.time() * 1_000_000)
        end_us = now_us if until_us is None else until_us
        link, server = fleet.sight(record).name, self._parts.server_id
        query = FindPast(serial=serial, link=link, server=server, since_us=since_us, until_us=end_us)
        events: list[Item] = self._readers.ask(query)
        segments = derive_past(fleet.view(record), events, since_us, end_us, to_now=until_us is None)
        return [segment._asdict() for segment in segments]

    def sensors(self, serial: str) -> list[Item]:
        """Return the numbers that a device has sent."""
        return self._page(FindSensors(serial))[0]

    def dead_letters(
        self, *, reason: str | None, serial: str | None, limit: int, cursor: str
    ) -> tuple[list[Item], str | None]:
        """Return dead letters, newest first."""
        return self._page(FindDeadLetters(reason=reason, serial=serial, limit=limit, after=cursor or None))

    def dead_letter(self, letter: int) -> Item | None:
        """Return one dead letter."""
        items, _ = self._page(FindDeadLetters(limit=1, after=str(letter + 1)))
        return items[0] if items and items[0]["id"] == letter else None

    def dead_letter_reasons(self, serial: str | None) -> list[Item]:
        """Return how many dead letters there are, by reason."""
        return self._page(CountDeadLetters(serial=serial))[0]

    def _page(self, query: Any) -> tuple[list[Item], str | None]:
        page: Page = self._readers.ask(query)
        return page.items, page.cursor
