"""The way that every request takes: who is it, may he, what is answered, and what is kept of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import bottle
import msgspec
import pykka

from actors.storage.errors import StoreUnavailable
from web.auth import Principal, authenticate, check_origin, unauthenticated
from web.call import Call, Notes, Reply, check_length, parse_query
from web.errors import ApiError, ErrorBody, bad_field, error_body, too_many
from web.face import ConflictError
from web.limits import client_key
from web.route import SAFE_METHODS, Route
from web.site import Site

logger = logging.getLogger(__name__)

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

UNAVAILABLE = (pykka.Timeout, TimeoutError, pykka.ActorDeadError, StoreUnavailable)

SECURITY_HEADERS = (
    (
        "Content-Security-Policy",
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    ),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)
HSTS = ("Strict-Transport-Security", f"max-age={180 * 86_400}")
"""Behind TLS only; without subdomains, which may be other machines."""


def lead(site: Site, routes: Iterable[Route]) -> WsgiApp:
    """Return the WSGI application that leads each request to the handler of its route."""
    app = bottle.Bottle()
    app.default_error_handler = partial(_plain_error, site)
    for route in routes:
        app.route(route.path, route.method, _runner(site, route))
    return _with_headers(app, site)


def _runner(site: Site, route: Route) -> Callable[..., Any]:
    def run(**args: str) -> Any:
        environ, notes = bottle.request.environ, Notes()
        reply = _answer(site, route, environ, args, notes)
        if reply.status >= 400:
            code = reply.body.error.code if isinstance(reply.body, ErrorBody) else ""
            site.face.http.refuse(reply.status, f"{route.method} {route.path}", code)
        if _is_kept(route, environ, reply.status, notes):
            site.face.audit.record(
                who=notes.who,
                address=environ.get("REMOTE_ADDR", ""),
                action=route.operation,
                subject=_subject(args, reply),
                status=reply.status,
                details=notes.details,
            )
        return _respond(reply)

    return run


def _is_kept(route: Route, environ: Mapping[str, Any], status: int, notes: Notes) -> bool:
    """Tell whether the audit log keeps a request: a change by somebody, a right refused, a token or key not known."""
    if status < 400 or status >= 500:
        # What is only looked at is answered with 200: the form of the login. What failed may have been done, though.
        is_change = not notes.is_step and not (route.method in SAFE_METHODS and status == 200)
        return route.is_audited and bool(notes.who) and is_change
    if route.judges_token:
        return False  # enrolment has a record of its own, by device
    return status == 403 or (status == 401 and ("HTTP_AUTHORIZATION" in environ or route.access == "open"))


def _subject(args: Mapping[str, str], reply: Reply) -> str:
    """Return what a request was about: what its path names, else what its answer does."""
    if args or not isinstance(reply.body, dict):
        return "/".join(args.values())
    return next((str(reply.body[name]) for name in ("serial", "name", "id", "version") if reply.body.get(name)), "")


def _answer(site: Site, route: Route, environ: Mapping[str, Any], args: Mapping[str, str], notes: Notes) -> Reply:
    try:
        return _admit_and_handle(site, route, environ, args, notes)
    except ApiError as error:
        return Reply(error.body(), error.status, error.headers)
    except ConflictError as error:
        return Reply(error_body(409, str(error)), 409)
    except UNAVAILABLE as error:
        logger.warning("%s %s: not answered in time: %r", route.method, route.path, error)
        away = isinstance(error, StoreUnavailable)
        sentence = "the database is away or slow" if away else "the part of Muster that answers this is restarting"
        return Reply(error_body(503, sentence), 503, {"Retry-After": "1"})
    except Exception:
        logger.exception("%s %s failed", route.method, route.path)
        return Reply(error_body(500, "this is a bug in Muster; its log has the details"), 500)


def _admit_and_handle(
    site: Site, route: Route, environ: Mapping[str, Any], args: Mapping[str, str], notes: Notes
) -> Reply:
    check_length(environ, route.body_limit)
    who = _admit(site, route, environ, args.get("serial"), notes)
    call = Call(site, environ, _query(route, environ), who, notes)
    answer = route.handler(call, **args)
    return answer if isinstance(answer, Reply) else Reply(answer)


def _query(route: Route, environ: Mapping[str, Any]) -> dict[str, str]:
    """Return the query parameters. A misspelt filter is refused: without it the answer would be of other things."""
    query = parse_query(environ.get("QUERY_STRING", ""))
    for name in query:
        if route.query and name not in route.query and route.media == "application/json":
            raise bad_field(name[:64], f"is not known here; there are {', '.join(route.query)}")
    return query


def _admit(site: Site, route: Route, environ: Mapping[str, Any], serial: str | None, notes: Notes) -> Principal | None:
    client = client_key(environ.get("REMOTE_ADDR", ""))
    now = site.face.clock.monotonic()
    try:
        who = None if route.judges_token else authenticate(site.face, environ)
    except ApiError:
        _pay(site.limits.refused.take(client, now))
        raise
    _pay(site.limits.token.take(who.bucket, now) if who else site.limits.client.take(client, now))
    if who is None:
        if route.access != "open":
            raise unauthenticated("a token is needed: Authorization: Bearer ...")
        return None
    notes.who = who.title
    if who.by_cookie and route.method not in SAFE_METHODS:
        check_origin(environ)
    if not who.may(route.access, own=route.speaks or (route.own and serial == who.serial)):
        raise ApiError(403, f"the role {who.role} may not do this", details={"needed": route.access})
    return who


def still_lets_in(call: Call) -> bool:
    """Tell whether the caller is still who he was: answers that go on for long ask again and again."""
    try:
        return authenticate(call.face, call.environ) == call.who
    except ApiError:
        return False
    except UNAVAILABLE:
        return True  # nor can a token be revoked while the database is away


def _pay(wait: float) -> None:
    if wait:
        raise too_many(wait)


def _respond(reply: Reply) -> Any:
    body = reply.body
    headers = {"Cache-Control": "no-store", **reply.headers}
    if body is None:
        return bottle.HTTPResponse(b"", reply.status, headers)
    if reply.content_type == "application/json" and not isinstance(body, bytes):
        body = msgspec.json.encode(body)
    return bottle.HTTPResponse(body, reply.status, {"Content-Type": reply.content_type, **headers})


def _plain_error(site: Site, error: Any) -> bytes:
    """Answer what no handler was asked for: 404 and 405 of the router."""
    site.face.http.refuse(error.status_code)
    bottle.response.content_type = "application/json"
    messages = {404: "there is nothing at this path", 405: "this path does not take that method"}
    status = error.status_code
    return msgspec.json.encode(error_body(status, messages.get(status, "the request cannot be handled")))


def _with_headers(app: Any, site: Site) -> WsgiApp:
    def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        site.proxies.reveal(environ)
        own = (*SECURITY_HEADERS, HSTS) if environ["wsgi.url_scheme"] == "https" else SECURITY_HEADERS

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            site.face.http.answer(status)
            return start_response(status, [*headers, *own], exc_info)

        answer: Iterable[bytes] = app(environ, start)
        return answer

    return wsgi
