"""What is handed in over HTTP and kept as if it had come by MQTT: readings and scans."""

from __future__ import annotations

import re
from typing import Protocol

from actors.payloads import LARGEST_PAYLOAD, RefusedError
from web.call import Call, read_body
from web.errors import ApiError, bad_field
from web.face import Item

IDEMPOTENCY_KEY = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,128}\Z")
_STATUS_OF = {"too_large": 413, "unbound": 403}
"""Refusals that are not a plain 400."""
_QUOTED = re.compile(r"(?P<type>Expected |got )?`(?:\$\.?)?(?P<name>[^`]*)`")
"""Fields stand in backticks, and types, too: "Expected `str`, got `int` - at `$.id`"."""


class Intake(Protocol):
    """Takes one body; `web.face.SoilHealth.analyze` and `web.face.Scans.store` tell what it is given."""

    def __call__(self, body: bytes, *, idempotency_key: str, serial: str | None) -> Item:
        """Return what became of it, after the commit."""
        ...


def hand_in(call: Call, take: Intake) -> Item:
    """Give the body to `take`, unread but for its length; a device's token speaks for that device alone."""
    key = idempotency_key(call)
    body = read_body(call.environ, LARGEST_PAYLOAD)
    serial = call.who.serial if call.who is not None else None
    try:
        return take(body, idempotency_key=key, serial=serial)
    except RefusedError as error:
        raise _refusal(error) from None


def idempotency_key(call: Call) -> str:
    """Return the key that names this request, empty without one. Raises a 400 for one that is none."""
    key: str | None = call.environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not _KEY.match(key):
        raise bad_field(IDEMPOTENCY_KEY, "must have 1 to 128 visible ASCII characters")
    return key or ""


def _refusal(error: RefusedError) -> ApiError:
    """Return a refusal as the client is told of it: the reason of the dead letter, and the field where one is named."""
    quoted = _QUOTED.finditer(error.detail)
    field = next((found["name"] for found in quoted if found["name"] and not found["type"]), None)
    details = {"reason": error.reason} | ({"field": field} if field else {})
    return ApiError(_STATUS_OF.get(error.reason, 400), error.detail, details=details)
