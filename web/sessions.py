"""Sessions of the page: random cookies for credentials that are asked again on every request.

A session is never worth more than the token it was opened with: it keeps the digest of that token, and the caller
verifies it each time. Revoking a token therefore closes its sessions at once. One that a page key has opened is an
operator's at this machine and lasts for its time.

Sessions outlive the server: a page that is left open goes on behind a restart. What is kept for that are digests, of
cookies and of tokens; neither opens anything.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec

Role = Literal["device", "read", "operate", "admin"]

MAX_SESSIONS = 1000
"""The one unused for longest makes room."""
LIFETIME = 7 * 24 * 3600.0
"""Seconds after which a session ends even when used."""
IDLE = 12 * 3600.0
"""Seconds without a request after which a session ends. An open page asks more often."""
SAVE_EVERY = 600.0
"""Seconds of use after which it is kept that a session is in use; that one is opened or closed is kept at once."""


class Credential(NamedTuple):
    """What a token, key or session stands for."""

    role: Role
    serial: str | None = None
    """Set for role `device`, which reaches nothing but this serial."""
    name: str = ""
    """What the token is called, for the record of what somebody decides; empty where it has no name."""

    @property
    def title(self) -> str:
        """Who it is, as records name him: `admin grafana`, `device pi-1`."""
        return f"{self.role} {self.name or self.serial or ''}".strip()


@dataclass(slots=True)
class Session:
    """One logged-in browser."""

    source: Literal["token", "key"]
    proof: str
    """The digest of the token or key, see `digest`."""
    opened_at: float
    """Monotonic seconds, as `used_at` and `saved_at`."""
    used_at: float
    saved_at: float


class Kept(msgspec.Struct, array_like=True):
    """A session as it is kept: times are seconds since 1970."""

    cookie: str
    source: Literal["token", "key"]
    proof: str
    opened: float
    used: float


class SessionStore:
    """A bounded table of sessions by the digest of their cookie; thread-safe.

    Looking up by digest needs no constant-time compare: how long it takes tells nothing about a cookie that would pass.
    """

    def __init__(
        self,
        capacity: int = MAX_SESSIONS,
        *,
        save: Callable[[bytes], None] = lambda _kept: None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Assign.

        Args:
            capacity: sessions that are open at once.
            save: keeps all sessions for the next start of the server; must not raise. Called with one at a time.
            wall: seconds since 1970.

        """
        self._capacity = capacity
        self._save = save
        self._wall = wall
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def restore(self, kept: bytes, now: float) -> int:
        """Take what `save` was given before a restart; return how many sessions that are.

        Raises:
            msgspec.DecodeError: it is nothing that `save` was given.

        """
        since = self._wall() - now
        found = msgspec.json.decode(kept, type=list[Kept])
        with self._lock:
            for one in found[-self._capacity :]:
                # A clock that was set back since must not lengthen what a session has left.
                opened, used = (min(now, at - since) for at in (one.opened, one.used))
                self._sessions[one.cookie] = Session(one.source, one.proof, opened, used, used)
        return len(found)

    def open(self, source: Literal["token", "key"], secret: str, now: float) -> str:
        """Start a session and return the value of its cookie."""
        cookie = secrets.token_urlsafe(32)
        with self._lock:
            self._sessions[digest(cookie)] = Session(source, digest(secret), now, now, now)
            while len(self._sessions) > self._capacity:
                self._sessions.popitem(last=False)
            self._keep(now)
        return cookie

    def find(self, cookie: str, now: float) -> Session | None:
        """Return the session of a cookie and mark it used; None when there is none or its time is over."""
        key = digest(cookie)
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                return None
            if now - session.opened_at > LIFETIME or now - session.used_at > IDLE:
                del self._sessions[key]
                self._keep(now)
                return None
            session.used_at = now
            self._sessions.move_to_end(key)
            if now - session.saved_at > SAVE_EVERY:
                self._keep(now)
            return session

    def close(self, cookie: str, now: float) -> None:
        """End a session; an unknown cookie is none."""
        with self._lock:
            if self._sessions.pop(digest(cookie), None):
                self._keep(now)

    def __len__(self) -> int:
        return len(self._sessions)

    def _keep(self, now: float) -> None:
        since = self._wall() - now
        kept = []
        for cookie, session in self._sessions.items():
            session.saved_at = now
            opened, used = round(session.opened_at + since, 3), round(session.used_at + since, 3)
            kept.append(Kept(cookie, session.source, session.proof, opened, used))
        self._save(msgspec.json.encode(kept))


def digest(secret: str) -> str:
    """Return the SHA-256 of a token, key or cookie in hexadecimal; of a token it is what the database keeps, too."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
