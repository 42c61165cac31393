"""What a device's presence was, told from what is kept: its own transitions, and what the server could see.

Nobody writes down each device's `unknown`: one event tells of a blink that hides a whole fleet. So the past is derived
as the present is (`actors.presence`), with one difference: of a time in which nobody could hear, nothing is known of a
device that was offline before either.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from actors.fleet import DeviceView
from actors.presence import DerivedPresence

OWN: Final = ("presence", "quarantine", "resume")
"""Kinds of a device's own events that decide about its presence."""
START: Final = "start"
"""The server came: since when it had been away is in the event as `since`."""
ASLEEP: Final = "asleep"
"""The process was stopped and went on: the same."""
FLEET: Final = ("blind", "sight", START, ASLEEP)
"""Kinds of the fleet's events that do."""
SLACK_US: Final = 5_000_000
"""A silence is judged a little after its deadline, see `actors.device`."""

PastReason = Literal[
    "announce", "heartbeat", "data", "will", "goodbye", "timeout", "link_lost", "startup", "down", "quarantined"
]
"""Why a presence was what it was: `down` means that no server ran."""


class Segment(NamedTuple):
    """A stretch of one presence."""

    since_us: int
    until_us: int
    presence: DerivedPresence | None
    """None before the first sign of the device."""
    reason: str | None
    """None where there is no presence, and where nothing is kept that tells."""


@dataclass(slots=True)
class _Past:
    """What is known of the device at one moment, and what has been told up to it."""

    offline_after_us: int
    known: bool = False
    presence: DerivedPresence = "unknown"
    reason: str | None = None
    is_down: bool = False
    hidden: str = ""
    """Why its link saw nothing; empty while it sees."""
    is_parked: bool = False
    doubt: tuple[int, str] | None = None
    """Since when it can be seen again, and what had hidden it, until it is known to have been heard."""
    told: list[Segment] = field(default_factory=list)

    @property
    def veil(self) -> str:
        """Why nothing is known of the device, empty where something is."""
        return "down" if self.is_down else self.hidden or ("quarantined" if self.is_parked else "")

    def tell(self, since_us: int, until_us: int) -> None:
        """Note a stretch in which nothing changes."""
        if since_us >= until_us:
            return
        if not self.known:
            self.told.append(Segment(since_us, until_us, None, None))
        elif self.veil:
            self.told.append(Segment(since_us, until_us, "unknown", self.veil))
        else:
            self.told.append(Segment(since_us, until_us, self.presence, self.reason))

    def take(self, mark: _Mark) -> None:
        """Go on to what is known from this moment on."""
        veil = self.veil
        if mark.kind == "presence":
            self._changed(mark)
        for name, value in _MEANING.get(mark.kind, {}).items():
            setattr(self, name, value)
        if self.veil:
            self.doubt = None
        elif veil:
            self.doubt = (mark.at_us, veil)

    def _changed(self, mark: _Mark) -> None:
        """Take a transition. A timeout that came at the first deadline says that the device was never heard again."""
        if mark.reason == "timeout" and self.doubt and mark.at_us <= self.doubt[0] + self.offline_after_us + SLACK_US:
            self.retract()
        self.presence, self.reason, self.doubt = mark.presence, mark.reason, None

    def retract(self) -> None:
        """Make unknown what was told since the device could be seen again: it was not heard."""
        if self.doubt is None:
            return
        since_us, veil = self.doubt
        for at in reversed(range(len(self.told))):
            segment = self.told[at]
            if segment.since_us < since_us:
                break
            if segment.presence == "online":
                self.told[at] = segment._replace(presence="unknown", reason=veil)


_MEANING: Final[Mapping[str, Mapping[str, Any]]] = {
    "known": {"known": True},
    "down": {"is_down": True},
    START: {"is_down": False, "hidden": "startup"},
    ASLEEP: {"is_down": False},
    "blind": {"hidden": "link_lost"},
    "sight": {"hidden": ""},
    "quarantine": {"is_parked": True},
    "resume": {"is_parked": False},
}
"""What holds from a mark of each kind on; a transition of the device itself says more."""


class _Mark(NamedTuple):
    """Something that changes what is known, in the order in which marks of one moment count."""

    at_us: int
    rank: int
    kind: str
    presence: DerivedPresence = "unknown"
    reason: str | None = None


def derive_past(
    view: DeviceView, events: Iterable[dict[str, Any]], since_us: int, until_us: int, *, to_now: bool
) -> list[Segment]:
    """Return what the presence of a device was, oldest first, without a hole.

    Args:
        view: the device as it is now.
        events: rows of `event` with `ts_us`, `kind` and `data`, of the kinds `OWN` and `FLEET`: those of the time
            asked for, of what came before it the latest, and those of the fleet that came after it.
        since_us: where to begin.
        until_us: where to end; not in the future.
        to_now: whether that is now, so that `view` tells how it ends.

    """
    past = _Past(offline_after_us=int(view.offline_after * 1_000_000))
    at_us = since_us
    for mark in sorted(_marks(view, events)):
        if mark.at_us >= until_us:
            break
        past.tell(at_us, mark.at_us)
        at_us = max(at_us, mark.at_us)
        past.take(mark)
    past.tell(at_us, until_us)
    if to_now and view.presence == "unknown":
        past.retract()
    return list(_joined(past.told))


def _marks(view: DeviceView, events: Iterable[dict[str, Any]]) -> Iterator[_Mark]:
    known = view.snapshot
    if known.first_seen_us:
        yield _Mark(known.first_seen_us, 0, "known")
        # The latest transition may be on its way to the database, or too old to be kept as an event.
        yield _Mark(known.since_us, 2, "presence", known.presence, known.reason)
    for event in events:
        data = event["data"]
        match event["kind"]:
            case "presence":
                yield _Mark(event["ts_us"], 2, "presence", data["presence"], data["reason"])
            case "start" | "asleep" as kind:  # START and ASLEEP: a pattern takes no plain name
                yield _Mark(event["ts_us"], 1, kind)
                yield _Mark(min(_time_us(data["since"]), event["ts_us"]), 0, "down")
            case kind:
                yield _Mark(event["ts_us"], 2, kind)


def _time_us(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)


def _joined(segments: list[Segment]) -> Iterator[Segment]:
    """Yield the segments, of neighbours that say the same only one."""
    open_: Segment | None = None
    for segment in segments:
        if open_ is not None and open_[2:] == segment[2:]:
            open_ = open_._replace(until_us=segment.until_us)
            continue
        if open_ is not None:
            yield open_
        open_ = segment
    if open_ is not None:
        yield open_
