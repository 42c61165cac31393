"""What is known of the rollouts, and its way to the disk: a step is written before anybody is answered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import Any, Final, TypeVar

from peewee import Database

from actors.registry import Execute
from actors.runtime import Directory, Runtime
from actors.storage import updates as storage
from actors.storage.updates import StoredEntry
from actors.updates import steps
from actors.updates.book import Book, Live, UpdatesBoard
from actors.updates.calls import Calls
from actors.updates.entry import Changes, Entry
from actors.updates.header import Header
from actors.updates.messages import Releases
from actors.updates.offers import Compare
from actors.updates.rollout import Rollout
from actors.updates.states import STATES

logger = logging.getLogger(__name__)

T = TypeVar("T")

SLICE: Final = 1_000
"""Devices written, or loaded, in one transaction."""
REVOKED: Final = "the release is revoked"
"""Why a rollout is halted."""
SPARED: Final = "rolled_back_before"
"""Why a device is left out."""


@dataclass
class Desk:
    """What the rollouts' actor needs; it outlives the actor."""

    runtime: Runtime
    services: Directory
    board: UpdatesBoard
    releases: Releases
    ask: Callable[[Any], Any]
    """Gets the writer's answer to a message."""
    site_of: Callable[[str], str]
    """Tells the site of a device, empty for none."""
    takes_calls: Callable[[str], bool]
    """Tells whether a device is there now, and knows the command `update`."""
    is_gone: Callable[[str], bool]
    """Tells whether a device has been offline for a while; not whether nobody can see it."""
    compare: Compare
    show: Callable[[Header], object]
    """Called with each rollout that is new or has changed."""


class Keeper:
    """The rollouts in memory, as they are on the disk. What asks the writer raises what it raises while it is away."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.board = desk.board
        self.book = Book(desk.board)
        self.calls = Calls(desk, self.book)

    def now(self) -> float:
        """Return the time, seconds since 1970."""
        return self.desk.runtime.clock.time()

    def now_us(self) -> int:
        """Return the time, microseconds since 1970."""
        return round(self.now() * 1_000_000)

    def ask(self, work: Callable[[Database], T]) -> T:
        """Return what the writer's work gives; without an answer it may have been done all the same."""
        answer: T = self.desk.ask(Execute(work))
        return answer

    def is_valid(self, live: Live) -> bool:
        """Return whether the release of a rollout is there and not revoked."""
        facts = self.desk.releases.facts(live.header.release_id)
        return facts is not None and not facts.revoked

    # From the disk

    def read(self) -> None:
        """Read everything anew, and do what was cut off."""
        self.book.clear()
        self.calls.clear()
        self.ask(storage.delete_orphans)
        self.board.stored_windows = MappingProxyType(self.ask(storage.load_windows))
        for header in self.ask(storage.find_live):
            live = self._restore(header)
            self.book.put(live)
            changes = live.rollout.recover(self.now())
            if not self.is_valid(live):
                changes.add(live.rollout.halt(REVOKED))
            changes.add(live.rollout.tick(self.now()))
            self.save(live, changes)
            self._call(live, live.rollout.entries.values())

    def visit(self, rollout_id: str) -> Live | None:
        """Return a rollout, be it over; None for none."""
        live = self.book.get(rollout_id)
        header = self.ask(partial(storage.find_rollout, rollout_id=rollout_id)) if live is None else None
        if header is not None:
            live = self._restore(header)
            self.book.put(live)
        return live

    def _restore(self, header: Header) -> Live:
        entries: list[Entry] = []
        while True:
            after = entries[-1].serial if entries else ""
            part = self.ask(partial(storage.load_entries, rollout_id=header.id, after=after, limit=SLICE))
            entries += part
            if len(part) < SLICE:
                break
        rollout = Rollout(
            header.read_plan(),
            entries,
            status=header.status,
            reason=header.reason,
            wave=header.wave,
            reached_at=None if header.reached_us is None else header.reached_us / 1_000_000,
            heard_from=self.now(),
            is_gone=self.desk.is_gone,
        )
        return Live(header, rollout)

    # To the disk

    def add(self, live: Live, record: steps.Record) -> None:
        """Write a new rollout: its devices first, it counts when its own row is there."""
        live.header = live.renew(live.header.created_us)
        for part in _slices(live.rollout.entries.values()):
            self.ask(partial(steps.insert_entries, rollout_id=live.header.id, entries=part))
        self.ask(partial(steps.begin, header=live.header, record=record))
        self._settle(live)
        self._call(live, live.rollout.entries.values())

    def save(self, live: Live, changes: Changes, record: steps.Record | None = None) -> None:
        """Write what a step has changed, then let everybody see it."""
        if not changes:
            return
        before = live.header
        header = live.renew(self.now_us())
        records = [record] if record is not None else []
        news = header.status if header.status != before.status and header.status in ("halted", "completed") else ""
        if news:
            records.append(steps.trace(news, None, id=header.id, version=header.version, reason=header.reason))
        parts = list(_slices(changes.entries.values())) or [[]]
        self.ask(partial(steps.save, header=header, entries=parts[0], records=records))
        for part in parts[1:]:
            self.ask(partial(steps.save_more, header=header, entries=part))
        live.header = header
        for serial, entry in changes.entries.items():
            if STATES[entry.state].kind == "active":
                live.saved_at[serial] = entry.since
            else:
                live.saved_at.pop(serial, None)
        if news:
            self.board.actions[news] += 1
            logger.info("rollout %s of %s is %s %s", header.id, header.version, news, header.reason)
        self._settle(live)
        goes_on = header.status != before.status
        self._call(live, live.rollout.entries.values() if goes_on else changes.entries.values())

    def _call(self, live: Live, entries: Iterable[Entry]) -> None:
        """Have those of the devices called that are offered the release now."""
        if live.rollout.status == "running" and live.rollout.plan.call:
            self.calls.want(entry.serial for entry in entries if entry.state == "offered")

    def _settle(self, live: Live) -> None:
        self.book.put(live)
        self.desk.show(live.header)


def _slices(entries: Iterable[Entry]) -> Iterator[list[StoredEntry]]:
    rest = map(StoredEntry.of, entries)
    while part := list(islice(rest, SLICE)):
        yield part
