"""What a broker tells of itself under `$SYS`, as Mosquitto names it: a table of what we keep, and nothing else."""

from __future__ import annotations

import math
import re
from typing import Final, Literal

import msgspec

SYS_FILTER: Final = "$SYS/broker/#"
_ROOT: Final = SYS_FILTER[:-1]
VERSION: Final = "version"
"""The one that is a text."""
LONGEST_VERSION: Final = 100
"""Characters."""

Unit = Literal["", "s", "B", "1/min", "B/min"]
"""Of a figure; empty for a plain count. Averages `1/min` and `B/min` are over the last minute."""

#: Topic below `$SYS/broker/` -> name and unit. The second topic of a name is that of another release of Mosquitto.
_TABLE: Final[dict[str, tuple[str, Unit]]] = {
    "version": (VERSION, ""),
    "uptime": ("uptime", "s"),
    "clients/connected": ("clients_connected", ""),
    "clients/disconnected": ("clients_disconnected", ""),
    "clients/maximum": ("clients_maximum", ""),
    "clients/total": ("clients_total", ""),
    "clients/expired": ("clients_expired", ""),
    "subscriptions/count": ("subscriptions", ""),
    "retained messages/count": ("retained", ""),
    "messages/received": ("messages_received", ""),
    "messages/sent": ("messages_sent", ""),
    "publish/messages/received": ("publish_received", ""),
    "publish/messages/sent": ("publish_sent", ""),
    "publish/messages/dropped": ("publish_dropped", ""),
    "store/messages/count": ("messages_stored", ""),
    "store/messages/bytes": ("bytes_stored", "B"),
    "bytes/received": ("bytes_received", "B"),
    "bytes/sent": ("bytes_sent", "B"),
    "load/messages/received/1min": ("messages_received_rate", "1/min"),
    "load/messages/sent/1min": ("messages_sent_rate", "1/min"),
    "load/publish/received/1min": ("publish_received_rate", "1/min"),
    "load/publish/sent/1min": ("publish_sent_rate", "1/min"),
    "load/publish/dropped/1min": ("publish_dropped_rate", "1/min"),
    "load/bytes/received/1min": ("bytes_received_rate", "B/min"),
    "load/bytes/sent/1min": ("bytes_sent_rate", "B/min"),
    "load/connections/1min": ("connections_rate", "1/min"),
    "heap/current": ("heap_current", "B"),
    "heap/current size": ("heap_current", "B"),
    "heap/maximum": ("heap_maximum", "B"),
    "heap/maximum size": ("heap_maximum", "B"),
}

#: A number as brokers write it: `12`, `0.35`; of an uptime also `12 seconds`.
_NUMBER: Final = re.compile(rb"(-?[0-9]{1,18}(?:\.[0-9]{1,9})?)(?: seconds)?\Z")


class Figure(msgspec.Struct, frozen=True, gc=False):
    """One thing that a broker has told of itself."""

    name: str
    value: float | int | str
    unit: Unit
    heard: float
    """Seconds since 1970 UTC."""


def read_figure(topic: str, payload: bytes, now: float) -> Figure | None:
    """Return what a message under `$SYS` tells, None where it is not in the table or no number."""
    known = _TABLE.get(topic.removeprefix(_ROOT))
    if known is None:
        return None
    name, unit = known
    if name == VERSION:
        text = payload[:LONGEST_VERSION].decode(errors="replace").strip()
        return Figure(name, text, unit, now) if text else None
    found = _NUMBER.match(payload)
    if found is None:
        return None
    number = float(found[1])
    return Figure(name, int(number) if math.floor(number) == number else number, unit, now)
