"""The groups as everybody sees them: who belongs where, answered from memory, without asking an actor.

What the book holds is replaced as a whole by the groups' actor, so that any thread may read it at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from actors.fleet import Fleet
from actors.groups.messages import Group
from actors.groups.rules import Belongs
from actors.messages import DeviceSnapshot
from actors.targets import UnknownTargetError

_NO_GROUPS: Final[Mapping[str, Group]] = MappingProxyType({})
_NO_ROSTERS: Final[Mapping[str, frozenset[str]]] = MappingProxyType({})


def belongs_to(name: str, group: Group | None) -> Belongs:
    """Return what tells of a device whether it is in the group `name`, which `group` declares; None: nobody does."""
    if group is None:
        return lambda device: device.group == name
    members = group.members
    if group.rule is None:
        return lambda device: device.group == name or device.serial in members
    rule = group.rule.belongs()
    return lambda device: device.group == name or device.serial in members or rule(device)


class GroupBook:
    """Groups and rosters; it outlives the incarnations of the actor that writes it.

    A device belongs to a group if it is named in it, if the group's rule is true of it, or if its own field `group`
    names the group, which therefore need not be declared.

    Args:
        fleet: who can belong to a group.
        rosters: expected serials by site, as configured; nobody can change these while the server runs.

    """

    def __init__(self, fleet: Fleet, rosters: Mapping[str, Iterable[str]]) -> None:
        self._fleet = fleet
        self.configured_rosters = {site: frozenset(serials) for site, serials in rosters.items()}
        self.groups = _NO_GROUPS
        """Those that somebody has declared, by name."""
        self.stored_rosters = _NO_ROSTERS
        """Those that somebody has put in by hand, by site."""

    def members(self, name: str) -> list[str]:
        """Return the serials of the devices in a group, sorted.

        Raises:
            UnknownTargetError: a `LookupError`; nobody has declared it and no device names it.

        """
        belongs = self.belongs(name)
        found = [record.snapshot.serial for record in self._fleet if belongs(record.snapshot)]
        if not found and name not in self.groups:
            raise UnknownTargetError("group", name)
        found.sort()
        return found

    def belongs(self, name: str) -> Belongs:
        """Return what tells of a device whether it is in this group; of an unknown group nobody is."""
        return belongs_to(name, self.groups.get(name))

    def used(self) -> set[str]:
        """Return the names of groups that are used by devices' own fields, declared or not."""
        names = {record.snapshot.group for record in self._fleet}
        names.discard("")
        return names

    def groups_of(self, device: DeviceSnapshot) -> list[str]:
        """Return the groups that a device is in, sorted."""
        names = {name for name in self.groups if self.belongs(name)(device)}
        return sorted(names | {device.group} - {""})

    def rosters(self) -> dict[str, frozenset[str]]:
        """Return the expected serials by site; for a site that is configured the configuration counts alone."""
        return {**self.stored_rosters, **self.configured_rosters}
