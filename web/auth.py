"""Who is calling: a bearer token, or the session cookie of the page. The caller's address grants nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any, Literal

from web.errors import ApiError
from web.face import Face
from web.sessions import LIFETIME, Credential, Role, Session, digest

Access = Literal["open", "read", "operate", "admin"]
RANK: dict[Role, int] = {"device": 0, "read": 1, "operate": 2, "admin": 3}
CSRF_HEADER = "HTTP_X_MUSTER_CSRF"
"""A page of another origin cannot send it without a preflight, which is never granted."""
KEY_CREDENTIAL = Credential("admin")
"""What a page key stands for: whoever has it reads what the server prints at this machine."""
MAX_SECRET = 512
"""Characters of a token or cookie that are looked at."""


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller."""

    role: Role
    serial: str | None
    by_cookie: bool
    bucket: str
    """Names the token or session to the rate limiter, without telling it."""
    name: str = ""
    """What the token is called; empty for the token given from outside and for page keys."""
    holder: str = ""
    """Names the token or page key behind it, without telling it: the same for all its sessions."""

    @property
    def title(self) -> str:
        """Who it is, as the record of what was decided names him: `admin grafana`."""
        return Credential(self.role, self.serial, self.name).title

    def may(self, access: Access, *, own: bool) -> bool:
        """Tell whether a route with this access is for the caller; `own`: it speaks of the caller's serial alone."""
        if access == "open":
            return True
        if self.role == "device":
            return own
        return RANK[self.role] >= RANK[access]


def authenticate(face: Face, environ: Mapping[str, Any]) -> Principal | None:
    """Return the caller, None for one who shows nothing. Raises a 401 for a token that is none of ours."""
    if environ.get("HTTP_AUTHORIZATION") is not None:
        plain = bearer_token(environ)
        credential = _verify(face, "token", plain)
        if credential is None:
            raise unauthenticated("this token is not known")
        return _principal(credential, digest(plain), digest(plain), by_cookie=False)
    cookie = session_cookie(environ)
    if not cookie:
        return None
    session = face.sessions.find(cookie, face.clock.monotonic())
    credential = _behind(face, session) if session else None
    if session is None or credential is None:
        return None
    return _principal(credential, digest(cookie), session.proof, by_cookie=True)


def bearer_token(environ: Mapping[str, Any]) -> str:
    """Return the bearer token that is shown, empty for none and for what cannot be one."""
    scheme, _, plain = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return plain.strip() if scheme.lower() == "bearer" and _is_plausible(plain.strip()) else ""


def check_origin(environ: Mapping[str, Any]) -> None:
    """Refuse what another site made the browser send: needed wherever a cookie or a login changes state."""
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site == "same-origin" or (site in (None, "none") and environ.get(CSRF_HEADER)):
        return
    raise ApiError(403, "this request came from another site; with a cookie the header X-Muster-CSRF is needed")


def log_in(face: Face, source: Literal["token", "key"], secret: str) -> tuple[Credential, str] | None:
    """Open a session for a token or page key that is valid; return what it stands for and the cookie's value."""
    credential = _verify(face, source, secret)
    if credential is None:
        return None
    if credential.role == "device":
        raise ApiError(403, "a device's token does not open the page")
    return credential, face.sessions.open(source, secret, face.clock.monotonic())


def session_cookie(environ: Mapping[str, Any]) -> str:
    """Return the value of our cookie, or an empty text."""
    try:
        found = SimpleCookie(environ.get("HTTP_COOKIE", "")).get(cookie_name(environ))
    except CookieError:
        return ""
    return found.value if found is not None and len(found.value) <= MAX_SECRET else ""


def cookie_name(environ: Mapping[str, Any]) -> str:
    """Return the cookie's name. Cookies ignore the port: two servers on one host must not log each other out."""
    return f"muster_{environ.get('SERVER_PORT') or 'session'}"


def set_cookie(environ: Mapping[str, Any], value: str) -> str:
    """Return the Set-Cookie header of a session; an empty value takes the cookie away."""
    secure = "; Secure" if environ.get("wsgi.url_scheme") == "https" else ""
    age = int(LIFETIME) if value else 0
    return f"{cookie_name(environ)}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}"


def unauthenticated(message: str) -> ApiError:
    """Return the 401."""
    return ApiError(401, message, headers={"WWW-Authenticate": 'Bearer realm="muster"'})


def _verify(face: Face, source: Literal["token", "key"], secret: str) -> Credential | None:
    if not _is_plausible(secret):
        return None
    if source == "token":
        return face.tokens.verify(secret)
    return KEY_CREDENTIAL if face.page_keys.redeem(secret) else None


def _behind(face: Face, session: Session) -> Credential | None:
    """Return what a session stands for now. A page key is valid once: what it has opened lasts for its time."""
    return KEY_CREDENTIAL if session.source == "key" else face.tokens.verify_digest(session.proof)


def _principal(credential: Credential, shown: str, proof: str, *, by_cookie: bool) -> Principal:
    """Return the caller; `shown` and `proof` are digests, of which a part is enough to tell callers apart."""
    bucket, holder = shown[:16], proof[:16]
    return Principal(credential.role, credential.serial, by_cookie, bucket, credential.name, holder)


def _is_plausible(secret: str) -> bool:
    return 0 < len(secret) <= MAX_SECRET and secret.isascii()
