"""What the database tells of the past of a presence, see `actors.presence_history`."""

from __future__ import annotations

from typing import Any

import msgspec
from peewee import fn

from actors.presence_history import ASLEEP, FLEET, OWN, START
from actors.storage.models import Event, LastSeen, Reading

MOST_EVENTS = 5_000
"""Events that one question may look at; a page shows hundreds."""
OTHERS = 20
"""How many of the latest events before a time are looked at: those of other servers are among them."""


class FindPast(msgspec.Struct, frozen=True, kw_only=True):
    """The events that decide what the presence of one device was; sight is that of one link of one server."""

    serial: str
    link: str
    server: str
    since_us: int
    until_us: int

    def run(self, database: Any) -> list[dict[str, Any]]:
        """Return rows of `event` as `derive_past` wants them, in no order.

        Raises:
            OverflowError: there are more than `MOST_EVENTS`.

        """
        own, fleet = Event.serial == self.serial, Event.serial == ""
        before, since = Event.ts_us < self.since_us, Event.ts_us >= self.since_us
        latest = [
            (own & (Event.kind == "presence"), 1),
            (own & Event.kind.in_(("quarantine", "resume")), 1),
            (fleet & Event.kind.in_(("blind", "sight")) & Event.data.contains(f'"{self.link}"'), OTHERS),
            (fleet & (Event.kind == START), OTHERS),
        ]
        rows = [row for where, limit in latest for row in _rows(database, where & before, limit)]
        rows += self._within(database, own & Event.kind.in_(OWN) & since & (Event.ts_us < self.until_us))
        rows += self._within(database, fleet & Event.kind.in_(FLEET) & since)
        return list(filter(self._counts, rows))

    def _within(self, database: Any, where: Any) -> list[dict[str, Any]]:
        rows = _rows(database, where, MOST_EVENTS + 1)
        if len(rows) > MOST_EVENTS:
            raise OverflowError(f"more than {MOST_EVENTS} events")
        return rows

    def _counts(self, row: dict[str, Any]) -> bool:
        """Tell whether an event is this device's, or one of its server and, if of a link, of its link."""
        if row["kind"] in OWN:
            return True
        data = row["data"]
        is_ours = data.get("server", self.server) == self.server  # older events do not tell whose they are
        return is_ours and (row["kind"] in (START, ASLEEP) or data.get("link") == self.link)


def find_last_trace(database: Any, *, server: str, alone: bool) -> int | None:
    """Return when the server `server` last wrote something of what it heard, microseconds; None for never.

    Where others share the database (`alone` is False), only its own events prove that it was there.
    """
    fleet = _rows(database, (Event.serial == "") & Event.kind.in_(FLEET), OTHERS)
    times = [row["ts_us"] for row in fleet if row["data"].get("server", server) == server]
    if alone:
        times.append(Event.select(Event.ts_us).order_by(Event.id.desc()).limit(1).scalar(database))
        times.append(Reading.select(Reading.rx_us).order_by(Reading.id.desc()).limit(1).scalar(database))
        times.append(LastSeen.select(fn.MAX(LastSeen.ts_us)).scalar(database))
    return max(filter(None, times), default=None)


def _rows(database: Any, where: Any, limit: int) -> list[dict[str, Any]]:
    """Return the latest events that match, decoded."""
    query = Event.select(Event.ts_us, Event.kind, Event.data).where(where).order_by(Event.id.desc()).limit(limit)
    return [row | {"data": msgspec.json.decode(row["data"])} for row in query.dicts().execute(database)]
