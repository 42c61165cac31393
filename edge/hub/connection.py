"""One MQTT connection after another to the hub: a token, TLS, CONNECT, SUBSCRIBE; renewed before the token expires.

A hub ends a connection when its token expires, and there is no way to send it a new one: renewing is reconnecting.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from typing import Any, Protocol

from paho.mqtt.client import ConnectFlags, DisconnectFlags
from paho.mqtt.reasoncodes import ReasonCode

from actors.hub.connection_string import ConnectionString
from actors.hub.sas import sign
from actors.link.client import BufferedClient
from actors.link.poller import Poller
from actors.runtime import compute_backoff
from actors.sockets import sever
from edge.hub.board import HubState
from edge.hub.parts import HubParts
from edge.hub.topics import FILTERS, client_id, username

logger = logging.getLogger(__name__)

TOKEN_SECONDS = 3600
RENEW_BEFORE = 120.0
"""Seconds before its token expires that a connection is renewed."""
RENEW_GRACE = 10.0
"""Seconds that messages on their way have to be acknowledged before the old connection ends."""
KEEPALIVE = 60
ANSWER_WITHIN = 15.0
"""Seconds for the hub to answer CONNECT, and again SUBSCRIBE."""
BACKOFF_CAP, BACKOFF_CAP_REFUSED = 10.0, 60.0
"""Seconds between attempts at most: when there is no connection, and when the hub refuses us."""
BACKOFF_FLOOR, BACKOFF_FLOOR_REFUSED = 0.1, 5.0
GOOD_AFTER = 30.0
"""A connection that held so many seconds was good: the next failure is the first again."""
CLOCK_EVERY = 2.0
"""Seconds between two looks at a clock that is not set."""

UNSYNCED = "the clock is not set by NTP yet: the hub would refuse our token, so no connection is made"


class Listener(Protocol):
    """Whom a connection tells; called on the hub's thread, never from inside paho."""

    def connection_up(self) -> None:
        """Take note that every subscription is acknowledged."""

    def connection_lost(self) -> None:
        """Take note that a connection which was up has ended."""

    def state_changed(self) -> None:
        """Take note that `state` is another one; the next thing may block."""


