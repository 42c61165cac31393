"""Twins: what is desired of a device, what it reports, and changes that nobody else's overwrite."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

import msgspec

from actors.targets import Target, UnknownTargetError
from actors.twins.documents import MOST_BYTES, difference
from actors.twins.messages import Changed, Twin, TwinError
from web.call import Call, Reply
from web.errors import ApiError, bad_field
from web.face import Item
from web.render import rfc3339
from web.routes_devices import known

IF_MATCH = "If-Match"
MAX_BODY = 4 * MOST_BYTES
"""Bytes: the same document may be spelled longer than we keep it. A list of devices has `MAX_BODY_MANY`."""
MAX_BODY_MANY = 1_000_000
_TAG: Final = re.compile(r'"?([0-9]{1,18})"?\Z')
_STATUS: Final = {"not_found": 404, "conflict": 409, "bad_field": 400, "too_large": 413}

Version = Annotated[int, msgspec.Meta(ge=0)]


class TwinChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `PATCH /api/devices/{serial}/twin`."""

    desired: dict[str, Any]
    """A merge patch (RFC 7396): null deletes, objects merge, all else replaces."""
    version: Version | None = None
    """The `desired_version` that was read; `If-Match` may give it instead."""


class TwinsChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `PATCH /api/twins`: exactly one of `device`, `devices`, `group` and `all`."""

    desired: dict[str, Any]
    """As for one twin; it is applied to each, whatever its version."""
    device: str = ""
    devices: list[str] = []
    group: str = ""
    all: bool = False


_CHANGE = msgspec.json.Decoder(TwinChange)
_CHANGES = msgspec.json.Decoder(TwinsChange)


def show(call: Call, serial: str) -> Reply:
    """Return what is desired of a device, what it reports, and the difference; the version is the `ETag` too."""
    known(call, serial)
    return _reply(call.face.twins.read(serial))


def patch(call: Call, serial: str) -> Reply:
    """Change what is desired of a device; a version other than the present one is a conflict."""
    known(call, serial)
    body = call.decode(_CHANGE, MAX_BODY)
    version = _version(call, body)
    assert call.who is not None
    try:
        changed = call.face.twins.change(serial, body.desired, version, by=call.who.title, address=call.client)
    except TwinError as error:
        raise _refusal(error) from None
    return _reply(changed.twin)


def patch_many(call: Call) -> Item:
    """Change what is desired of several devices, of a group or of all; each outcome is told."""
    body = call.decode(_CHANGES, MAX_BODY_MANY)
    given = {"device": body.device, "devices": body.devices, "group": body.group, "all": body.all}
    assert call.who is not None
    try:
        target = Target.of({name: value for name, value in given.items() if value})
    except ValueError as error:
        raise ApiError(400, str(error).partition(" - at ")[0], details={"field": "device"}) from None
    try:
        outcomes = call.face.twins.change_many(target, body.desired, by=call.who.title, address=call.client)
    except UnknownTargetError as error:
        raise ApiError(404, str(error), details={error.what: error.name[:64]}) from None
    items = [_outcome(serial, outcome) for serial, outcome in outcomes]
    states = [item["state"] for item in items]
    return {state: states.count(state) for state in ("changed", "unchanged", "refused")} | {"items": items}


def twin_json(twin: Twin) -> Item:
    """Return a twin as the API tells it."""
    return {
        "serial": twin.serial,
        "desired": twin.desired,
        "desired_version": twin.desired_version,
        "reported": twin.reported,
        "reported_version": twin.reported_version,
        "difference": difference(twin.desired, twin.reported),
        "updated": rfc3339(max(twin.desired_us, twin.reported_us)),
        "desired_updated": rfc3339(twin.desired_us),
        "reported_updated": rfc3339(twin.reported_us),
        "changed_by": twin.changed_by or None,
    }


def _reply(twin: Twin) -> Reply:
    return Reply(twin_json(twin), headers={"ETag": f'"{twin.desired_version}"'})


def _version(call: Call, body: TwinChange) -> int:
    """Return the version that the caller has seen, of the header or of the body."""
    header = call.environ.get("HTTP_IF_MATCH")
    if header is None:
        if body.version is None:
            message = "say which version this is a change of: `version` in the body, or the header If-Match"
            raise ApiError(428, message, code="version_required", details={"field": "version"})
        return body.version
    found = _TAG.match(header.strip())
    if found is None:
        raise bad_field(IF_MATCH, 'must be a version such as "7"')
    version = int(found[1])
    if body.version is not None and body.version != version:
        raise bad_field("version", f"is {body.version}, and {IF_MATCH} says {version}")
    return version


def _refusal(error: TwinError) -> ApiError:
    return ApiError(_STATUS[error.code], error.message, details=error.details)


def _outcome(serial: str, outcome: Changed | TwinError) -> Item:
    if isinstance(outcome, TwinError):
        return {"device": serial, "state": "refused", "desired_version": None, "reason": outcome.message}
    state = "changed" if outcome.is_new else "unchanged"
    return {"device": serial, "state": state, "desired_version": outcome.twin.desired_version, "reason": None}
