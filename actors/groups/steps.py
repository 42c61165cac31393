"""What a change of groups or rosters does to the database, in one transaction with its record; all run in the writer.

Each reads what stands there first: another server may share the database.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.groups.messages import (
    MOST_GROUPS,
    MOST_SERIALS,
    ChangeGroup,
    CreateGroup,
    DeleteGroup,
    DeleteRoster,
    Group,
    GroupError,
    Origin,
    PutRoster,
)
from actors.storage.groups import (
    EVENT,
    ROSTER_EVENT,
    count_groups,
    delete_group,
    find_group,
    find_roster,
    put_group,
    put_record,
    put_roster,
)

MOST_TOLD: Final = 20
"""Serials that a record names."""


def create(database: Any, order: CreateGroup, now_us: int) -> Group:
    """Write a new group and return it."""
    if find_group(database, order.name) is not None:
        raise GroupError("exists", f"there is a group {order.name} already", name=order.name)
    if count_groups(database) >= MOST_GROUPS:
        raise GroupError("full", f"there are {MOST_GROUPS} groups, which is the limit")
    group = Group(name=order.name, description=order.description, rule=order.rule, members=frozenset(order.members))
    return _put(database, None, group, order.origin, now_us)


def change(database: Any, order: ChangeGroup, now_us: int) -> Group:
    """Change a group and return it; what changes nothing leaves no record."""
    known = _known(database, order.name)
    members = known.members if order.members is msgspec.UNSET else frozenset(order.members)
    members = (members | frozenset(order.add)) - frozenset(order.remove)
    if len(members) > MOST_SERIALS:
        raise GroupError("full", f"a group names at most {MOST_SERIALS} devices, a rule takes in any number")
    given = {"description": order.description, "rule": order.rule}
    changes = {name: value for name, value in given.items() if value is not msgspec.UNSET}
    changed = msgspec.structs.replace(known, members=members, **changes)
    return known if changed == known else _put(database, known, changed, order.origin, now_us)


def delete(database: Any, order: DeleteGroup, now_us: int) -> None:
    """Delete a group."""
    name = _known(database, order.name).name
    delete_group(database, name)
    put_record(database, EVENT, now_us, _trace("deleted", order.origin, name=name))


def write_roster(database: Any, order: PutRoster | DeleteRoster, now_us: int) -> frozenset[str]:
    """Write who is expected at a site, and return it; nobody leaves no roster."""
    site, known = order.site, find_roster(database, order.site)
    if isinstance(order, PutRoster):
        action, serials = "put", frozenset(order.serials)
    elif known:
        action, serials = "deleted", frozenset()
    else:
        raise GroupError("not_found", f"there is no roster of {site}", site=site)
    put_roster(database, site, known, serials)
    trace = _trace(action, order.origin, site=site)
    trace |= {"added": _some(serials - known), "removed": _some(known - serials)}
    put_record(database, ROSTER_EVENT, now_us, trace)
    return serials


def _known(database: Any, name: str) -> Group:
    group = find_group(database, name)
    if group is None:
        raise GroupError("not_found", f"nobody has declared a group {name}", name=name)
    return group


def _put(database: Any, known: Group | None, group: Group, origin: Origin, now_us: int) -> Group:
    group = msgspec.structs.replace(group, updated_us=now_us, changed_by=origin.by[:255])
    before = known.members if known is not None else frozenset()
    put_group(database, known, group)
    action = "created" if known is None else "changed"
    trace = _trace(action, origin, name=group.name, rule=group.rule, description=group.description)
    trace |= {"added": _some(group.members - before), "removed": _some(before - group.members)}
    put_record(database, EVENT, now_us, trace)
    return group


def _trace(action: str, origin: Origin, **data: Any) -> dict[str, Any]:
    return {"action": action, "by": origin.by, "from": origin.address, **data}


def _some(serials: frozenset[str]) -> dict[str, Any]:
    """Return how many serials there are, and the first of them."""
    return {"count": len(serials), "serials": sorted(serials)[:MOST_TOLD]}
