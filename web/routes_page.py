"""The page, its login and its files."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from web.auth import log_in, set_cookie
from web.call import Call, Reply
from web.errors import ApiError
from web.pages import HOME, Page
from web.routes_session import attempt

HTML = "text/html; charset=utf-8"


def show(page: Page) -> Callable[[Call], Reply]:
    """Return the handler of a page."""

    def handle(call: Call, serial: str = "") -> Reply:
        if call.who is None or call.who.role == "device":
            return Reply(b"", 303, {"Location": _login_before(page.path.replace("<serial>", serial), call)}, HTML)
        return call.site.assets.page(page, call.environ)

    handle.__doc__ = f"Return the page `{page.area}`, to those without a session the way to the login."
    return handle


def _login_before(path: str, call: Call) -> str:
    """Return the way to the login, which leads on to the page that was asked for."""
    asked = call.environ.get("QUERY_STRING", "")
    target = f"{path}?{asked}" if asked else path
    return "/login" if target == HOME else f"/login?{urlencode({'next': target})}"


def login(call: Call) -> Reply:
    """Return the login page; with a page key in the link, a session and the way to the page."""
    key = call.query.get("key")
    if key is None:
        return call.site.assets.login(call.environ)
    attempt(call)
    opened = log_in(call.face, "key", key)
    if opened is None:
        return call.site.assets.login(call.environ, status=401)
    call.notes.who = opened[0].title
    return Reply(b"", 303, {"Location": "/", "Set-Cookie": set_cookie(call.environ, opened[1])}, HTML)


def asset(call: Call, name: str) -> Reply:
    """Return a file of the page."""
    if name not in call.site.assets:
        raise ApiError(404, "there is no such file")
    return call.site.assets.reply(name, call.environ)


def icon(call: Call) -> Reply:
    """Return the icon."""
    return asset(call, "core/icon.svg")


def given(name: str) -> Callable[[Call], Reply]:
    """Return the handler of a file that the login page loads."""

    def handle(call: Call) -> Reply:
        return asset(call, name)

    handle.__doc__ = f"Return the file `{name}`, which the login page loads."
    return handle
