"""Scans: one handed in over HTTP, and the list of all that were kept."""

from __future__ import annotations

from typing import Annotated

import msgspec

from actors.scan_payloads import LONGEST_CODE
from web.call import Call, Reply
from web.face import Item
from web.ingest import hand_in
from web.render import scan_json
from web.route import PAGED
from web.routes_history import cursor_of, page_of

SCANS = ("device", "code", "since", "until", *PAGED)
"""Query parameters of the list."""


class NewScan(msgspec.Struct, kw_only=True):
    """The body of `POST /api/scans`."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_CODE)]
    """What was read; it may contain GS1 group separators."""
    device_id: str
    """Serial number of the device; a device's own token may leave it out."""
    scan_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    """The sender's own name for this scan: the same once more is the same scan."""
    timestamp: str | float | None = None
    """RFC 3339, or seconds or milliseconds since 1970; the time of receipt without one."""
    symbology: str | None = None
    """Found out from the code where it is left out, as is `valid`."""
    valid: bool | None = None
    scanner: str | None = None
    clock: str | None = None


def store(call: Call) -> Reply:
    """Take a scan as if it had come by MQTT and answer once it is stored: 200 if it was known."""
    scan = hand_in(call, call.face.scans.store)
    told = scan_json(scan) | {"stored": scan["stored"], "duplicate": scan["duplicate"]}
    return Reply(told, 200 if scan["duplicate"] else 201)


def index(call: Call) -> Item:
    """List scans of the whole fleet, newest first: of one `device`, of one `code`, `since` (included), `until`."""
    limit, cursor = call.limit(), cursor_of(call)
    serial, code = call.text("device"), call.text("code", LONGEST_CODE)
    since, until = call.time_range_us()
    return page_of(
        lambda: call.face.scans.find(
            limit=limit, cursor=cursor, serial=serial, code=code, since_us=since, until_us=until
        ),
        scan_json,
    )
