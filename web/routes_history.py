"""What is kept of one device: readings, timeline, sensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from web.call import Call
from web.errors import bad_field
from web.face import Item
from web.render import listing, plain
from web.route import PAGED
from web.routes_devices import known

READINGS = ("metric", "since", "until", "bucket", *PAGED)
"""Query parameters of the list of readings."""
EVENTS = ("kind", "since", "until", *PAGED)
"""Query parameters of a device's timeline."""
DAY_US = 86_400_000_000
"""The time that the history of a presence covers where nothing else is asked for."""


def readings(call: Call, serial: str) -> Item:
    """List readings, newest first: `metric`, `since` (included), `until` (excluded), `limit`, `cursor`.

    With `bucket` the numbers of one `metric` by intervals: how many, their average, the smallest and the largest.
    """
    known(call, serial)
    since, until = call.time_range_us()
    metric, bucket = call.text("metric"), call.span_us("bucket")
    wanted: Item = {"since_us": since, "until_us": until, "limit": call.limit(), "cursor": cursor_of(call)}
    history = call.face.history
    if bucket is None:
        return page_of(lambda: history.readings(serial, metric=metric, **wanted))
    if metric is None:
        raise bad_field("metric", "is needed with bucket: the name of a number in the readings")
    return page_of(lambda: history.buckets(serial, metric=metric, bucket_us=bucket, **wanted))


def events(call: Call, serial: str) -> Item:
    """List what happened to a device, newest first: `kind`, `since` (included), `until` (excluded), page by page."""
    known(call, serial)
    since, until = call.time_range_us()
    wanted: Item = {"since_us": since, "until_us": until, "limit": call.limit(), "cursor": cursor_of(call)}
    kind = call.text("kind")
    return page_of(lambda: call.face.history.events(serial, kind=kind, **wanted))


def presence(call: Call, serial: str) -> Item:
    """Tell what a device's presence was from `since` until `until`, oldest first and without a hole.

    It is `unknown` while nobody could know, and null before the first sign of the device. Without `since` the answer
    begins a day before its end, without `until` it ends now.
    """
    known(call, serial)
    now = int(call.face.clock.time() * 1_000_000)
    since, until = call.time_range_us()
    end = until if until is not None and until < now else None
    begin = max(0, (now if end is None else end) - DAY_US if since is None else since)
    if begin >= now:
        raise bad_field("since", "must be in the past")
    if end is not None and end <= begin:
        raise bad_field("until", "must be later than 1970")
    try:
        return listing(plain(call.face.history.presence(serial, since_us=begin, until_us=end)))
    except OverflowError:
        message = "is too long ago: the presence has changed too often since; ask for a shorter time"
        raise bad_field("since", message) from None


def sensors(call: Call, serial: str) -> Item:
    """List the numbers that a device has sent."""
    known(call, serial)
    return listing(plain(call.face.history.sensors(serial)))


def page_of(ask: Callable[[], tuple[list[Item], str | None]], form: Callable[[Item], Any] = plain) -> Item:
    """Return the body of a list of rows, each in this form. Raises a 400 for a cursor that was made up."""
    try:
        items, cursor = ask()
    except ValueError:
        raise not_ours() from None
    return listing([form(item) for item in items], cursor)


def cursor_of(call: Call) -> str:
    """Return the cursor as it came, empty for the first page."""
    return call.text("cursor") or ""


def not_ours() -> Exception:
    """Return the 400 for a cursor that was made up."""
    return bad_field("cursor", "must be the cursor of an earlier answer")
