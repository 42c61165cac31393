"""Devices: create, read, change, delete."""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import quote

import msgspec

from actors.device_facts import kind_of_type
from actors.fleet import DeviceView
from actors.groups.labels import MOST_LABELS, Changes, Key, Value, encode_labels
from actors.groups.messages import OwnGroup
from actors.messages import DeviceSnapshot, Kind
from actors.notifications.rules import NotificationError, check_topic
from web.call import Call, Reply
from web.edge_tree import read_tree
from web.errors import ApiError, bad_field
from web.face import Item
from web.render import device_json

MAX_METADATA = 16_384
"""Bytes of JSON."""
_SERIAL = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z")

Serial = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:-]{1,64}\Z")]
# Control characters have no place in a label, and PostgreSQL takes no NUL.
Short = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Label = Annotated[str, msgspec.Meta(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Token = Annotated[str, msgspec.Meta(max_length=4096, pattern=r"^[\x21-\x7e]*\Z")]
Silence = Annotated[float, msgspec.Meta(ge=1, le=30 * 86_400)]
Metadata = dict[str, Any]
Labels = Annotated[dict[Key, Value], msgspec.Meta(max_length=MOST_LABELS)]


class NewDevice(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /api/devices`: a device that is expected and has not spoken yet."""

    serial: Serial
    kind: Kind = "other"
    type: Short = ""
    device_type: Short = ""
    """The type, from which the kind follows where that is left out: `iot_sensor`, `industrial_controller`, ..."""
    platform: Short = ""
    """Kept in the metadata."""
    device_id: Short = ""
    site: Short = ""
    label: Label = ""
    group: OwnGroup = ""
    hostname: Short = ""
    mac_address: Short = ""
    offline_after: Silence | None = None
    metadata: Metadata = {}
    device_token: Token = ""
    labels: Labels = {}
    pinned: bool = False


class DeviceChanges(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `PATCH /api/devices/{serial}`: what is absent stays as it is."""

    label: Label | msgspec.UnsetType = msgspec.UNSET
    group: OwnGroup | msgspec.UnsetType = msgspec.UNSET
    site: Short | msgspec.UnsetType = msgspec.UNSET
    offline_after: Silence | msgspec.UnsetType | None = msgspec.UNSET
    metadata: Metadata | msgspec.UnsetType = msgspec.UNSET
    device_token: Token | msgspec.UnsetType = msgspec.UNSET
    labels: Changes | msgspec.UnsetType = msgspec.UNSET
    pinned: bool | msgspec.UnsetType = msgspec.UNSET


_NEW = msgspec.json.Decoder(NewDevice)
_CHANGES = msgspec.json.Decoder(DeviceChanges)


def show(call: Call, serial: str) -> Item:
    """Return one device."""
    return device_json(known(call, serial))


def supervision(call: Call, serial: str) -> Item:
    """Return the supervision tree that a device has told of itself last."""
    raw = known(call, serial).supervision
    if not raw:
        raise ApiError(404, "this device has not told its supervision", details={"serial": serial})
    try:
        return read_tree(raw)
    except ValueError as error:
        message = f"what this device tells of its supervision cannot be read: {error}"
        raise ApiError(404, message, details={"serial": serial}) from None


def create(call: Call) -> Reply:
    """Add a device."""
    new = call.decode(_NEW)
    _check_token(new.device_token)
    kind = kind_of_type(new.device_type) if new.device_type and new.kind == "other" else new.kind
    metadata = new.metadata | ({"platform": new.platform} if new.platform else {})
    fields = msgspec.structs.asdict(new)
    del fields["device_type"], fields["platform"]
    fields |= {"metadata": _encode_metadata(metadata), "labels": encode_labels(new.labels)}
    fields |= {"kind": kind, "type": new.type or new.device_type}
    device = call.face.fleet.create(DeviceSnapshot(family=_family(kind), **fields))
    return Reply(device_json(device), 201, {"Location": f"/api/devices/{quote(new.serial)}"})


def patch(call: Call, serial: str) -> Item:
    """Change a device and return it."""
    given = msgspec.structs.asdict(call.decode(_CHANGES))
    changes = {name: value for name, value in given.items() if value is not msgspec.UNSET}
    call.note(fields=sorted(changes))
    _check_token(changes.get("device_token", ""))
    if "metadata" in changes:
        changes["metadata"] = _encode_metadata(changes["metadata"])
    device = call.face.fleet.patch(serial, changes) if changes else call.face.fleet.get(serial)
    if device is None:
        raise _unknown(serial)
    return device_json(device)


def delete(call: Call, serial: str) -> Reply:
    """Remove a device."""
    if not call.face.fleet.delete(serial):
        raise _unknown(serial)
    return Reply(None, 204)


def known(call: Call, serial: str) -> DeviceView:
    """Return a device. Raises a 404 when there is none of this serial."""
    device = call.face.fleet.get(serial) if _SERIAL.match(serial) else None
    if device is None:
        raise _unknown(serial)
    return device


def after_serial(call: Call) -> str:
    """Return the cursor of a page of devices, which is the last serial of the page before."""
    cursor = call.query.get("cursor", "")
    if cursor and not _SERIAL.match(cursor):
        raise bad_field("cursor", "must be the cursor of an earlier answer")
    return cursor


def _family(kind: Kind) -> str:
    """Return the family of topics that a device of this kind is expected to speak; the first that it speaks counts."""
    return kind if kind in ("datalogger", "gateway") else "pi"


def _check_token(token: str) -> None:
    """Refuse a token that is no topic of notifications: nothing could be sent to the device."""
    if not token:
        return
    try:
        check_topic(token, "device_token")
    except NotificationError as error:
        raise ApiError(400, error.message, details={"field": error.field}) from None


def _encode_metadata(metadata: Metadata) -> bytes:
    try:
        keepable = _keepable(metadata)
        raw = msgspec.json.encode(metadata) if keepable else b""
    except RecursionError:
        raise bad_field("metadata", "is nested too deeply") from None
    if not keepable:
        raise bad_field("metadata", "may hold no NUL and no integer beyond 64 bits")
    if len(raw) > MAX_METADATA:
        raise bad_field("metadata", f"may have at most {MAX_METADATA} bytes of JSON")
    return raw


def _keepable(value: Any) -> bool:
    """Tell whether every database can keep a JSON value."""
    if isinstance(value, dict):
        return all(_keepable(key) and _keepable(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_keepable(item) for item in value)
    if isinstance(value, str):
        return "\x00" not in value
    return not isinstance(value, int) or -(2**63) <= value < 2**63


def _unknown(serial: str) -> ApiError:
    return ApiError(404, "no device of this serial is known", details={"serial": serial[:64]})
