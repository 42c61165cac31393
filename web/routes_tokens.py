"""The tokens of the API: list, create, revoke. A token's text is in one answer, never in another."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from web.call import Call, Reply
from web.errors import ApiError, bad_field
from web.face import Item
from web.render import listing, plain
from web.routes_devices import Serial
from web.routes_history import not_ours
from web.sessions import Role

LONGEST = 10 * 365 * 86_400
"""Seconds for which a token may be valid, if it is to end at all."""
_ID = re.compile(r"[0-9]{1,9}\Z")

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]*\Z")]


class NewToken(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /api/tokens`."""

    name: Name
    role: Role
    serial: Serial | None = None
    """The one device that a token of role `device` speaks for."""
    expires_in: Annotated[float, msgspec.Meta(gt=0, le=LONGEST)] | None = None
    """Seconds; without it the token is valid until it is revoked."""


_NEW = msgspec.json.Decoder(NewToken)


def index(call: Call) -> Item:
    """List the tokens, those that have ended included."""
    cursor, limit = call.text("cursor"), call.limit()
    if cursor is not None and not _ID.match(cursor):
        raise not_ours()
    items = [item for item in call.face.tokens.items() if item["id"] > int(cursor or 0)]
    return listing(plain(items[:limit]), str(items[limit - 1]["id"]) if len(items) > limit else None)


def create(call: Call) -> Reply:
    """Make a token and tell its text, this once."""
    new = call.decode(_NEW)
    if (new.role == "device") != (new.serial is not None):
        raise bad_field("serial", "belongs to the role device, and the other way round")
    made = call.face.tokens.create(name=new.name, role=new.role, serial=new.serial or "", expires_in=new.expires_in)
    call.note(id=made["id"], role=new.role, serial=new.serial, expires_in=new.expires_in)
    return Reply(plain(made), 201)


def revoke(call: Call, token: str) -> Reply:
    """End a token at once."""
    try:
        if _ID.match(token):
            call.face.tokens.revoke(int(token))
            return Reply(None, 204)
    except KeyError:
        pass
    raise ApiError(404, "there is no token of this id that has not ended", details={"id": token[:64]})