class HubConnection:
    """Owns the client. `tick` and `process` have to be called in every round of the loop."""

    def __init__(self, parts: HubParts, identity: ConnectionString, listener: Listener, poller: Poller) -> None:
        self.client: BufferedClient | None = None
        self.state = HubState.STOPPED
        self.since_us = 0
        """When the state last changed."""
        self.last_error = ""
        self._parts, self._identity = parts, identity
        self._listener, self._poller = listener, poller
        self._clock = parts.runtime.clock
        self._events: list[Callable[[], None]] = []
        self._failures = 0
        self._retry_at = self._clock.monotonic()
        self._misc_at = 0.0
        self._answer_by = self._good_at = self._renew_at = float("inf")
        self._refusal = ""
        self._renewing = False

    @property
    def up(self) -> bool:
        """Whether every subscription is acknowledged."""
        return self.state is HubState.CONNECTED

    def needs_renewal(self, now: float) -> bool:
        """Return whether the token expires soon: send nothing new, and `renew` when nothing is out."""
        return now >= self._renew_at

    def must_renew(self, now: float) -> bool:
        """Return whether what is still out can be waited for no longer."""
        return now >= self._renew_at + RENEW_GRACE

    def renew(self) -> None:
        """Leave, and connect at the next tick with a new token."""
        if self.client is not None:
            self._parts.board.counters.renewals += 1
            self._renewing = True
            self.client.leave()
            self.process()

    def reconnect(self) -> None:
        """Connect anew at the next tick, whatever the state is."""
        if self.client is not None:
            self.drop("asked to reconnect")
        self._failures = 0
        self._retry_at = self._clock.monotonic()

    def drop(self, why: str) -> None:
        """End the connection without a word."""
        if self.client is not None:
            self.client.drop(why)
            self.process()

    def stop(self) -> None:
        """Send DISCONNECT and close."""
        if self.client is not None and self.up:
            self.client.leave()
        self.close()

    def close(self) -> None:
        """Let the socket go without a word."""
        if self.client is not None:
            self.client.drop("closed")
            self.client = None
        self._events.clear()
        self._enter(HubState.STOPPED)

    def sever(self) -> None:
        """Shut the socket down, from any thread: reads and writes on it return at once."""
        client = self.client
        if client is not None:
            sever(client.socket())

    def seconds_to_next(self) -> float:
        """Return how long the loop may sleep as far as this connection is concerned."""
        return max(0.0, self._retry_at - self._clock.monotonic()) if self.client is None else 1.0

    def tick(self) -> None:
        """Do what time asks for: an attempt (up to 5 s, for TLS once more), keepalive, a deadline."""
        now = self._clock.monotonic()
        if self.client is None:
            if now >= self._retry_at:
                self._try(now)
            return
        if now >= self._answer_by:
            self.client.drop(f"the hub did not answer within {ANSWER_WITHIN:g} s")
        elif now >= self._misc_at:
            self._misc_at = now + 1.0
            self.client.loop_misc()
        if now >= self._good_at:
            self._failures = 0
            self._good_at = float("inf")

    def process(self) -> None:
        """Handle what paho reported since the last call, in order."""
        while self._events:
            self._events.pop(0)()

    def _try(self, now: float) -> None:
        """Connect, unless the clock makes it pointless."""
        if self._parts.clock() == "unsynced":
            self._retry_at = now + CLOCK_EVERY
            self._say(UNSYNCED)
            self._enter(HubState.WAITING_FOR_CLOCK)
            return
        self._enter(HubState.CONNECTING)
        endpoint = self._identity.endpoint
        try:
            client = self._make_client()
            client.reconnect()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self._fail(f"cannot connect to {endpoint}: {reason}", hopeless=isinstance(error, ssl.SSLError))
            return
        self.client = client
        now = self._clock.monotonic()
        self._answer_by = now + ANSWER_WITHIN

    def _make_client(self) -> BufferedClient:
        identity, now = self._identity, self._clock.monotonic
        client = BufferedClient(client_id(identity), v5=False, clean=True, now=now)
        client.tls_set_context(ssl.create_default_context(cafile=self._parts.ca_file or None))
        expiry = int(self._clock.time()) + TOKEN_SECONDS
        self._renew_at = now() + TOKEN_SECONDS - RENEW_BEFORE
        client.username_pw_set(username(identity), sign(identity.resource, identity.key, expiry))
        client.max_inflight_messages_set(0)  # the window is the actor's business
        self._listen_to(client)
        client.connect_async(identity.endpoint, self._parts.port, KEEPALIVE)
        return client

    def _listen_to(self, client: BufferedClient) -> None:
        """Queue what paho reports: done inside paho, our own bugs would look like broken packets."""

        def on_connect(_c: Any, _u: Any, _flags: ConnectFlags, reason: ReasonCode, _p: Any) -> None:
            self._events.append(lambda: self._on_connack(reason))

        def on_disconnect(_c: Any, _u: Any, _flags: DisconnectFlags, reason: ReasonCode, _p: Any) -> None:
            self._events.append(lambda: self._on_disconnect(client, reason))

        def on_subscribe(_c: Any, _u: Any, _mid: int, reasons: list[ReasonCode], _p: Any) -> None:
            self._events.append(lambda: self._on_suback(reasons))

        client.on_connect = on_connect
        client.on_disconnect = on_disconnect
        client.on_subscribe = on_subscribe
        client.on_socket_close = lambda _c, _u, _s: self._poller.forget()

    def _on_connack(self, reason: ReasonCode) -> None:
        if reason.is_failure:
            self._refusal = str(reason)  # paho closes the connection next
            return
        assert self.client is not None
        self._answer_by = self._clock.monotonic() + ANSWER_WITHIN
        self.client.subscribe([(item, 1) for item in FILTERS])

    def _on_suback(self, reasons: list[ReasonCode]) -> None:
        assert self.client is not None
        refused = [item for item, reason in zip(FILTERS, reasons, strict=False) if reason.is_failure]
        if refused:
            self._refusal = f"it refused the subscription of {', '.join(refused)}"
            self.client.drop(self._refusal)
            return
        now = self._clock.monotonic()
        self._answer_by, self._good_at = float("inf"), now + GOOD_AFTER
        self._parts.board.counters.connections += 1
        self.last_error = ""
        self._enter(HubState.CONNECTED)
        logger.info("hub: connected to %s as %s", self._identity.endpoint, client_id(self._identity))
        self._listener.connection_up()

    def _on_disconnect(self, client: BufferedClient, reason: ReasonCode) -> None:
        if client is not self.client:
            return
        was_up, refusal, self._refusal = self.up, self._refusal, ""
        self.client = None
        self._answer_by = self._good_at = self._renew_at = float("inf")
        if was_up:
            self._listener.connection_lost()
        if self._renewing:
            self._renewing = False
            self._retry_at = self._clock.monotonic()
            self._enter(HubState.BACKING_OFF)
        elif refusal:
            self._fail(
                f"the hub refused the connection: {refusal} (is the key right, the device enabled, the clock set?)",
                hopeless=True,
            )
        else:
            self._fail(client.last_failure or str(reason))

    def _fail(self, error: str, *, hopeless: bool = False) -> None:
        """Note why there is no connection and when to try again."""
        self._say(error)
        cap = BACKOFF_CAP_REFUSED if hopeless else BACKOFF_CAP
        floor = BACKOFF_FLOOR_REFUSED if hopeless else BACKOFF_FLOOR
        self._retry_at = self._clock.monotonic() + compute_backoff(self._failures, cap=cap, floor=floor)
        self._failures += 1
        self._enter(HubState.BACKING_OFF)

    def _say(self, error: str) -> None:
        if error != self.last_error:
            logger.warning("hub: %s", error)
        self.last_error = error

    def _enter(self, state: HubState) -> None:
        if state is not self.state:
            self.state, self.since_us = state, int(self._clock.time() * 1e6)
            self._listener.state_changed()
