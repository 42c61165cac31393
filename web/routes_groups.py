"""Groups of devices, rosters of sites, and the pick of the least loaded device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

import msgspec

from actors.groups.messages import Description, Name, Serials
from actors.groups.rules import Rule
from web.answers import Devices
from web.answers_groups import CountedGroup, Group, Groups, Picked, Roster, Rosters
from web.call import Call, Reply
from web.errors import ApiError, bad_field
from web.face import Item
from web.groups import GroupsRefusedError
from web.render import device_json, group_json, listing, plain, roster_json
from web.route import PAGED, Route
from web.routes_devices import after_serial
from web.routes_fleet import wanted

T = TypeVar("T")

FILTERS = ("device",)
"""Query parameters that choose groups."""
PICK = ("group", "label", "site", "kind", "type")
"""Query parameters that choose the devices to pick from."""
LONGEST_NAME = 64
"""Characters of a group's or a site's name."""
Site = Annotated[str, msgspec.Meta(pattern=r"^[^/+#\x00-\x1f\x7f]{1,64}\Z")]


class NewGroup(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /api/groups`."""

    name: Name
    description: Description = ""
    rule: Rule | None = None
    members: Serials = ()


class GroupChanges(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `PATCH /api/groups/{name}`: what is absent stays as it is."""

    description: Description | msgspec.UnsetType = msgspec.UNSET
    rule: Rule | msgspec.UnsetType | None = msgspec.UNSET
    members: Serials | msgspec.UnsetType = msgspec.UNSET
    """All members by hand from now on."""
    add: Serials = ()
    remove: Serials = ()


class NewRoster(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `PUT /api/rosters/{site}`."""

    serials: Serials


_NEW = msgspec.json.Decoder(NewGroup)
_CHANGES = msgspec.json.Decoder(GroupChanges)
_ROSTER = msgspec.json.Decoder(NewRoster)
_SITE = msgspec.json.Decoder(Site)


def index(call: Call) -> Item:
    """List the groups by name, those that only the field `group` of devices names included."""
    after, limit, serial = call.text("cursor", LONGEST_NAME) or "", call.limit(), call.text("device")
    items, cursor = _asked(lambda: call.face.groups.items(after, limit, serial))
    return listing([group_json(item) for item in items], cursor)


def show(call: Call, name: str) -> Item:
    """Return one group, and how many devices it has now."""
    return group_json(_asked(lambda: call.face.groups.get(name)))


def devices(call: Call, name: str) -> Item:
    """List the devices of a group by serial, a page at a time."""
    after, limit = after_serial(call), call.limit()
    found, cursor = _asked(lambda: call.face.groups.page(name, after, limit))
    return listing([device_json(device) for device in found], cursor)


def create(call: Call) -> Reply:
    """Declare a group: members by hand, a rule, or both."""
    new = call.decode(_NEW)
    made = _asked(lambda: call.face.groups.create(_fields(new), _by(call), call.client))
    return Reply(group_json(made), 201, {"Location": f"/api/groups/{quote(new.name)}"})


def patch(call: Call, name: str) -> Item:
    """Change a group and return it."""
    changes = _fields(call.decode(_CHANGES))
    return group_json(_asked(lambda: call.face.groups.change(name, changes, _by(call), call.client)))


def delete(call: Call, name: str) -> Reply:
    """Forget a group; its devices stay."""
    _asked(lambda: call.face.groups.delete(name, _by(call), call.client))
    return Reply(None, 204)


def pick(call: Call) -> Item:
    """Return the present device with the fewest commands under way, then the lowest load, then picked longest ago."""
    where = wanted(call)
    picked = _asked(lambda: call.face.groups.pick(where))
    view = picked["device"]
    return {
        "serial": view.snapshot.serial,
        "commands": picked["commands"],
        "load_average": picked["load"],
        "device": device_json(view),
    }


def rosters(call: Call) -> Item:
    """List the rosters by site: how many devices are healthy, silent, unknown, elsewhere and undeclared."""
    return listing(plain(_asked(call.face.groups.rosters)))


def roster(call: Call, site: str) -> Item:
    """Return who is expected at a site and who is there."""
    return roster_json(_asked(lambda: call.face.groups.roster(site_name(site))))


def put_roster(call: Call, site: str) -> Item:
    """Note who is expected at a site, instead of whoever was; no serials leave no roster."""
    new = call.decode(_ROSTER)
    return roster_json(
        _asked(lambda: call.face.groups.put_roster(site_name(site), new.serials, _by(call), call.client))
    )


def delete_roster(call: Call, site: str) -> Reply:
    """Forget who is expected at a site."""
    _asked(lambda: call.face.groups.delete_roster(site_name(site), _by(call), call.client))
    return Reply(None, 204)


def site_name(site: str) -> str:
    """Return a site's name. Raises a 400 for what cannot be one level of a topic."""
    try:
        return _SITE.decode(msgspec.json.encode(site))
    except msgspec.ValidationError:
        raise bad_field("site", "must be one level of a topic, of at most 64 characters") from None


def _fields(given: msgspec.Struct) -> Item:
    fields: dict[str, Any] = {name: getattr(given, name) for name in given.__struct_fields__}
    return {name: value for name, value in fields.items() if value is not msgspec.UNSET}


def _by(call: Call) -> str:
    assert call.who is not None
    return call.who.title


def _asked(ask: Callable[[], T]) -> T:
    """Return the answer, or raise the refusal as the API tells it."""
    try:
        return ask()
    except GroupsRefusedError as error:
        raise ApiError(error.status, error.message, code=error.code, details=error.details) from None


ROUTES = (
    # Its path is that of no device: a path without variables comes first.
    Route("GET", "/api/devices/pick", "read", pick, Picked, query=PICK),
    Route("GET", "/api/groups", "read", index, Groups, query=FILTERS + PAGED),
    Route("POST", "/api/groups", "operate", create, Group, body=NewGroup, status=201),
    Route("GET", "/api/groups/<name>", "read", show, CountedGroup),
    Route("PATCH", "/api/groups/<name>", "operate", patch, Group, body=GroupChanges),
    Route("DELETE", "/api/groups/<name>", "operate", delete, status=204),
    Route("GET", "/api/groups/<name>/devices", "read", devices, Devices, query=PAGED),
    Route("GET", "/api/rosters", "read", rosters, Rosters),
    Route("GET", "/api/rosters/<site>", "read", roster, Roster),
    Route("PUT", "/api/rosters/<site>", "operate", put_roster, Roster, body=NewRoster),
    Route("DELETE", "/api/rosters/<site>", "operate", delete_roster, status=204),
)
"""Who may call what."""
