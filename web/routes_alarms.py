"""Alarms: what is wrong, or was, what operators say to it, and the rules of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec

from actors.alarms.rules import SEVERITIES, Limit, Rule, Seconds, Severity, Text
from actors.messages import Kind
from web.alarms import AlarmRefusedError
from web.call import Call, Reply
from web.errors import ApiError, bad_field
from web.face import Item
from web.render import listing, plain
from web.route import PAGED
from web.routes_history import cursor_of, page_of

T = TypeVar("T")

FILTERS = ("state", "rule", "severity", "device", "site", *PAGED)
"""Query parameters of the list."""
STATES = ("open", "cleared")
LONGEST_SILENCE = 366 * 86_400
"""Seconds."""
_ID = re.compile(r"[0-9]{1,18}\Z")


class NewSilence(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /api/alarms/{id}/silence`."""

    seconds: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_SILENCE)]
    """For how long from now; 0 ends a silence."""


class RuleChanges(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `PATCH /api/alarm-rules/{name}`: what is absent stays, null is back to the default."""

    description: Text | msgspec.UnsetType | None = msgspec.UNSET
    severity: Severity | msgspec.UnsetType | None = msgspec.UNSET
    enabled: bool | msgspec.UnsetType | None = msgspec.UNSET
    metric: Text | msgspec.UnsetType | None = msgspec.UNSET
    over: Limit | msgspec.UnsetType | None = msgspec.UNSET
    under: Limit | msgspec.UnsetType | None = msgspec.UNSET
    hysteresis: float | msgspec.UnsetType | None = msgspec.UNSET
    lasts: Seconds | msgspec.UnsetType | None = msgspec.UNSET
    clear_after: Seconds | msgspec.UnsetType | None = msgspec.UNSET
    window: Seconds | msgspec.UnsetType | None = msgspec.UNSET
    site: Text | msgspec.UnsetType | None = msgspec.UNSET
    device_kind: Kind | msgspec.UnsetType | None = msgspec.UNSET
    type: Text | msgspec.UnsetType | None = msgspec.UNSET
    group: Text | msgspec.UnsetType | None = msgspec.UNSET
    devices: tuple[Text, ...] | msgspec.UnsetType | None = msgspec.UNSET
    subject: Text | msgspec.UnsetType | None = msgspec.UNSET
    min_group: int | msgspec.UnsetType | None = msgspec.UNSET
    group_wait: Seconds | msgspec.UnsetType | None = msgspec.UNSET
    send: tuple[Text, ...] | msgspec.UnsetType | None = msgspec.UNSET


_SILENCE = msgspec.json.Decoder(NewSilence)
_RULE = msgspec.json.Decoder(Rule)
_CHANGES = msgspec.json.Decoder(RuleChanges)


def index(call: Call) -> Item:
    """List alarms, newest first: `state` (`open` or `cleared`), of a `rule`, `severity`, `device`, `site`."""
    limit, cursor = call.limit(), cursor_of(call)
    state, severity = call.choice("state", STATES), call.choice("severity", SEVERITIES)
    rule, serial, site = call.text("rule"), call.text("device"), call.text("site")
    return page_of(
        lambda: call.face.alarms.items(
            limit=limit,
            cursor=cursor,
            state=state,  # type: ignore[arg-type]  # one of STATES
            rule=rule,
            severity=severity,
            serial=serial,
            site=site,
        )
    )


def show(call: Call, alarm: str) -> Item:
    """Return an alarm, and who was told of it."""
    found = call.face.alarms.find(_id_of(alarm))
    if found is None:
        raise _unknown(alarm)
    item: Item = plain(found)
    return item


def acknowledge(call: Call, alarm: str) -> Item:
    """Say that somebody looks after it: no more news of it until it is over."""
    number, by = _id_of(alarm), _by(call)
    return _asked(lambda: call.face.alarms.acknowledge(number, by, call.client))


def silence(call: Call, alarm: str) -> Item:
    """Have no news of it for so many `seconds`, also if it is raised again meanwhile; 0 ends that."""
    number, by = _id_of(alarm), _by(call)
    until_us = int((call.face.clock.time() + call.decode(_SILENCE).seconds) * 1_000_000)
    return _asked(lambda: call.face.alarms.silence(number, until_us, by, call.client))


def rules(call: Call) -> Item:
    """List all rules by name, with what is usual for their kind filled in."""
    limit, cursor = call.limit(), cursor_of(call)
    found = [rule for rule in call.face.alarms.rules() if rule["name"] > cursor]
    following = found[limit - 1]["name"] if len(found) > limit else None
    return listing(plain(found[:limit]), following)


def make_rule(call: Call) -> Reply:
    """Make a rule; it is in force at once."""
    rule, by = call.decode(_RULE), _by(call)
    made = _asked(lambda: call.face.alarms.make_rule(rule, by, call.client))
    return Reply(plain(made), 201)


def change_rule(call: Call, name: str) -> Item:
    """Change fields of a rule, at once; one of Muster's own becomes one of yours by that."""
    given, by = call.decode(_CHANGES), _by(call)
    changes = {key: value for key, value in msgspec.structs.asdict(given).items() if value is not msgspec.UNSET}
    if not changes:
        raise bad_field("body", "names no field to change")
    item: Item = plain(_asked(lambda: call.face.alarms.change_rule(name, changes, by, call.client)))
    return item


def drop_rule(call: Call, name: str) -> Reply:
    """Delete a rule and end its alarms; one of Muster's own that was changed is again as it was."""
    by = _by(call)
    _asked(lambda: call.face.alarms.drop_rule(name, by, call.client))
    return Reply(None, 204)


def _by(call: Call) -> str:
    assert call.who is not None
    return call.who.title


def _id_of(alarm: str) -> int:
    if not _ID.match(alarm):
        raise _unknown(alarm)
    return int(alarm)


def _unknown(alarm: str) -> ApiError:
    return ApiError(404, "there is no alarm of this id", details={"id": alarm[:64]})


def _asked(ask: Callable[[], T]) -> T:
    """Return the answer, or raise the refusal as the API tells it."""
    try:
        return ask()
    except AlarmRefusedError as error:
        raise ApiError(error.status, error.message, code=error.code, details=error.details) from None
