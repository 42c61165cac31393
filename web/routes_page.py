"""The page, its login and its files."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from web.auth import log_in, set_cookie
from web.call import Call, Reply
from web.errors import ApiError
from web.pages import Page
from web.routes_session import attempt

HTML = "text/html; charset=utf-8"


def show(page: Page) -> Callable[[Call], Reply]:
    """Return the handler of a page."""

    def handle(call: Call) -> Reply:
        if call.who is None or call.who.role == "device":
            return Reply(b"", 303, {"Location": _login_before(page, call)}, HTML)
        return call.site.assets.page(page, call.environ)

    handle.__doc__ = f"Return the page `{page.title}`, to those without a session the way to the login."
    return handle


def _login_before(page: Page, call: Call) -> str:
    """Return the way to the login, which leads on to the page that was asked for."""
    asked = call.environ.get("QUERY_STRING", "")
    target = f"{page.path}?{asked}" if asked else page.path
    return "/login" if target == "/" else f"/login?{urlencode({'next': target})}"


def login(call: Call) -> Reply:
    """Return the login page; with a page key in the link, a session and the way to the page."""
    key = call.query.get("key")
    if key is None:
        return call.site.assets.reply("login.html", call.environ)
    attempt(call)
    opened = log_in(call.face, "key", key)
    if opened is None:
        return call.site.assets.reply("login.html", call.environ, status=401)
    call.notes.who = opened[0].title
    return Reply(b"", 303, {"Location": "/", "Set-Cookie": set_cookie(call.environ, opened[1])}, HTML)


def asset(call: Call, name: str) -> Reply:
    """Return a file of the page."""
    if name not in call.site.assets:
        raise ApiError(404, "there is no such file")
    return call.site.assets.reply(name, call.environ)


def icon(call: Call) -> Reply:
    """Return the icon."""
    return asset(call, "icon.svg")


def login_script(call: Call) -> Reply:
    """Return the script of the login page."""
    return asset(call, "login.js")


def style(call: Call) -> Reply:
    """Return the style, which the login page shares."""
    return asset(call, "style.css")
