"""Sessions of the page: random cookies for credentials that are asked again on every request.

A session is never worth more than the token or key it was opened with: it keeps that secret, in memory only, and the
caller verifies it each time. Revoking a token therefore closes its sessions at once.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal, NamedTuple

Role = Literal["device", "read", "operate", "admin"]

MAX_SESSIONS = 1000
"""The one unused for longest makes room."""
LIFETIME = 7 * 24 * 3600.0
"""Seconds after which a session ends even when used."""
IDLE = 12 * 3600.0
"""Seconds without a request after which a session ends. An open page asks more often."""


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
    secret: str
    opened_at: float
    """Monotonic seconds, as `used_at`."""
    used_at: float


class SessionStore:
    """A bounded table of sessions by the hash of their cookie; thread-safe.

    Looking up by hash needs no constant-time compare: how long it takes tells nothing about a cookie that would pass.
    """

    def __init__(self, capacity: int = MAX_SESSIONS) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def open(self, source: Literal["token", "key"], secret: str, now: float) -> str:
        """Start a session and return the value of its cookie."""
        cookie = secrets.token_urlsafe(32)
        with self._lock:
            self._sessions[_digest(cookie)] = Session(source, secret, now, now)
            while len(self._sessions) > self._capacity:
                self._sessions.popitem(last=False)
        return cookie

    def find(self, cookie: str, now: float) -> Session | None:
        """Return the session of a cookie and mark it used; None when there is none or its time is over."""
        key = _digest(cookie)
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                return None
            if now - session.opened_at > LIFETIME or now - session.used_at > IDLE:
                del self._sessions[key]
                return None
            session.used_at = now
            self._sessions.move_to_end(key)
            return session

    def close(self, cookie: str) -> None:
        """End a session; an unknown cookie is none."""
        with self._lock:
            self._sessions.pop(_digest(cookie), None)

    def __len__(self) -> int:
        return len(self._sessions)


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).digest()
