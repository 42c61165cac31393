"""The tokens of the API: list, create, revoke. A token's text is in one answer, never in another."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Final, get_args

import msgspec

from web.call import Call, Reply
from web.errors import ApiError, bad_field
from web.face import Item
from web.render import listing, plain
from web.route import PAGED
from web.routes_devices import Serial
from web.routes_fleet import ORDERS
from web.routes_history import not_ours
from web.sessions import Role

LONGEST = 10 * 365 * 86_400
"""Seconds for which a token may be valid, if it is to end at all."""
FILTERS: Final = ("role", "state", "q", "order", *PAGED)
ROLES: Final[tuple[Role, ...]] = get_args(Role)
STATES: Final = ("valid", "expired", "revoked")
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
    """List the tokens by id, also those that have ended: of one `role`, in one `state`, with `q` in name or serial."""
    cursor, limit = call.text("cursor"), call.limit()
    if cursor is not None and not _ID.match(cursor):
        raise not_ours()
    after, newest_first = int(cursor or 0), call.choice("order", ORDERS) == "desc"
    found = sorted(filter(_wanted(call), call.face.tokens.items()), key=lambda item: item["id"], reverse=newest_first)
    left = [item for item in found if not after or (item["id"] < after if newest_first else item["id"] > after)]
    return listing(plain(left[:limit]), str(left[limit - 1]["id"]) if len(left) > limit else None)


def _wanted(call: Call) -> Callable[[Item], bool]:
    role, state, sought = call.choice("role", ROLES), call.choice("state", STATES), (call.text("q") or "").lower()
    now_us = int(call.face.clock.time() * 1e6)

    def fits(item: Item) -> bool:
        text = f"{item['name']}\n{item['serial'] or ''}".lower()
        return role in (None, item["role"]) and state in (None, _state(item, now_us)) and sought in text

    return fits


def _state(item: Item, now_us: int) -> str:
    if item["revoked_us"]:
        return "revoked"
    return "expired" if item["expires_us"] and item["expires_us"] <= now_us else "valid"


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
