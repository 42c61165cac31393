"""All that the HTTP face is given: one frozen value, filled in by whoever starts the server.

`web` knows the parts of Muster only by the protocols of this module, so that every route runs against plain fakes in
tests. Each method is called on a thread of the HTTP server, many at a time: implementations are thread-safe and answer
within their own deadline. What they may raise is written at each method; allowed everywhere are `ConflictError`, which
becomes 409, and `pykka.Timeout`, `TimeoutError`, `pykka.ActorDeadError` and `StoreUnavailable`, which become 503.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from actors.events import EventRing
from actors.runtime import Clock
from web.access import Access
from web.alarms import Alarms
from web.audit import Audit
from web.board import HttpBoard
from web.commands import Commands
from web.enrolments import Enrolments
from web.fleet import Fleet
from web.groups import Groups
from web.notifications import Notifications
from web.payload_keys import PayloadKeys
from web.releases import Ota, Releases
from web.rollouts import Rollouts
from web.sessions import Credential, Role, SessionStore
from web.soil_health import SoilHealth
from web.supervision import Links, Supervision
from web.twins import Twins

Item = dict[str, Any]
"""One element of a list answer. Keys that end in `_us` are microseconds since 1970; they go out as RFC 3339 times under
the name without the suffix (0 becomes null). A value of type bytes goes out as text, or as base64 where it is none."""


class ConflictError(Exception):
    """What was asked cannot be done in the present state: a serial that exists already, an action that is under way."""


class History(Protocol):
    """The database, read. Pages are (items, cursor); a cursor that is not ours raises ValueError."""

    def readings(
        self, serial: str, *, metric: str | None, since_us: int | None, until_us: int | None, limit: int, cursor: str
    ) -> tuple[list[Item], str | None]:
        """Return readings of a device, newest first, `since_us <= ts < until_us`.

        With them come `health_index` (None without one), `status` and `anomalies` (a list, of `actors.analysis`).
        """
        ...

    def buckets(
        self,
        serial: str,
        *,
        metric: str,
        since_us: int | None,
        until_us: int | None,
        bucket_us: int,
        limit: int,
        cursor: str,
    ) -> tuple[list[Item], str | None]:
        """Return `ts_us` (its start), `n`, `avg`, `min` and `max` of each interval with numbers, newest first."""
        ...

    def events(
        self, serial: str, *, kind: str | None, since_us: int | None, until_us: int | None, limit: int, cursor: str
    ) -> tuple[list[Item], str | None]:
        """Return the timeline of a device, newest first, `since_us <= ts < until_us`; None does not restrict."""
        ...

    def presence(self, serial: str, *, since_us: int, until_us: int | None) -> list[Item]:
        """Return what a device's presence was: `since_us`, `until_us`, `presence` and `reason`, oldest first, no hole.

        With `until_us` None it tells up to now. Raises `OverflowError` when it changed too often for one answer.
        """
        ...

    def sensors(self, serial: str) -> list[Item]:
        """Return the numbers that appeared in a device's readings, by name."""
        ...

    def dead_letters(
        self, *, reason: str | None, serial: str | None, limit: int, cursor: str
    ) -> tuple[list[Item], str | None]:
        """Return messages that could not be processed, newest first; None does not restrict."""
        ...

    def dead_letter(self, letter: int) -> Item | None:
        """Return one of them, None when there is none of this id."""
        ...

    def dead_letter_reasons(self, serial: str | None) -> list[Item]:
        """Return `reason` and `count` of those of a device, or of all, the most frequent reason first."""
        ...


