"""The fleet a page at a time: chosen, sorted and counted on the thread of whoever asks.

One pass over the records answers each question. No order is kept, so that a device costs no more at rest and the
dispatcher, which writes the records, has nothing to do for it; and what is derived (presence, flapping) is as of now.
The pass is made of comprehensions, which let other threads run, and makes views of the devices on the page alone; there
is one at a time, or many who ask at once would leave nothing to those threads.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import nlargest, nsmallest
from typing import Any, Final, Literal, NamedTuple

from actors.fleet import DeviceView, Fleet, Record, words_of
from actors.messages import DeviceSnapshot
from actors.presence import DerivedPresence

Sort = Literal["serial", "label", "presence", "since", "last_seen", "kind", "site"]
Place = tuple[str | int, str]
"""Where a device stands in an order: its key, and its serial, which decides among equals."""
Check = Callable[[DeviceSnapshot], bool]

SEVERITY: Final[Mapping[DerivedPresence, int]] = {"offline": 0, "unknown": 1, "online": 2}
"""The order of presences: what is wrong comes first."""
BEHIND_ALL: Final = "\U0010ffff"
"""Devices without a site are behind those with one."""


class Wanted(NamedTuple):
    """Which devices: those that pass every check, and what only the fleet can tell of them; None does not restrict."""

    checks: Sequence[Check] = ()
    presence: DerivedPresence | None = None
    flapping: bool | None = None
    q: str = ""
    """A part of a word, see `words_of`, whatever the case."""


class Cut(NamedTuple):
    """Which part of them, in which order."""

    sort: Sort = "serial"
    descending: bool = False
    after: Place | None = None
    """Of the last device before; it need not be there any more."""
    limit: int = 100


class FleetPage(NamedTuple):
    """A page, and what is around it."""

    devices: list[DeviceView]
    following: Place | None
    """Where the next page goes on, None at the end."""
    matches: int
    """Devices that are wanted, on this page or another."""


EVERYTHING: Final = Wanted()
FIRST: Final = Cut()


def find_devices(fleet: Fleet, wanted: Wanted = EVERYTHING, cut: Cut = FIRST) -> FleetPage:
    """Return a page of the devices that are wanted.

    A page goes on by the place of the last device before, not by a number: what comes, goes or changes meanwhile
    neither repeats nor hides a device that stays where it is.

    Raises TimeoutError when too many ask at once, see `Fleet.turn`.
    """
    if cut.sort == "serial" and wanted == EVERYTHING:
        places, matches = _next_serials(fleet.serials(), cut), len(fleet)
    else:
        with fleet.turn():
            records = _narrow(fleet, wanted)
            places, matches = _next_places(KEYS[cut.sort](fleet, records), records, cut), len(records)
    shown = [view for _, serial in places[: cut.limit] if (view := fleet.get(serial)) is not None]
    return FleetPage(shown, places[cut.limit - 1] if len(places) > cut.limit else None, matches)


def _next_serials(serials: list[str], cut: Cut) -> list[Place]:
    """Return the places behind the cut, and one more, of a list that is sorted already."""
    many = cut.limit + 1
    if cut.descending:
        end = bisect_left(serials, cut.after[1]) if cut.after else len(serials)
        chosen = serials[max(0, end - many) : end][::-1]
    else:
        start = bisect_right(serials, cut.after[1]) if cut.after else 0
        chosen = serials[start : start + many]
    return [(serial, serial) for serial in chosen]


def _next_places(keys: Sequence[str | int], records: list[Record], cut: Cut) -> list[Place]:
    """Return the places behind the cut, and one more."""
    serials = [record.snapshot.serial for record in records]
    after: Any = cut.after
    places: Iterable[Any] = zip(keys, serials, strict=True)
    if cut.descending:
        # Among equals the records come mostly by serial: from the end on the heap changes least.
        places = zip(reversed(keys), reversed(serials), strict=True)
        return nlargest(cut.limit + 1, places if after is None else (place for place in places if place < after))
    return nsmallest(cut.limit + 1, places if after is None else (place for place in places if place > after))


def _narrow(fleet: Fleet, wanted: Wanted) -> list[Record]:
    records = list(fleet)
    for check in wanted.checks:
        records = [record for record in records if check(record.snapshot)]
    if wanted.q:
        q = wanted.q.lower()
        records = [record for record in records if q in (record.words or _read_words(record))]
    if wanted.flapping is not None:
        restless = {id(record) for record in fleet.flapping(records)}
        records = [record for record in records if (id(record) in restless) == wanted.flapping]
    if wanted.presence is not None:
        shown = zip(records, fleet.presences(records), strict=True)
        records = [record for record, presence in shown if presence == wanted.presence]
    return records


def _read_words(record: Record) -> str:
    snapshot = record.snapshot
    words = record.words = words_of(snapshot)
    if record.snapshot is not snapshot:
        record.words = ""  # it has changed meanwhile, and its actor has found nothing to forget
    return words


def _names(_: Fleet, records: list[Record]) -> list[str]:
    """Return what a device is called: its label, else its hostname, else its serial."""
    return [
        (known.label or known.hostname or known.serial).lower() for known in [record.snapshot for record in records]
    ]


KEYS: Final[Mapping[Sort, Callable[[Fleet, list[Record]], Sequence[str] | Sequence[int]]]] = {
    "serial": lambda _, records: [record.snapshot.serial for record in records],
    "label": _names,
    "presence": lambda fleet, records: [SEVERITY[presence] for presence in fleet.presences(records)],
    "since": lambda _, records: [record.snapshot.since_us for record in records],
    "last_seen": lambda _, records: [record.heard_us for record in records],
    "kind": lambda _, records: [record.snapshot.kind for record in records],
    "site": lambda _, records: [record.snapshot.site.lower() or BEHIND_ALL for record in records],
}
"""The key of each device in every order."""
NUMBERED: Final[frozenset[Sort]] = frozenset({"presence", "since", "last_seen"})
"""Orders whose keys are numbers; those of the others are texts."""
