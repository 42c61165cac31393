"""Keys for sealed payloads: a device gives its public key and is believed only sealed from then on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from web.answers_payload_keys import DevicePayloadKey, DevicePayloadKeys, NewPayloadKey
from web.call import Call, Reply
from web.errors import ApiError
from web.face import Item
from web.payload_keys import PayloadKeyRefusedError
from web.route import PAGED, Route
from web.routes_history import cursor_of, page_of

T = TypeVar("T")

_KEY = msgspec.json.Decoder(NewPayloadKey)


def list_payload_keys(call: Call) -> Item:
    """List the devices that are believed only sealed, by serial."""
    limit, cursor = call.limit(), cursor_of(call)
    return _asked(lambda: page_of(lambda: call.face.payload_keys.items(limit, cursor)))


def show_payload_key(call: Call, serial: str) -> Item:
    """Return the public key that a device has given, and the server's."""
    return _asked(lambda: call.face.payload_keys.show(serial))


def exchange_payload_key(call: Call, serial: str) -> Item:
    """Take a device's public key, its first or another, and return the server's: it is believed only sealed then."""
    key = call.decode(_KEY).key
    is_new, item = _asked(lambda: call.face.payload_keys.exchange(serial, key))
    if not is_new:
        call.take_step()  # as an edge does each hour: nothing has changed
    return item


def require_payload_key(call: Call, serial: str) -> Item:
    """Believe a device only sealed from now on, though it may have given no key yet."""
    return _asked(lambda: call.face.payload_keys.require(serial))


def drop_payload_key(call: Call, serial: str) -> Reply:
    """Forget a device's key, and believe it unsealed again."""
    _asked(lambda: call.face.payload_keys.drop(serial))
    return Reply(None, 204)


def _asked(ask: Callable[[], T]) -> T:
    """Return the answer, or raise the refusal as the API tells it."""
    try:
        return ask()
    except PayloadKeyRefusedError as error:
        raise ApiError(error.status, error.message, code=error.code) from None


_PATH = "/api/devices/<serial>/payload_key"
ROUTES = (
    Route("GET", "/api/payload_keys", "read", list_payload_keys, DevicePayloadKeys, query=PAGED),
    Route("GET", _PATH, "read", show_payload_key, DevicePayloadKey, own=True),
    Route("POST", _PATH, "admin", exchange_payload_key, DevicePayloadKey, own=True, body=NewPayloadKey),
    Route("POST", f"{_PATH}/require", "admin", require_payload_key, DevicePayloadKey),
    Route("DELETE", _PATH, "admin", drop_payload_key, status=204),
)
"""Who may call what."""