class Scans(Protocol):
    """What barcode scanners read. Cursors as in `History`."""

    def store(self, body: bytes, *, idempotency_key: str, serial: str | None) -> Item:
        """Take a scan as if it had come by MQTT; return it after the commit.

        Args:
            body: the JSON as it was sent.
            idempotency_key: for a scan that names neither itself nor its time, a second request with this key is the
                same scan; empty without one.
            serial: the only device that the caller may speak for, and of a body that names none; None for any.

        Returns:
            `scan_id`, `stored` (True), `duplicate` (True for a scan that was known already), `device_id`, `code`,
            `symbology` (empty for an unknown one), `valid` (None where no check digit tells), `scanner`, `clock`,
            `ts_us` and `rx_us`.

        Raises:
            actors.payloads.RefusedError: with `unbound` for a device that is not `serial`, `too_large`, or any other
                reason; the field at fault stands in backticks in its detail.

        """
        ...

    def find(
        self,
        *,
        limit: int,
        cursor: str,
        serial: str | None,
        code: str | None,
        since_us: int | None,
        until_us: int | None,
    ) -> tuple[list[Item], str | None]:
        """Return scans of the whole fleet, newest first, `since_us <= ts < until_us`; None does not restrict.

        `code` is compared exactly. An item has the fields of `store` without `stored` and `duplicate`, and `id`.
        """
        ...


class Followers(Protocol):
    """What follows the table of readings: the audit trail, sinks, roll-ups."""

    def status(self) -> list[Item]:
        """Return per follower `name`, `cursor`, `lag` (rows behind), `written`, `last_error` (None without), `ok`."""
        ...


class Resolver(Protocol):
    """Finds the primary device of a type."""

    def resolve(self, device_type: str) -> Item | None:
        """Return its address and how it was found, None when there is none. May take seconds."""
        ...


class DeadLetters(Protocol):
    """The way back for what could not be processed."""

    def replay(self, letter: int) -> None:
        """Handle a dead letter again, as if it had just arrived.

        Raises KeyError when there is none of this id, `ConflictError` when nobody could handle it.
        """
        ...


class Tokens(Protocol):
    """Who may do what; tokens are compared by hash."""

    def verify(self, plain: str) -> Credential | None:
        """Return the role of a bearer token and, for role `device`, its serial; None for no token of ours."""
        ...

    def verify_digest(self, digest: str) -> Credential | None:
        """Return the same by the token's digest (`web.sessions.digest`): a session keeps no more of it."""
        ...

    def items(self) -> list[Item]:
        """Return all tokens by id: `id`, `name`, `role`, `serial`, `created_us`, `expires_us`, `revoked_us`."""
        ...

    def create(self, *, name: str, role: Role, serial: str, expires_in: float | None) -> Item:
        """Make a token and return it as `items` does, with its text as `token`; `expires_in` is in seconds."""
        ...

    def revoke(self, token_id: int) -> None:
        """End a token at once. Raises KeyError when there is none of this id, or it has ended already."""
        ...


class PageKeys(Protocol):
    """Keys that open the page from a link."""

    def redeem(self, key: str) -> bool:
        """Tell whether this key is valid now."""
        ...


@dataclass(frozen=True, kw_only=True)
class Face:
    """Everything the routes use."""

    fleet: Fleet
    history: History
    soil_health: SoilHealth
    scans: Scans
    enrolments: Enrolments
    alarms: Alarms
    commands: Commands
    notifications: Notifications
    groups: Groups
    twins: Twins
    releases: Releases
    ota: Ota
    rollouts: Rollouts
    access: Access
    payload_keys: PayloadKeys
    followers: Followers
    links: Links
    supervision: Supervision
    resolver: Resolver
    dead_letters: DeadLetters
    tokens: Tokens
    audit: Audit
    page_keys: PageKeys
    ring: EventRing
    health: Callable[[], Item]
    """The body of `/api/health`; its `status` is `ok`, `degraded` or `failing`."""
    metrics: Callable[[], bytes]
    """Prometheus' text format, version 0.0.4."""
    clock: Clock
    version: str
    sessions: SessionStore = field(default_factory=SessionStore)
    """Outlives a restart of the HTTP actor, so that pages stay logged in."""
    http: HttpBoard = field(default_factory=HttpBoard)
    """What the server counts."""
