"""API tokens: the text is shown once, the database keeps its SHA-256.

A token has 256 random bits, so a plain hash is enough: there is nothing to guess that a slow hash would protect.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from actors.storage.models import ApiToken

Role = Literal["read", "operate", "admin", "device"]

#: Tells a Muster token from other secrets, for people and for scanners of leaked secrets.
PREFIX: Final = "muster_"
#: Seconds for which an answer of the database is believed: a revoked token ends within this time.
BELIEVED: Final = 10.0
#: Answers remembered; beyond it all are forgotten.
MOST_REMEMBERED: Final = 4096


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `api_token` without the hash."""

    id: int
    name: str
    role: Role
    serial: str
    """The device that a token of role `device` is for, else empty."""
    created_us: int
    expires_us: int | None = None
    revoked_us: int | None = None


class Identity(msgspec.Struct, frozen=True):
    """Who a request comes from."""

    name: str
    role: Role
    serial: str = ""


_COLUMNS: Final = [getattr(ApiToken, name) for name in Token.__struct_fields__]


def digest_token(plain: str) -> str:
    """Return what the database keeps of a token."""
    return hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()


def create_token(
    database: Any, *, role: Role, name: str, now_us: int, serial: str = "", expires_us: int | None = None
) -> str:
    """Store a new token and return its text, which nobody can read again; runs in the writer."""
    plain = PREFIX + secrets.token_urlsafe(32)
    row = {"name": name, "hash": digest_token(plain), "role": role, "serial": serial}
    ApiToken.insert(**row, created_us=now_us, expires_us=expires_us).execute(database)
    return plain


def revoke_token(database: Any, token_id: int, now_us: int) -> bool:
    """End a token; False if there is no such token or it has ended already. Runs in the writer."""
    is_it = (ApiToken.id == token_id) & ApiToken.revoked_us.is_null()
    return bool(ApiToken.update({ApiToken.revoked_us: now_us}).where(is_it).execute(database))


def list_tokens(database: Any) -> list[Token]:
    """Return all tokens, ended ones included."""
    query = ApiToken.select(*_COLUMNS).order_by(ApiToken.id).dicts()
    return [Token(**row) for row in query.execute(database)]


def find_token(database: Any, digest: str) -> Token | None:
    """Return the token with that digest, ended or not."""
    query = ApiToken.select(*_COLUMNS).where(ApiToken.hash == digest).dicts()
    return next((Token(**row) for row in query.execute(database)), None)


class TokenBook:
    """Verifies tokens and remembers the answers for a short time; threads may share it."""

    def __init__(self, find: Callable[[str], Token | None], monotonic: Callable[[], float]) -> None:
        """Look tokens up with `find` (by digest), which may raise when the database is away."""
        self._find = find
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, Token | None]] = {}
        self._age = 0
        """How often all was forgotten: an answer that was on its way then is not remembered."""

    def verify(self, plain: str, now_us: int) -> Identity | None:
        """Return whose token this is; None if it is unknown, expired or revoked."""
        return self.verify_digest(digest_token(plain), now_us)

    def verify_digest(self, digest: str, now_us: int) -> Identity | None:
        """Return whose token has this digest, as `verify`."""
        token = self._look_up(digest)
        if token is None or token.revoked_us is not None:
            return None
        if token.expires_us is not None and token.expires_us <= now_us:
            return None
        return Identity(token.name, token.role, token.serial)

    def forget(self) -> None:
        """Ask the database again: a token was made or revoked here."""
        self._age += 1
        self._known.clear()

    def _look_up(self, digest: str) -> Token | None:
        now = self._monotonic()
        known = self._known.get(digest)
        if known is not None and now < known[0]:
            return known[1]
        age = self._age
        token = self._find(digest)
        if age != self._age:
            return token
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[digest] = (now + BELIEVED, token)
        return token
