"""What the routes of payload keys answer with, as types; see `web.answers`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from web.answers import Page


class NewPayloadKey(msgspec.Struct, forbid_unknown_fields=True):
    """The body of an exchange of keys."""

    key: Annotated[str, msgspec.Meta(min_length=44, max_length=44)]
    """The device's public key: X25519, 32 bytes in base64."""


class DevicePayloadKey(msgspec.Struct):
    """Both public keys, in base64."""

    serial: str
    key: str
    """The device's; empty where one is wanted and none was given, or it has ended."""
    server_key: str
    key_id: str
    """Names the pair, as it stands in each sealed payload; empty without the device's."""


DevicePayloadKeys = Page[DevicePayloadKey]
