"""Declared against observed: of the devices that are expected at a site, who is there, and who is there uncalled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, get_args

import msgspec

from actors.fleet import DeviceView, Fleet
from actors.presence import DerivedPresence

State = Literal["healthy", "silent", "unknown", "elsewhere", "undeclared"]
"""What a roster says of a device, see `judge`."""
STATES: Final[tuple[State, ...]] = get_args(State)
_BY_PRESENCE: Final[Mapping[DerivedPresence, State]] = {"online": "healthy", "offline": "silent", "unknown": "unknown"}


class Entry(msgspec.Struct, frozen=True):
    """One device of a roll call."""

    serial: str
    state: State
    view: DeviceView | None
    """None for a serial that has never been heard of."""


def call_roll(site: str, declared: frozenset[str], fleet: Fleet) -> list[Entry]:
    """Return every device that is declared at a site or seen there, by serial."""
    seen = {record.snapshot.serial for record in fleet if record.snapshot.site == site}
    return [_entry(serial, site, declared, fleet) for serial in sorted(declared | seen)]


def count_rolls(rosters: Mapping[str, frozenset[str]], fleet: Fleet) -> Iterator[tuple[str, State, int]]:
    """Yield site, state and how many, for every roster; one walk over the fleet serves them all."""
    seen: dict[str, set[str]] = {site: set() for site in rosters}
    for record in fleet:
        at_site = seen.get(record.snapshot.site)
        if at_site is not None:
            at_site.add(record.snapshot.serial)
    for site, declared in rosters.items():
        counts: dict[State, int] = dict.fromkeys(STATES, 0)
        counts["undeclared"] = len(seen[site] - declared)
        for serial in declared:
            counts[_entry(serial, site, declared, fleet).state] += 1
        for state, count in counts.items():
            yield site, state, count


def judge(site: str, *, is_declared: bool, seen_at: str | None, presence: DerivedPresence | None) -> State:
    """Return what a roster says of a device.

    | declared here | where it was seen | presence | state |
    |---|---|---|---|
    | no | here | any | undeclared |
    | yes | nowhere | none | silent |
    | yes | another site | any | elsewhere |
    | yes | here, or it tells no site | online | healthy |
    | yes | here, or it tells no site | offline | silent |
    | yes | here, or it tells no site | unknown: we cannot see it now | unknown |

    Args:
        site: whose roster it is.
        is_declared: whether it is on it.
        seen_at: the site of the device's record, empty for none; None without a record.
        presence: of the device; None without a record.

    """
    if not is_declared:
        return "undeclared"
    if presence is None:
        return "silent"
    if seen_at not in ("", site):
        return "elsewhere"
    return _BY_PRESENCE[presence]


def _entry(serial: str, site: str, declared: frozenset[str], fleet: Fleet) -> Entry:
    view = fleet.get(serial)
    seen_at = view.snapshot.site if view is not None else None
    presence = view.presence if view is not None else None
    return Entry(serial, judge(site, is_declared=serial in declared, seen_at=seen_at, presence=presence), view)
