"""The fleet as a whole: a sorted, filtered page of its devices, and its sites."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from heapq import nsmallest
from typing import Any, Final, TypeVar, get_args

import msgspec

from actors.fleet_pages import NUMBERED, Cut, Place, Sort
from actors.messages import Kind
from actors.presence import DerivedPresence
from web.answers_fleet import FoundDevices, Health, Sites
from web.call import Call
from web.errors import ApiError, bad_field
from web.face import Item
from web.fleet import Filter
from web.render import device_json, listing
from web.route import PAGED, Route

T = TypeVar("T")

FILTERS: Final = ("site", "no_site", "kind", "type", "group", "label", "presence", "flapping", "quarantined", "q")
"""Query parameters that choose devices."""
SORTS: Final[tuple[Sort, ...]] = get_args(Sort)
ORDERS: Final = ("asc", "desc")
BOOLEANS: Final = ("true", "false")
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
PRESENCES: Final[tuple[DerivedPresence, ...]] = get_args(DerivedPresence)
SEVERITY: Final[Mapping[Health, int]] = {health: rank for rank, health in enumerate(get_args(Health))}
COUNTS: Final = ("total", "online", "offline", "unknown", "flapping", "quarantined")
LONGEST_CURSOR: Final = 3_000
"""Characters: a key has up to 256, of which a cursor may need eight for each."""


def index(call: Call) -> Item:
    """List devices, a page at a time: by `sort`, then by serial."""
    sort: Sort = call.choice("sort", SORTS) or "serial"
    cut = Cut(sort, call.choice("order", ORDERS) == "desc", _place(call, sort), call.limit())
    try:
        page = call.face.fleet.page(wanted(call), cut)
    except TimeoutError:
        message = "too many ask for the fleet at once; ask again in a moment"
        raise ApiError(503, message, headers={"Retry-After": "1"}) from None
    cursor = None if page.following is None else _encode((sort, *page.following))
    return listing([device_json(device) for device in page.devices], cursor) | {"matches": page.matches}


def wanted(call: Call) -> Filter:
    """Return which devices the query asks for."""
    site = call.text("site")
    if _boolean(call, "no_site"):
        if site is not None:
            raise bad_field("no_site", "cannot go together with site")
        site = ""
    return Filter(
        site=site,
        kind=call.choice("kind", KINDS),
        type=call.text("type"),
        group=call.text("group"),
        label=call.text("label"),
        presence=call.choice("presence", PRESENCES),
        flapping=_boolean(call, "flapping"),
        quarantined=_boolean(call, "quarantined"),
        q=call.text("q"),
    )


def sites(call: Call) -> Item:
    """List the sites, the worst first: who is there, who flaps, what alarms are open."""
    q, limit = (call.text("q") or "").lower(), call.limit()
    after = _decode(call, tuple[int, int, str])
    told = call.face.fleet.sites()
    fleet = {name: sum(site[name] for site in told) for name in COUNTS} | {"alarms": call.face.fleet.open_alarms()}
    found = {_badness(site): site for site in told if q in site["site"].lower()}
    # Where each device has a site of its own, to sort them all would stop every other thread meanwhile.
    places = nsmallest(limit + 1, (place for place in found if after is None or place > after))
    shown = [_glance(found[place]) for place in places[:limit]]
    cursor = _encode(places[limit - 1]) if len(places) > limit else None
    return listing(shown, cursor) | {"matches": len(found), "fleet": fleet}


def health_of(site: Item) -> Health:
    """Return how a site does, in a word."""
    if site["offline"] and not site["online"]:
        return "dark"
    if site["offline"] or site["flapping"] or site["quarantined"] or site["alarms"]:
        return "troubled"
    return "unknown" if site["unknown"] else "well"


def _glance(site: Item) -> Item:
    return site | {"site": site["site"] or None, "health": health_of(site)}


def _badness(site: Item) -> tuple[int, int, str]:
    return SEVERITY[health_of(site)], -(site["offline"] + site["unknown"]), site["site"]


def _boolean(call: Call, name: str) -> bool | None:
    value = call.choice(name, BOOLEANS)
    return None if value is None else value == "true"


def _place(call: Call, sort: Sort) -> Place | None:
    """Return where the page before ended. Raises a 400 for a cursor of another order."""
    found = _decode(call, tuple[Sort, int | str, str])
    if found is None:
        return None
    made_for, key, serial = found
    if made_for != sort or isinstance(key, int) != (sort in NUMBERED):
        raise bad_field("cursor", "is of another order; begin with the first page")
    return key, serial


def _encode(place: tuple[Any, ...]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _decode(call: Call, type_: type[T]) -> T | None:
    cursor = call.text("cursor", LONGEST_CURSOR)
    if cursor is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return msgspec.json.decode(raw, type=type_)
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        raise bad_field("cursor", "must be the cursor of an earlier answer") from None


ROUTES = (
    Route("GET", "/api/devices", "read", index, FoundDevices, query=(*FILTERS, "sort", "order", *PAGED)),
    Route("GET", "/api/sites", "read", sites, Sites, query=("q", *PAGED)),
)
"""Who may call what."""
