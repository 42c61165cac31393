"""The MQTT links."""

from __future__ import annotations

from web.call import Call, Reply
from web.errors import ApiError
from web.face import Item
from web.render import listing, plain


def index(call: Call) -> Item:
    """List the links."""
    return listing(plain(call.face.links.status()))


def reconnect(call: Call, name: str) -> Reply:
    """Close and open a link again."""
    try:
        call.face.links.reconnect(name)
    except KeyError:
        raise ApiError(404, "there is no link of this name", details={"name": name[:64]}) from None
    return Reply({"name": name, "action": "reconnect"}, 202)
