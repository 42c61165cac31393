"""Logging in and out of the page."""

from __future__ import annotations

from typing import Annotated

import msgspec

from web.auth import check_origin, log_in, session_cookie, set_cookie, unauthenticated
from web.call import Call, Reply
from web.face import Item


class Login(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /api/login`."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


MAX_BODY = 4_096
"""Bytes of a login: nobody has shown anything yet who sends one."""
_LOGIN = msgspec.json.Decoder(Login)


def show(call: Call) -> Item:
    """Tell who the caller is and what serves him."""
    assert call.who is not None
    ring = call.face.ring
    return {"role": call.who.role, "version": call.face.version, "last_event_id": ring.event_id(ring.last)}


def login(call: Call) -> Reply:
    """Exchange a token for a session cookie."""
    if call.environ.get("HTTP_SEC_FETCH_SITE"):
        check_origin(call.environ)
    attempt(call)
    opened = log_in(call.face, "token", call.decode(_LOGIN, MAX_BODY).token)
    if opened is None:
        raise unauthenticated("this token is not known")
    credential, cookie = opened
    call.notes.who = credential.title
    return Reply({"role": credential.role}, headers={"Set-Cookie": set_cookie(call.environ, cookie)})


def logout(call: Call) -> Reply:
    """End the session, if there is one."""
    cookie = session_cookie(call.environ)
    if cookie:
        check_origin(call.environ)
        call.face.sessions.close(cookie, call.face.clock.monotonic())
    return Reply(None, 204, {"Set-Cookie": set_cookie(call.environ, "")})


def attempt(call: Call) -> None:
    """Count an attempt to log in. Raises a 429 when this client made too many."""
    call.pay(call.site.limits.login, "too many attempts to log in")
