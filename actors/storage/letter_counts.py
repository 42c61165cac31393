"""How many dead letters there are, by reason: read from an index, none of the messages."""

from __future__ import annotations

from typing import Any

import msgspec
from peewee import fn

from actors.storage.models import DeadLetter
from actors.storage.queries import Page


class CountDeadLetters(msgspec.Struct, frozen=True, kw_only=True):
    """The reasons of the dead letters that are kept, the most frequent first: `reason` and `count`."""

    serial: str | None = None
    """Only those of this device; empty: of those that nobody could be told from."""

    def run(self, database: Any) -> Page:
        """Return all of them: reasons are few."""
        count = fn.COUNT(DeadLetter.id)
        query = DeadLetter.select(DeadLetter.reason, count.alias("count")).group_by(DeadLetter.reason)
        if self.serial is not None:
            query = query.where(DeadLetter.serial == self.serial)
        rows = query.order_by(count.desc(), DeadLetter.reason).dicts().execute(database)
        return Page(list(rows), None)
