"""What is kept of one device: readings, timeline, sensors."""

from __future__ import annotations

from web.call import Call
from web.errors import bad_field
from web.face import Item
from web.render import listing, plain
from web.route import PAGED
from web.routes_devices import known

READINGS = ("metric", "since", "until", *PAGED)
"""Query parameters of the list of readings."""


def readings(call: Call, serial: str) -> Item:
    """List readings, newest first: `metric`, `since` (included), `until` (excluded), `limit`, `cursor`."""
    known(call, serial)
    since, until = call.time_us("since"), call.time_us("until")
    if since is not None and until is not None and since >= until:
        raise bad_field("until", "must be later than since")
    try:
        items, cursor = call.face.history.readings(
            serial,
            metric=call.text("metric"),
            since_us=since,
            until_us=until,
            limit=call.limit(),
            cursor=cursor_of(call),
        )
    except ValueError:
        raise not_ours() from None
    return listing(plain(items), cursor)


def events(call: Call, serial: str) -> Item:
    """List what happened to a device, newest first."""
    known(call, serial)
    try:
        items, cursor = call.face.history.events(serial, limit=call.limit(), cursor=cursor_of(call))
    except ValueError:
        raise not_ours() from None
    return listing(plain(items), cursor)


def sensors(call: Call, serial: str) -> Item:
    """List the numbers that a device has sent."""
    known(call, serial)
    return listing(plain(call.face.history.sensors(serial)))


def cursor_of(call: Call) -> str:
    """Return the cursor as it came, empty for the first page."""
    return call.text("cursor") or ""


def not_ours() -> Exception:
    """Return the 400 for a cursor that was made up."""
    return bad_field("cursor", "must be the cursor of an earlier answer")
