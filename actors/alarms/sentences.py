"""What an alarm says to people, and to programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from actors.alarms.messages import Alarm, Event
from actors.alarms.places import Place
from actors.alarms.rules import KINDS, Rule
from actors.timestamps import rfc3339

LONGEST = 500
"""Characters of a sentence."""
PRIORITIES = {"info": "normal", "warning": "high", "critical": "urgent"}
"""Of the notification that tells of an alarm."""


def span(seconds: float) -> str:
    """Return a length of time in words: `45 s`, `5 min`, `3 h`, `2 d`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 or not seconds else f"{seconds:g} s"


def say_away(place: Place | None, members: frozenset[str], name_of: Callable[[str], str]) -> str:
    """Return the sentence of devices that are offline."""
    if place is None:
        (serial,) = members
        return f"{name_of(serial)} is offline"
    heads = [head for head in place.heads if head in members]
    others = len(members) - len(heads)
    where = f"at site {place.site}" if place.site else "without a site"
    if len(heads) == 1 and len(place.heads) == 1:
        behind = f" with {_devices(others)} behind it" if others else ""
        return f"gateway {name_of(heads[0])} {where} is offline{behind}"
    if heads:
        gateways = f"{len(heads)} gateways" if len(heads) > 1 else f"gateway {name_of(heads[0])}"
        return f"{gateways} {where} and {_devices(others)} are offline" if others else f"{gateways} {where}: offline"
    behind = f" behind gateway {name_of(place.heads[0])}" if len(place.heads) == 1 else ""
    return f"{_devices(len(members))} {where}{behind} {'is' if len(members) == 1 else 'are'} offline"


def say_figure(rule: Rule, name: str, value: float, limit: float | None) -> str:
    """Return the sentence of a number beyond its limit; `name` says whose it is."""
    match rule.kind:
        case "metric":
            side = "over" if rule.over is not None else "under"
            return f"{name}: {rule.metric} is {value:g}, {side} {limit:g}"
        case "dead_letters":
            return f"{value:g} messages could not be processed within {span(rule.window)}"
        case "broker_dropped":
            return f"the broker of {name} has dropped {value:g} messages within {span(rule.window)}"
        case "quarantine":
            return f"{value:g} actor{'s are' if value != 1 else ' is'} quarantined"
        case "database_lag":
            return f"the database is away or slow: the oldest write has waited for {span(value)}"
        case "broker_link":
            return f"the link {name} is down"
        case "queue_depth":
            return f"{value:g} messages wait in the queue {name}"
        case "certificate_expiry":
            return f"the certificate {name} has ended" if value < 0 else f"the certificate {name} ends in {value:.0f} d"
        case _:
            return f"{name}: {value:g} {KINDS[rule.kind].unit}".rstrip()


def describe(alarm: Alarm, now_us: int) -> dict[str, Any]:
    """Return an alarm as the ring and the channels tell it: times in RFC 3339, what is not known as null."""
    return {
        "id": alarm.id,
        "rule": alarm.rule,
        "kind": alarm.kind,
        "severity": alarm.severity,
        "state": "open" if alarm.is_open else "cleared",
        "subject": alarm.subject,
        "device": alarm.serial or None,
        "site": alarm.site or None,
        "summary": alarm.summary,
        "value": alarm.value,
        "count": alarm.count,
        "raised": rfc3339(alarm.raised_us),
        "updated": rfc3339(alarm.updated_us),
        "cleared": _time(alarm.cleared_us),
        "cleared_why": alarm.cleared_why or None,
        "acknowledged": _time(alarm.acknowledged_us),
        "acknowledged_by": alarm.acknowledged_by or None,
        "silenced_until": _time(alarm.silenced_until_us) if (alarm.silenced_until_us or 0) > now_us else None,
        "silenced_by": (alarm.silenced_by or None) if (alarm.silenced_until_us or 0) > now_us else None,
    }


def headline(event: Event, body: dict[str, Any]) -> str:
    """Return the title of a notification."""
    word = "Over" if event == "cleared" else str(body["severity"]).capitalize()
    return f"{word}: {body['rule']}"


def priority_of(event: Event, body: dict[str, Any]) -> str:
    """Return the priority of a notification: what is over is never urgent."""
    return "normal" if event == "cleared" else PRIORITIES[body["severity"]]


def shorten(text: str) -> str:
    """Return a sentence of a bounded length."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def encode(body: dict[str, Any]) -> bytes:
    """Return the body of a webhook."""
    return msgspec.json.encode(body)


def _time(us: int | None) -> str | None:
    return rfc3339(us) if us else None


def _devices(count: int) -> str:
    return f"{count} device{'s' if count != 1 else ''}"
