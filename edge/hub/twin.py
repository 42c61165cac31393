"""The twin as the edge keeps it: what is desired, what the hub knows as reported, and what to ask or report next.

No socket and no clock: requests come out of `next_request`, answers go in, times are monotonic seconds. One request is
out at a time. The hub queues no desired properties while we are away, so the whole twin is fetched after each connect;
patches that come meanwhile wait for it, and one that is not newer than what we have is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from actors.runtime import compute_backoff
from edge.hub.board import HubCounters
from edge.hub.parts import TwinSource
from edge.hub.properties import difference, merge, storable, without_system
from edge.hub.topics import TwinAnswer, get_twin, report_twin

REPORT_EVERY = 30.0
"""Seconds between two reports."""
FULL_EVERY = 3600.0
"""Seconds after which everything is reported, changed or not."""
ANSWER_WITHIN = 30.0
"""Seconds that the hub has for an answer."""
BACKOFF_BASE, BACKOFF_CAP = 5.0, 300.0
"""Seconds until a request that was throttled or failed is made again."""
MOST_EARLY = 100
"""Patches that are kept while the whole twin is on its way."""
APPLIED = "applied"
"""Reported: what became of each desired property."""


class Request(NamedTuple):
    """Something to publish."""

    topic: str
    payload: bytes


class TwinDocument(msgspec.Struct, frozen=True):
    """The answer to a GET."""

    desired: dict[str, Any] = {}
    reported: dict[str, Any] = {}


@dataclass(slots=True)
class _Pending:
    """The request that is out; `patch` is None for a GET."""

    request_id: str
    answer_by: float
    patch: dict[str, Any] | None = None
    full: bool = False


class Twin:
    """One twin; belongs to the hub's thread."""

    def __init__(self, source: TwinSource, counters: HubCounters) -> None:
        self.version = 0
        """Of the desired properties that are applied."""
        self.last_error = ""
        """Why the last request did not succeed; empty again after one that did."""
        self._source, self._counters = source, counters
        self._desired: dict[str, Any] = {}
        self._applied: dict[str, Any] = {}
        self._reported: dict[str, Any] = {}
        self._early: list[tuple[int, dict[str, Any]]] = []
        self._pending: _Pending | None = None
        self._fetched = False
        self._requests = 0
        self._failures = 0
        self._due_at = 0.0
        self._full_at = 0.0

    @property
    def is_waiting(self) -> bool:
        """Whether a request is out."""
        return self._pending is not None

    def begin(self, now: float) -> None:
        """Start anew on a new connection: with a GET, and a report after it."""
        self._pending, self._fetched = None, False
        self._early.clear()
        self._failures = 0
        self._due_at = now

    def next_request(self, now: float) -> Request | None:
        """Return what has to be published now."""
        if self._pending is not None:
            if now < self._pending.answer_by:
                return None
            self._fail(f"the hub did not answer within {ANSWER_WITHIN:g} s", now, later=True)
        if now < self._due_at:
            return None
        return self._report(now) if self._fetched else self._get(now)

    def farewell(self, now: float) -> Request | None:
        """Return the report that we are going, if the hub has one that we are here."""
        if not self._reported.get("online"):
            return None
        return self._send({"online": False}, now)

    def take_answer(self, answer: TwinAnswer, payload: bytes, now: float) -> None:
        """Take the answer to a request; one that nobody waits for any more is dropped."""
        pending = self._pending
        if pending is None or answer.request_id != pending.request_id:
            return
        self._pending = None
        if not 200 <= answer.status < 300:
            self._fail_with(pending, answer.status, now)
        elif pending.patch is None:
            self._take_whole(payload, now)
        else:
            self._failures, self.last_error = 0, ""
            self._counters.reports += 1
            self._reported = merge(self._reported, pending.patch)
            if pending.full:
                self._full_at = now + FULL_EVERY

    def take_patch(self, version: int, payload: bytes, now: float) -> None:
        """Take a change of desired properties.

        Raises:
            msgspec.DecodeError: it cannot be read.

        """
        patch = without_system(msgspec.json.decode(payload, type=dict[str, Any]))
        if not self._fetched:
            if len(self._early) < MOST_EARLY:
                self._early.append((version, patch))
        elif version > self.version + 1:  # one is missing
            self._fetched, self._due_at = False, now
        elif version == self.version + 1:
            self._apply(merge(self._desired, patch), version, now)

    def _take_whole(self, payload: bytes, now: float) -> None:
        try:
            document = msgspec.json.decode(payload, type=TwinDocument)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._counters.unreadable += 1
            self._fail(f"the twin cannot be read: {error}", now, later=True)
            return
        self._failures, self.last_error = 0, ""
        self._fetched = True
        self._reported = without_system(document.reported)
        number = document.desired.get("$version", 0)
        version = number if isinstance(number, int) else 0
        desired = without_system(document.desired)
        for later, patch in sorted(self._early, key=lambda item: item[0]):
            if later > version:
                desired, version = merge(desired, patch), later
        self._early.clear()
        self._apply(desired, version, now)

    def _apply(self, desired: dict[str, Any], version: int, now: float) -> None:
        self._desired, self.version = desired, version
        self._counters.desired += 1
        self._applied = self._source.apply(desired)
        self._due_at = now

    def _get(self, now: float) -> Request:
        self._pending = _Pending(self._next_id(), now + ANSWER_WITHIN)
        return Request(get_twin(self._pending.request_id), b"")

    def _report(self, now: float) -> Request | None:
        """Return a report of what has changed, or of everything when that is due."""
        self._due_at = now + REPORT_EVERY
        full = now >= self._full_at
        wanted = storable({"online": True, **self._source.reported(), APPLIED: self._applied})
        patch = difference(self._reported, wanted, full=full)
        return self._send(patch, now, full=full) if patch else None

    def _send(self, patch: dict[str, Any], now: float, *, full: bool = False) -> Request:
        self._pending = _Pending(self._next_id(), now + ANSWER_WITHIN, patch, full)
        return Request(report_twin(self._pending.request_id), msgspec.json.encode(patch))

    def _next_id(self) -> str:
        self._requests += 1
        return str(self._requests)

    def _fail_with(self, pending: _Pending, status: int, now: float) -> None:
        """Judge an answer that is no success: asked again soon, unless it is the report itself that is refused."""
        is_report = pending.patch is not None
        self._counters.reports_refused += is_report
        what = "report" if is_report else "twin's request"
        self._fail(f"the hub refused the {what} with status {status}", now, later=not is_report or is_later(status))

    def _fail(self, error: str, now: float, *, later: bool) -> None:
        """Note why a request failed; `later` tries it again with growing pauses, else the next report comes in turn."""
        self._pending = None
        self.last_error = error
        if later:
            self._due_at = now + compute_backoff(self._failures, base=BACKOFF_BASE, cap=BACKOFF_CAP, floor=1.0)
            self._failures += 1


def is_later(status: int) -> bool:
    """Return whether a status says: not now (408, throttled by 429, trouble of the hub's own)."""
    return status in (408, 429) or status >= 500
