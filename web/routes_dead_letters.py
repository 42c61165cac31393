"""What could not be processed, and the way back for it."""

from __future__ import annotations

import re

from web.call import Call, Reply
from web.errors import ApiError
from web.face import Item
from web.render import listing, plain
from web.routes_history import cursor_of, not_ours

_ID = re.compile(r"[0-9]{1,18}\Z")


def index(call: Call) -> Item:
    """List dead letters, newest first."""
    try:
        items, cursor = call.face.history.dead_letters(limit=call.limit(), cursor=cursor_of(call))
    except ValueError:
        raise not_ours() from None
    return listing(plain(items), cursor)


def replay(call: Call, letter: str) -> Reply:
    """Handle a dead letter again."""
    # Ids are 64-bit in every database we speak to.
    number = int(letter) if _ID.match(letter) else None
    try:
        if number is not None:
            call.face.dead_letters.replay(number)
            return Reply({"id": number, "action": "replay"}, 202)
    except KeyError:
        pass
    raise ApiError(404, "there is no dead letter of this id", details={"id": letter[:64]})
