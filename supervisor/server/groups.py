"""Groups, rosters and picks as the HTTP face sees them: reads come from the book, changes go to the actor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

import msgspec
from pykka import ActorDeadError

from actors.fleet import DeviceView
from actors.fleet_pages import Cut, Wanted, find_devices
from actors.groups.actor import GroupsActor
from actors.groups.book import GroupBook
from actors.groups.messages import (
    ChangeGroup,
    Code,
    CreateGroup,
    DeleteGroup,
    DeleteRoster,
    Group,
    GroupError,
    Origin,
    PutRoster,
)
from actors.groups.roster import STATES, Entry, call_roll, count_rolls
from actors.targets import UnknownTargetError
from supervisor.server.parts import Parts
from web.face import Item
from web.fleet import Filter
from web.groups import GroupsRefusedError

PATIENCE = 15.0
"""Seconds that a request waits for its change; others may be before it."""
REFRESH_EVERY = 30.0
"""Seconds after which a server sees what another one on the same database has changed."""
_STATUS: Final[dict[Code, int]] = {
    "not_found": 404,
    "unknown_device": 404,
    "exists": 409,
    "full": 409,
    "configured": 409,
}


def groups_actor(parts: Parts) -> GroupsActor:
    """Return the actor that changes groups and rosters."""
    return GroupsActor(
        ask=parts.ask_registry,
        runtime=parts.runtime,
        book=parts.groups,
        fleet=parts.fleet,
        counts=parts.group_counts,
        on_change=partial(_show, parts),
        refresh_every=0.0 if parts.serves_all else REFRESH_EVERY,
    )


def _show(parts: Parts, name: str) -> None:
    """Let pages ask for the groups anew."""
    parts.ring.publish("group", "", {"name": name})


def predicate(book: GroupBook, where: Filter) -> Callable[[DeviceView], bool]:
    """Return a filter as a function that knows groups by hand and by rule, too."""
    if where.group is None:
        return where.matches
    belongs, rest = book.belongs(where.group), replace(where, group=None)
    return lambda device: belongs(device.snapshot) and rest.matches(device)


def wanted(book: GroupBook, where: Filter) -> Wanted:
    """Return the same for the fleet."""
    if where.group is None:
        return where.wanted()
    found = replace(where, group=None).wanted()
    return found._replace(checks=(*found.checks, book.belongs(where.group)))


class GroupsFace:
    """Who belongs together, who is expected where, who has the least to do."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._book = parts.groups

    def items(self, after: str, limit: int, serial: str | None) -> tuple[list[Item], str | None]:
        """Return a page of groups by name."""
        names = self._book.groups.keys() | self._book.used() if serial is None else self._names_of(serial)
        found = sorted(name for name in names if name > after)
        cursor = found[limit - 1] if len(found) > limit else None
        return [self._show(name) for name in found[:limit]], cursor

    def get(self, name: str) -> Item:
        """Return a group and how many devices it has now."""
        views = list(filter(None, map(self._parts.fleet.get, self._members(name))))
        present = sum(view.presence == "online" for view in views)
        return self._show(name) | {"devices": len(views), "present": present}

    def create(self, group: Item, by: str, address: str) -> Item:
        """Declare a group."""
        return _shown(self._ask(CreateGroup(**group, origin=Origin(by, address))))

    def change(self, name: str, changes: Item, by: str, address: str) -> Item:
        """Change a group."""
        return _shown(self._ask(ChangeGroup(name=name, **changes, origin=Origin(by, address))))

    def delete(self, name: str, by: str, address: str) -> None:
        """Forget a group."""
        self._ask(DeleteGroup(name, Origin(by, address)))

    def page(self, name: str, after: str, limit: int) -> tuple[list[DeviceView], str | None]:
        """Return a page of a group's devices."""
        self._members(name)
        cut = Cut(after=(after, after), limit=limit)
        page = find_devices(self._parts.fleet, wanted(self._book, Filter(group=name)), cut)
        return page.devices, page.following[1] if page.following else None

    def pick(self, where: Filter) -> Item:
        """Return the least loaded of the devices that are present."""
        if where.group is not None:
            self._members(where.group)
        picked = self._parts.picker.pick(predicate(self._book, where))
        if picked is None:
            who = f"device of group {where.group}" if where.group is not None else "device that is asked for"
            raise GroupsRefusedError(409, "none_present", f"no {who} is present now")
        return {"device": picked.view, "commands": picked.commands, "load": picked.load_average}

    def rosters(self) -> list[Item]:
        """Return the rosters in short."""
        rosters = self._book.rosters()
        counts: dict[str, Item] = {site: {} for site in sorted(rosters)}
        for site, state, count in count_rolls(rosters, self._parts.fleet):
            counts[site][state] = count
        return [
            {"site": site, "source": self._source(site), "declared": len(rosters[site]), "counts": by_state}
            for site, by_state in counts.items()
        ]

    def roster(self, site: str) -> Item:
        """Return who is expected at a site and who is there."""
        declared = self._book.rosters().get(site)
        entries = call_roll(site, declared or frozenset(), self._parts.fleet)
        if declared is None and not entries:
            raise GroupsRefusedError(
                404, "not_found", f"there is neither a roster nor a device of {site}", {"site": site}
            )
        lists: Item = {state: [] for state in STATES}
        for entry in entries:
            lists[entry.state].append(_entry(entry))
        return {"site": site, "source": self._source(site), "declared": len(declared or ())} | lists

    def put_roster(self, site: str, serials: tuple[str, ...], by: str, address: str) -> Item:
        """Note who is expected at a site."""
        self._ask(PutRoster(site, serials, Origin(by, address)))
        if not serials and site not in self._book.rosters():
            return {"site": site, "source": None, "declared": 0} | {state: [] for state in STATES}
        return self.roster(site)

    def delete_roster(self, site: str, by: str, address: str) -> None:
        """Forget who is expected at a site."""
        self._ask(DeleteRoster(site, Origin(by, address)))

    def _source(self, site: str) -> str | None:
        if site in self._book.configured_rosters:
            return "configuration"
        return "api" if site in self._book.stored_rosters else None

    def _members(self, name: str) -> list[str]:
        try:
            return self._book.members(name)
        except UnknownTargetError as error:
            raise GroupsRefusedError(404, "not_found", str(error), {"name": name[:64]}) from error

    def _names_of(self, serial: str) -> list[str]:
        record = self._parts.fleet.record(serial)
        if record is None:
            raise GroupsRefusedError(404, "unknown_device", f"there is no device {serial}", {"serial": serial[:64]})
        return self._book.groups_of(record.snapshot)

    def _show(self, name: str) -> Item:
        group = self._book.groups.get(name)
        return _shown(group) if group is not None else _shown(Group(name=name)) | {"declared": False}

    def _ask(self, message: Any) -> Any:
        ref = self._parts.services.get("groups")
        if ref is None:
            raise ActorDeadError("the groups' actor is restarting")
        try:
            return ref.ask(message, block=True, timeout=PATIENCE)
        except GroupError as error:
            raise GroupsRefusedError(_STATUS[error.code], error.code, error.message, error.details) from error


def _shown(group: Group) -> Item:
    return {
        "name": group.name,
        "description": group.description,
        "rule": msgspec.to_builtins(group.rule),
        "members": sorted(group.members),
        "declared": True,
        "updated_us": group.updated_us,
        "changed_by": group.changed_by,
    }


def _entry(entry: Entry) -> Item:
    view = entry.view
    if view is None:
        return {"serial": entry.serial} | dict.fromkeys(("presence", "since_us", "last_seen_us", "label", "site"))
    return {
        "serial": entry.serial,
        "presence": view.presence,
        "since_us": view.since_us,
        "last_seen_us": view.last_seen_us,
        "label": view.snapshot.label or None,
        "site": view.snapshot.site or None,
    }
