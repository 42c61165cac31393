"""The roll call as the HTTP face sees it: part of `web.face`, in a module of its own for its length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Protocol

from actors.fleet import DeviceView, words_of
from actors.fleet_pages import FIRST, Check, Cut, FleetPage, Wanted
from actors.groups.labels import has_label
from actors.messages import DeviceSnapshot
from actors.presence import DerivedPresence

if TYPE_CHECKING:
    from web.face import Item

EXACT: Final = ("site", "kind", "type", "group", "hostname", "quarantined")
"""Restrictions that are fields of a device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which devices of the fleet are wanted; None does not restrict. Texts are compared exactly, `q` is a substring."""

    site: str | None = None
    kind: str | None = None
    type: str | None = None
    group: str | None = None
    """By the field `group` of a device alone; who knows groups by rule and by hand has to look at them first."""
    label: str | None = None
    """`key=value`, or `key` with any value."""
    presence: DerivedPresence | None = None
    hostname: str | None = None
    flapping: bool | None = None
    quarantined: bool | None = None
    q: str | None = None
    """Found in serial, label, hostname, IP or MAC address, site or device id, whatever the case."""

    def checks(self) -> Iterator[Check]:
        """Yield what can be told by the facts of a device alone."""
        for name in EXACT:
            if (value := getattr(self, name)) is not None:
                yield _is(name, value)
        if (label := self.label) is not None:
            yield lambda known: has_label(known.labels, label)

    def wanted(self) -> Wanted:
        """Return the same for the fleet."""
        return Wanted(tuple(self.checks()), self.presence, self.flapping, self.q or "")

    def matches(self, device: DeviceView) -> bool:
        """Tell whether `device` passes every restriction."""
        return (
            all(check(device.snapshot) for check in self.checks())
            and (self.presence is None or device.presence == self.presence)
            and (self.flapping is None or device.flapping == self.flapping)
            and (self.q is None or self.q.lower() in words_of(device.snapshot))
        )


def _is(name: str, value: Any) -> Check:
    field = attrgetter(name)
    return lambda known: bool(field(known) == value)


class Fleet(Protocol):
    """The roll call."""

    def get(self, serial: str) -> DeviceView | None:
        """Return one device, None when it is unknown."""
        ...

    def page(self, where: Filter, cut: Cut = FIRST) -> FleetPage:
        """Return the devices that are wanted, a page at a time."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Return `total`, `online`, `offline` and `unknown`."""
        ...

    def sites(self) -> list[Item]:
        """Return of every site with a device the fields of `web.answers_fleet.Site` but `health`, in no order."""
        ...

    def open_alarms(self) -> int:
        """Return how many alarms are open, those about no site included."""
        ...

    def create(self, device: DeviceSnapshot) -> DeviceView:
        """Add a device that has not spoken yet. Raises `ConflictError` when the serial exists."""
        ...

    def patch(self, serial: str, changes: Mapping[str, Any]) -> DeviceView | None:
        """Change fields by the names of `DeviceSnapshot` and return the result; None when the serial is unknown.

        Possible names: `label`, `group`, `site`, `offline_after` (None: back to policy), `metadata` (bytes, a JSON
        object), `device_token`, `pinned`; and `labels`, which are merged: a value of None takes one away.
        """
        ...

    def delete(self, serial: str) -> bool:
        """Remove a device and all that is kept of it; False when it is unknown."""
        ...
