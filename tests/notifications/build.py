"""Orders for the ledger."""

from __future__ import annotations

from typing import Any

from actors.notifications.messages import Enter, Entry, Recipient
from actors.notifications.rules import PRIORITIES, QOS_OF

NOON_US = 1_785_000_000_000_000
LINK = "local.control"


def entry(key="n1", *, seq=0, to=(("pi-1", "devices/pi-1/notifications"),), priority="normal", **fields: Any) -> Entry:
    """One notification; `to` are pairs of device and topic."""
    known = {
        "id": key,
        "seq": seq,
        "title": "Hot",
        "priority": priority,
        "rank": PRIORITIES.index(priority),
        "qos": QOS_OF[priority],
        "retain": False,
        "created_us": NOON_US,
        "expires_us": None,
        "payload": f'{{"title":"Hot","id":"{key}"}}',
        "recipients": tuple(Recipient(device, topic, LINK) for device, topic in to),
    }
    return Entry(**(known | fields))


def order(*entries: Entry, batch="b1") -> Enter:
    return Enter(batch, list(entries) or [entry()], "admin", "127.0.0.1")
