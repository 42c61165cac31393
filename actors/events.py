"""The ring of live events: serialised once, read by every stream at its own pace.

Publishers never wait and never learn who listens. A reader holds nothing but the number of the last event it has seen;
one that falls off the ring is told to fetch everything again (`resync`).

Kinds that the page knows, with their key (states of one kind and key supersede each other) and data:

| kind | key | data |
|---|---|---|
| `device` | serial | Device JSON, or the changed part of it with `serial`: a record was made or changed |
| `presence` | serial | `serial`, `presence`, `reason`, `since` |
| `reading` | serial | `serial`, `ts`, `health_index`, `status`, `anomalies`, `measures`: at most one a second |
| `scan` | serial | a scan as `GET /api/scans` tells it, but for its `id`: of many at once only the newest |
| `removed` | serial | `serial` |
| `command` | serial | `id`, `device`, `name`, `state`, `reason`, `batch`, `updated`: a command is new or has changed |
| `twin` | serial | `serial`: what is desired or reported has changed |
| `enrolment` | serial | `serial`: who has enrolled, or waits to, has changed |
| `group` | | `name`: a group or a roster has changed |
| `sight` | link | `link`, `sees` (bool): presences are, or are no longer, `unknown` |
| `link` | link | `name`, `state` |
| `supervision` | path | `path`, `state`, `restarts`, `error`: a child was restarted, quarantined, resumed |
| `delivery` | notification and recipient | `notification`, `device`, `topic`, `state`, `reason`, `updated`, or `more` |
| `alarm` | id | an alarm as `GET /api/alarms` tells it, but for `members`: it was raised, has changed, or is over |
| `rollout` | id | `id`, `version`, `status`, `reason`, `wave`, `devices`, `counts`: it was started or has changed |
| `dead_letter` | | `reason`, `topic`, `serial` |
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

CAPACITY = 10_000
"""Events kept. At 1,000 events a second a page may be away for 10 s before it must fetch everything again."""
KINDS = (
    "device",
    "presence",
    "reading",
    "scan",
    "enrolment",
    "command",
    "group",
    "twin",
    "removed",
    "sight",
    "link",
    "supervision",
    "dead_letter",
    "alarm",
    "delivery",
    "rollout",
)
"""All of them, in the order in which people are told of them."""
STATES = frozenset({"device", "presence", "reading", "sight", "link", "supervision", "rollout"})
"""Kinds of which only the latest per key is worth writing."""
BY_SERIAL = frozenset({"device", "presence", "reading", "scan", "removed", "command", "enrolment", "twin"})
"""Kinds whose key is the serial of the device that they are about."""


class Event(NamedTuple):
    """One thing that happened."""

    seq: int
    kind: str
    key: str
    """What it is about: a serial, a link, a path of the tree; empty for none."""
    frame: bytes
    """The whole Server-Sent Event, ready to be written."""
    serial: str = ""
    """The device that it is about; empty for what is about none alone."""


class Batch(NamedTuple):
    """What is new to a reader."""

    events: list[Event]
    seq: int
    """Pass this to the next `since`."""
    resync: bool
    """True when events between were lost to this reader; `events` is empty then."""


class EventRing:
    """The last `capacity` events, numbered from 1; thread-safe.

    Ids on the wire are `epoch-number`; the epoch is random per ring, so that a number of an earlier process is not
    taken for one of ours.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.epoch = secrets.token_hex(4)
        self._capacity = capacity
        self._slots: list[Event | None] = [None] * capacity
        self._lock = threading.Lock()
        self._encoder = msgspec.json.Encoder()
        self._last = 0
        self._floor = 0
        """Readers of an earlier number must fetch everything again."""

    @property
    def last(self) -> int:
        """The number of the newest event, 0 before the first."""
        return self._last

    def publish(self, kind: str, key: str, data: Any, serial: str = "") -> int:
        """Add an event with anything that msgspec can encode; return its number.

        `serial` is the device that it is about, where `key` does not tell.
        """
        if kind in BY_SERIAL:
            serial = key
        with self._lock:
            seq = self._last + 1
            body = self._encoder.encode(data)
            frame = b"id: %s\nevent: %s\ndata: %s\n\n" % (self.event_id(seq).encode(), kind.encode(), body)
            self._slots[seq % self._capacity] = Event(seq, kind, key, frame, serial)
            self._last = seq
        return seq

    def skip(self) -> None:
        """Let every reader fetch everything again: more has changed at once than is worth telling one by one."""
        with self._lock:
            self._last += 1
            self._floor = self._last

    def since(self, seq: int, limit: int = 1000) -> Batch:
        """Return the events after number `seq`, at most `limit`."""
        if seq == self._last:
            return Batch([], seq, resync=False)
        with self._lock:
            if not max(self._last - self._capacity, self._floor) <= seq <= self._last:
                return Batch([], self._last, resync=True)
            until = min(self._last, seq + limit)
            events = list(self._between(seq + 1, until + 1))
        return Batch(events, until, resync=False)

    def event_id(self, seq: int) -> str:
        """Return the id that stands for `seq` on the wire."""
        return f"{self.epoch}-{seq}"

    def parse_id(self, event_id: str) -> int | None:
        """Return the number in an id of this ring, None for anything else."""
        epoch, _, number = event_id.partition("-")
        if epoch != self.epoch or not (number.isascii() and number.isdigit() and len(number) < 19):
            return None
        return int(number)

    def _between(self, start: int, stop: int) -> Iterator[Event]:
        for seq in range(start, stop):
            event = self._slots[seq % self._capacity]
            assert event is not None
            yield event


def coalesce(events: list[Event]) -> list[Event]:
    """Drop the states that a later one of the same kind and key supersedes; order is kept."""
    latest: set[tuple[str, str]] = set()
    kept: list[Event] = []
    for event in reversed(events):
        if event.kind in STATES:
            if (event.kind, event.key) in latest:
                continue
            latest.add((event.kind, event.key))
        kept.append(event)
    kept.reverse()
    return kept
