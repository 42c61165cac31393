"""Groups and rosters in the database; all that changes them runs in the writer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

import msgspec

from actors.groups.messages import Group
from actors.groups.rules import Rule
from actors.storage.models import Event, FleetGroup, FleetGroupMember, Roster

EVENT: Final = "group"
"""The kind of the audit records of groups."""
ROSTER_EVENT: Final = "roster"
"""The kind of the audit records of rosters."""
SLICE: Final = 300
"""Rows in one statement: SQLite takes no more than 999 values."""


def load_groups(database: Any) -> dict[str, Group]:
    """Return all groups by name."""
    members: dict[str, set[str]] = {}
    pairs = FleetGroupMember.select(FleetGroupMember.name, FleetGroupMember.serial).tuples()
    for name, serial in pairs.execute(database):
        members.setdefault(name, set()).add(serial)
    rows = FleetGroup.select().dicts().execute(database)
    return {row["name"]: _group(row, members.get(row["name"], ())) for row in rows}


def find_group(database: Any, name: str) -> Group | None:
    """Return one group, None if nobody has declared it."""
    rows = list(FleetGroup.select().where(FleetGroup.name == name).dicts().execute(database))
    if not rows:
        return None
    query = FleetGroupMember.select(FleetGroupMember.serial).where(FleetGroupMember.name == name).tuples()
    return _group(rows[0], (serial for (serial,) in query.execute(database)))


def count_groups(database: Any) -> int:
    """Return how many groups there are."""
    return int(FleetGroup.select().count(database))


def load_rosters(database: Any) -> dict[str, frozenset[str]]:
    """Return the expected serials by site."""
    rosters: dict[str, set[str]] = {}
    for site, serial in Roster.select(Roster.site, Roster.serial).tuples().execute(database):
        rosters.setdefault(site, set()).add(serial)
    return {site: frozenset(serials) for site, serials in rosters.items()}


def find_roster(database: Any, site: str) -> frozenset[str]:
    """Return who is expected at a site."""
    query = Roster.select(Roster.serial).where(Roster.site == site).tuples()
    return frozenset(serial for (serial,) in query.execute(database))


def put_group(database: Any, known: Group | None, group: Group) -> None:
    """Write a group; `known` is what stands there, None for nothing."""
    values = {
        "description": group.description,
        "rule": msgspec.json.encode(group.rule).decode() if group.rule is not None else "",
        "updated_us": group.updated_us,
        "changed_by": group.changed_by,
    }
    if known is None:
        FleetGroup.insert(name=group.name, **values).execute(database)
    else:
        FleetGroup.update(**values).where(FleetGroup.name == group.name).execute(database)
    before = known.members if known is not None else frozenset()
    _delete(database, FleetGroupMember, "name", group.name, before - group.members)
    _insert(database, FleetGroupMember, "name", group.name, group.members - before)


def delete_group(database: Any, name: str) -> None:
    """Delete a group with its members."""
    FleetGroupMember.delete().where(FleetGroupMember.name == name).execute(database)
    FleetGroup.delete().where(FleetGroup.name == name).execute(database)


def put_roster(database: Any, site: str, known: frozenset[str], serials: frozenset[str]) -> None:
    """Write a roster; `known` is what stands there. An empty one leaves nothing."""
    _delete(database, Roster, "site", site, known - serials)
    _insert(database, Roster, "site", site, serials - known)


def put_record(database: Any, kind: str, ts_us: int, data: dict[str, Any]) -> None:
    """Write an audit record of the fleet's."""
    Event.insert(ts_us=ts_us, serial="", kind=kind, data=msgspec.json.encode(data).decode()).execute(database)


def _group(row: dict[str, Any], members: Iterable[str]) -> Group:
    rule = msgspec.json.decode(row["rule"], type=Rule) if row["rule"] else None
    return Group(**row | {"rule": rule, "members": frozenset(members)})


def _insert(database: Any, model: Any, key: str, value: str, serials: Iterable[str]) -> None:
    for part in _slices(serials):
        model.insert_many([{key: value, "serial": serial} for serial in part]).execute(database)


def _delete(database: Any, model: Any, key: str, value: str, serials: Iterable[str]) -> None:
    for part in _slices(serials):
        model.delete().where((getattr(model, key) == value) & model.serial.in_(part)).execute(database)


def _slices(serials: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(sorted(serials))
    while part := list(islice(rest, SLICE)):
        yield part
