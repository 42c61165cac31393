"""Enrolment: a device asks for credentials of its own, and operators decide who may."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import msgspec

from web.answers_enrolment import Approval, CertificateRequest
from web.auth import bearer_token
from web.call import Call, Reply
from web.enrolments import EnrolmentRefusedError
from web.errors import ApiError
from web.face import Item
from web.render import enrolment_json
from web.routes_history import cursor_of, page_of

T = TypeVar("T")

INSPECT = ("device_id", "nonce")
"""Query parameters of the question for the server's proofs."""
MAX_BODY = 8192
"""Bytes of a request to enrol: nobody has shown anything yet who sends one."""
MAX_HOST = 260
"""Characters of the Host header that are looked at: a name, a colon and a port."""
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_CERTIFICATE = msgspec.json.Decoder(CertificateRequest)
_APPROVAL = msgspec.json.Decoder(Approval)
_PORT = re.compile(r":[0-9]+\Z")


def inspect(call: Call) -> Item:
    """Prove to a device that this is its server before it sends a secret; `nonce` is 16 to 64 hex digits of its own."""
    call.pay(call.site.limits.inspect, "too many questions from this address")
    device_id, nonce = call.text("device_id") or "", call.text("nonce") or ""
    host = _dialled(call)
    return _asked(lambda: call.face.enrolments.inspect(device_id, nonce, address=call.client, host=host))


def register(call: Call) -> Reply:
    """Exchange the fleet's key for credentials of the device's own, once; again only with its token or an approval."""
    call.pay(call.site.limits.enrol, "too many attempts to enrol from this address")
    request, proof = call.decode(_OBJECT, MAX_BODY), bearer_token(call.environ)
    made = _asked(
        lambda: call.face.enrolments.register(request, proof=proof, address=call.client, host=_host(call)),
    )
    return Reply(made, 201)


def certify(call: Call, serial: str) -> Reply:
    """Give an enrolled device a certificate for its own key; it asks again before that ends."""
    call.pay(call.site.limits.enrol, "too many requests for certificates from this address")
    request = call.decode(_CERTIFICATE, MAX_BODY)
    return Reply(_asked(lambda: call.face.enrolments.certify(serial, request.csr, host=_host(call))), 201)


def index(call: Call) -> Item:
    """List who asked to enrol: first those who wait, then by serial."""
    limit, cursor = call.limit(), cursor_of(call)
    return page_of(lambda: call.face.enrolments.items(limit, cursor), enrolment_json)


def approve(call: Call, serial: str) -> Item:
    """Let a device enrol, or enrol again, within a day; with `request`, only if that request waits still."""
    has_body = (call.environ.get("CONTENT_LENGTH") or "0") != "0"
    seen = call.decode(_APPROVAL, MAX_BODY) if has_body else Approval()
    return _decide(call, partial(call.face.enrolments.approve, request=seen.request), serial)


def deny(call: Call, serial: str) -> Item:
    """Refuse a device until it is approved, and let it off the broker; its tokens stay valid."""
    return _decide(call, call.face.enrolments.deny, serial)


def revoke(call: Call, serial: str) -> Reply:
    """End a device's credentials and refuse it until it is approved."""
    _decide(call, call.face.enrolments.revoke, serial)
    return Reply(None, 204)


def _decide(call: Call, decision: Callable[[str, str, str], Item], serial: str) -> Item:
    assert call.who is not None
    by = call.who.title
    return enrolment_json(_asked(lambda: decision(serial, by, call.client)))


def _asked(ask: Callable[[], T]) -> T:
    """Return the answer, or raise the refusal as the API tells it."""
    try:
        return ask()
    except EnrolmentRefusedError as error:
        headers = {"Retry-After": "5"} if error.status == 503 else {}
        raise ApiError(error.status, error.message, code=error.code, details=error.details, headers=headers) from None


def _dialled(call: Call) -> str:
    """Return the Host header with the port, which clients may leave out where it is the scheme's."""
    host = _host(call)
    if not host or _PORT.search(host):
        return host
    return f"{host}:{443 if call.environ['wsgi.url_scheme'] == 'https' else 80}"


def _host(call: Call) -> str:
    host: str = call.environ.get("HTTP_HOST", "")
    return host[:MAX_HOST]
