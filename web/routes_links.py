"""The MQTT links."""

from __future__ import annotations

from collections.abc import Callable

from web.answers_supervision import Brokers, Links, LinkTold
from web.call import Call, Reply
from web.errors import ApiError
from web.face import Item
from web.render import listing, plain
from web.route import Route


def index(call: Call) -> Item:
    """List the links."""
    return listing(plain(call.face.links.status()))


def brokers(call: Call) -> Item:
    """List the brokers, with what each tells of itself."""
    return listing(plain(call.face.links.brokers()))


def reconnect(call: Call, name: str) -> Reply:
    """Close and open a link again."""
    return _tell(call.face.links.reconnect, name, "reconnect")


def pause(call: Call, name: str) -> Reply:
    """Close a link until it is resumed or the server starts again; the broker keeps what the data link has coming."""
    return _tell(call.face.links.pause, name, "pause")


def resume(call: Call, name: str) -> Reply:
    """Open a paused link."""
    return _tell(call.face.links.resume, name, "resume")


def _tell(order: Callable[[str], None], name: str, action: str) -> Reply:
    try:
        order(name)
    except KeyError:
        raise ApiError(404, "there is no link of this name", details={"name": name[:64]}) from None
    return Reply({"name": name, "action": action}, 202)


ROUTES = (
    Route("GET", "/api/brokers", "read", brokers, Brokers),
    Route("GET", "/api/links", "read", index, Links),
    Route("POST", "/api/links/<name>/reconnect", "operate", reconnect, LinkTold, status=202),
    Route("POST", "/api/links/<name>/pause", "operate", pause, LinkTold, status=202),
    Route("POST", "/api/links/<name>/resume", "operate", resume, LinkTold, status=202),
)
"""Of the table of `web.app`."""
