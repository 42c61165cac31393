"""The broker's users: how they are, and new passwords without downtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec

from actors.topics import SERIAL
from web.access import AccessRefusedError
from web.answers_access import AccessStatus, NewFleetKey, NewServerUser, Renewal, Retired
from web.call import Call
from web.errors import ApiError
from web.face import Item
from web.render import rfc3339
from web.route import Route

T = TypeVar("T")

LONGEST_GRACE = 366 * 86_400.0
Serial = Annotated[str, msgspec.Meta(pattern=rf"^{SERIAL.pattern}\Z")]
Grace = Annotated[float, msgspec.Meta(ge=0, le=LONGEST_GRACE)]


class Rotation(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of a rotation."""

    grace: Grace | None = None
    """Seconds for which what was good before stays good; as configured, `broker_access.grace`, without it."""


class DeviceRotation(Rotation, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /api/access/devices`."""

    devices: Annotated[list[Serial], msgspec.Meta(max_length=1_000)] = []
    """Empty: all that have a user of their own. Each name here is a message to the whole fleet; all are one message."""


_ROTATION = msgspec.json.Decoder(Rotation)
_DEVICES = msgspec.json.Decoder(DeviceRotation)


def access_status(call: Call) -> Item:
    """Tell how the broker is told of its users, and what waits."""
    told = dict(_asked(call.face.access.status))
    for name in ("server_user_ends", "fleet_key_ends"):
        told[name] = rfc3339(told.pop(f"{name}_us"))
    return told


def rotate_fleet_key(call: Call) -> Item:
    """Make another fleet's key, told only here; the one of before is good for a time."""
    grace = call.decode(_ROTATION).grace
    return _with_end(_asked(lambda: call.face.access.rotate_fleet_key(grace)))


def rotate_server_user(call: Call) -> Item:
    """Give the server another user of the broker; the one of before is good for a time."""
    grace = call.decode(_ROTATION).grace
    return _with_end(_asked(lambda: call.face.access.rotate_server(grace)))


def rotate_device_passwords(call: Call) -> Item:
    """Have devices fetch new passwords of the broker; the old ones end after a time."""
    order = call.decode(_DEVICES)
    return _with_end(_asked(lambda: call.face.access.renew_devices(order.devices, order.grace)))


def retire_shared_user(call: Call) -> Item:
    """End the user of the broker that all devices of releases before share."""
    return {"retired": _asked(call.face.access.retire_shared)}


def _with_end(told: Item) -> Item:
    told = dict(told)
    return told | {"ends": rfc3339(told.pop("ends_us"))}


def _asked(ask: Callable[[], T]) -> T:
    """Return the answer, or raise the refusal as the API tells it."""
    try:
        return ask()
    except AccessRefusedError as error:
        raise ApiError(error.status, error.message, code=error.code) from None


ROUTES = (
    Route("GET", "/api/access", "admin", access_status, AccessStatus),
    Route("POST", "/api/access/fleet-key", "admin", rotate_fleet_key, NewFleetKey, body=Rotation),
    Route("POST", "/api/access/server-password", "admin", rotate_server_user, NewServerUser, body=Rotation),
    Route("POST", "/api/access/devices", "admin", rotate_device_passwords, Renewal, body=DeviceRotation),
    Route("POST", "/api/access/retire-shared", "admin", retire_shared_user, Retired),
)
"""Who may call what."""
