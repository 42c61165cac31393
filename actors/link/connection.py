"""One MQTT connection after another to one broker: connect, subscribe, notice the end, try again for ever.

Each attempt has a client of its own and an epoch of its own, larger than any before, also across restarts of the
link: tokens made of an earlier epoch mean nothing to a later one.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from paho.mqtt.client import ConnectFlags, DisconnectFlags
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from actors.link.client import BufferedClient
from actors.link.filters import FilterMemory
from actors.link.messages import Announcement
from actors.link.options import BrokerOptions
from actors.link.poller import Poller
from actors.link.session import SESSION_EXPIRY, connect_properties, will_properties
from actors.link.status import UP, LinkBoard, LinkState
from actors.link.wire import TopicMemory
from actors.runtime.backoff import compute_backoff
from actors.runtime.clock import Clock
from actors.sockets import sever, tune

logger = logging.getLogger(__name__)

#: Seconds for the broker to answer CONNECT, and again SUBSCRIBE.
ANSWER_WITHIN = 10.0

#: Seconds between attempts: at most the cap; at least the floor; for what waiting cannot mend at least the long floor.
BACKOFF_CAP = 10.0
BACKOFF_FLOOR = 0.05
BACKOFF_FLOOR_REFUSED = 5.0

#: A connection that held so many seconds was good: the next failure is the first again.
GOOD_AFTER = 5.0

#: Seconds until refused subscriptions are tried again on the same connection.
RESUBSCRIBE_AFTER = 30.0

_TAKEN_OVER = 0x8E
_SERVER_TROUBLE = ("Server unavailable", "Server busy", "Quota exceeded", "Connection rate exceeded")
_UNSUPPORTED = "Unsupported protocol version"


class Listener(Protocol):
    """Whom a connection tells; called on the link's thread, never from inside paho."""

    def connection_begun(self, epoch: int) -> None:
        """Take note that an attempt starts: everything of earlier epochs is void."""

    def connection_up(self, properties: Properties | None) -> None:
        """Take note of CONNACK: publishing works."""

    def connection_subscribed(self) -> None:
        """Take note that every subscription is acknowledged."""

    def connection_lost(self) -> None:
        """Take note that a connection which was up has ended."""


class Connection:
    """Owns the client. `tick` and `process` have to be called in every round of the link's loop."""

    def __init__(
        self,
        *,
        options: BrokerOptions,
        client_id: str,
        filters: Sequence[str],
        optional_filters: Sequence[str] = (),
        durable_filters: Sequence[str] = (),
        persistent: bool,
        resume_within: int = 0,
        will: Callable[[], Announcement | None],
        memory: FilterMemory | None,
        listener: Listener,
        board: LinkBoard,
        poller: Poller,
        clock: Clock,
    ) -> None:
        self.client: BufferedClient | None = None
        self.epoch = 0
        self.state = LinkState.STOPPED
        self.since = clock.time()
        self.last_error = ""
        self.protocol = ""
        self.refused_options: frozenset[str] = frozenset()
        """Those of the optional filters that the broker has refused on this connection."""
        self._options = options
        self._client_id = client_id
        self._filters = tuple(filters)
        self._optional_filters = tuple(optional_filters)
        self._durable_filters = frozenset(durable_filters)
        """Those of `filters` that are subscribed with QoS 1 though the session is not one of QoS 1."""
        self._persistent = persistent
        self._resume_within = resume_within
        self._make_will = will
        self._memory = memory
        self._listener = listener
        self._board = board
        self._poller = poller
        self._clock = clock
        self._topics = TopicMemory()
        self._events: list[Callable[[], None]] = []
        self._v5 = True
        self._failures = 0
        self._retry_at = 0.0
        self._answer_by = float("inf")
        self._good_at = float("inf")
        self._resubscribe_at = float("inf")
        self._misc_at = 0.0
        self._awaited: set[int] = set()
        self._optional_mid: int | None = None
        self._refusal = ""

    @property
    def up(self) -> bool:
        """True with an open MQTT connection."""
        return self.state in UP

    def start(self, *, silently: bool = False) -> None:
        """Make the first attempt at the next tick; also the way to connect anew, whatever the state is.

        Args:
            silently: say nothing on the connection that there is: what is said would not arrive.

        """
        self._hang_up("asked to connect anew", silently=silently)
        self._failures = 0
        self._retry_at = self._clock.monotonic()
        self._enter(LinkState.BACKING_OFF)

    def pause(self) -> None:
        """Close the connection and make no attempt until `start`; the broker keeps what a session has coming."""
        self._hang_up("paused")
        self.last_error = ""
        self._enter(LinkState.PAUSED)

    def _hang_up(self, why: str, *, silently: bool = False) -> None:
        if self.client is not None and self.up and not silently:
            self.client.leave()
            self.process()
        if self.client is not None:
            self.client.drop(why)
            self.process()

    def stop(self) -> None:
        """Send DISCONNECT, without which the broker would publish the will."""
        if self.client is not None and self.up:
            self.client.leave()
        self.close()
        self._enter(LinkState.STOPPED)

    def close(self) -> None:
        """Let the socket go without a word."""
        if self.client is not None:
            self.client.drop("closed")
            self.client = None
        self._events.clear()

    def seconds_to_next(self) -> float:
        """Return how long the loop may sleep as far as this connection is concerned."""
        is_waiting = self.client is None and self.state is LinkState.BACKING_OFF
        return max(0.0, self._retry_at - self._clock.monotonic()) if is_waiting else 1.0

    def tick(self) -> None:
        """Do what time asks for: an attempt (up to 5 s), keepalive, a deadline, a second try to subscribe."""
        now = self._clock.monotonic()
        if self.client is None:
            if self.state is LinkState.BACKING_OFF and now >= self._retry_at:
                self._connect()
            return
        if now >= self._answer_by:
            self.client.drop(f"the broker did not answer within {ANSWER_WITHIN:g} s")
        elif now >= self._misc_at:
            self._misc_at = now + 1.0
            self.client.loop_misc()
        if now >= self._good_at:
            self._failures = 0
            self._good_at = float("inf")
        if now >= self._resubscribe_at:
            self._subscribe()

    def process(self) -> None:
        """Handle what paho reported since the last call, in order."""
        while self._events:
            self._events.pop(0)()

    def congest(self, congested: bool) -> None:
        """Show that a subscribed link does or does not read."""
        if self.state in (LinkState.SUBSCRIBED, LinkState.CONGESTED):
            self._enter(LinkState.CONGESTED if congested else LinkState.SUBSCRIBED)

    def sever(self) -> None:
        """Shut the socket down, from any thread: reads and writes on it return at once."""
        client = self.client
        if client is not None:
            sever(client.socket())

    def _connect(self) -> None:
        """Make one attempt; blocks for at most the connect timeout of 5 s, for TLS once more."""
        self.epoch = max(self.epoch + 1, int(self._clock.time() * 1000))
        self._listener.connection_begun(self.epoch)
        self._enter(LinkState.CONNECTING)
        try:
            client = self._make_client()
            client.reconnect()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self._fail(f"cannot connect to {self._options.address}: {reason}", hopeless=isinstance(error, ssl.SSLError))
            return
        self.client = client
        self._answer_by = self._clock.monotonic() + ANSWER_WITHIN

    def _make_client(self) -> BufferedClient:
        options = self._options
        client = BufferedClient(
            self._client_id,
            v5=self._v5,
            clean=not self._persistent and not self._durable_filters,
            now=self._clock.monotonic,
            topics=self._topics,
        )
        context = options.tls_context()
        if context is not None:
            client.tls_set_context(context)
        if options.username:
            client.username_pw_set(options.username, options.password or None)
        will = self._make_will()
        if will is not None:
            client.will_set(*will, properties=will_properties(self._resume_within) if self._v5 else None)
        client.max_inflight_messages_set(0)  # the window is the publisher's business
        self._listen_to(client)
        keepalive = 0 if self._persistent else options.keepalive
        if self._v5:
            properties = connect_properties(SESSION_EXPIRY if self._persistent else self._resume_within)
            clean = not self._persistent and not self._resume_within
            client.connect_async(options.host, options.port, keepalive, clean_start=clean, properties=properties)
        else:
            client.connect_async(options.host, options.port, keepalive)
        return client

    def _listen_to(self, client: BufferedClient) -> None:
        """Queue what paho reports: done inside paho, our own bugs would look like broken packets."""

        def on_connect(
            _c: Any, _u: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
        ) -> None:
            self._events.append(lambda: self._on_connack(flags.session_present, reason, properties))

        def on_disconnect(_c: Any, _u: Any, flags: DisconnectFlags, reason: ReasonCode, _p: Any) -> None:
            self._events.append(lambda: self._on_disconnect(client, flags.is_disconnect_packet_from_server, reason))

        def on_subscribe(_c: Any, _u: Any, mid: int, reasons: list[ReasonCode], _p: Any) -> None:
            self._events.append(lambda: self._on_suback(mid, reasons))

        def on_unsubscribe(_c: Any, _u: Any, _mid: int, _reasons: Any, _p: Any) -> None:
            self._events.append(self._on_unsuback)

        client.on_connect = on_connect
        client.on_disconnect = on_disconnect
        client.on_subscribe = on_subscribe
        client.on_unsubscribe = on_unsubscribe
        client.on_socket_open = lambda _c, _u, sock: tune(sock)
        client.on_socket_close = lambda _c, _u, _s: self._poller.forget()

    def _on_connack(self, session_present: bool, reason: ReasonCode, properties: Properties | None) -> None:
        if reason.is_failure:
            self._refusal = str(reason)  # paho closes the connection next
            return
        self.protocol = "5.0" if self._v5 else "3.1.1"
        self._board.counters.connections += 1
        self._enter(LinkState.CONNECTED)
        self._listener.connection_up(properties)
        if self._memory is not None and self.client is not None:
            held = self._memory.recall() if session_present else set()
            stale = sorted(held.difference(self._filters))
            self._memory.remember(held.union(self._filters))
            if stale:
                self.client.unsubscribe(stale)
        self._subscribe()

    def _subscribe(self) -> None:
        self._awaited.clear()
        self._resubscribe_at = float("inf")
        self._answer_by = self._clock.monotonic() + ANSWER_WITHIN
        mid = self._send_subscribe(self._filters, awaited=True)
        if mid is not None:
            self._awaited.add(mid)
        self.refused_options = frozenset()
        self._optional_mid = self._send_subscribe(self._optional_filters) if self._optional_filters else None

    def _send_subscribe(self, filters: Sequence[str], *, awaited: bool = False) -> int | None:
        assert self.client is not None
        qos = {item: int(self._persistent or item in self._durable_filters) for item in filters}
        if self._v5:
            options = [SubscribeOptions(qos=0), SubscribeOptions(qos=1)]
            if self._persistent and awaited:
                # A resumed session gets no retained messages anew: they were stored the first time.
                options[1].retainHandling = SubscribeOptions.RETAIN_SEND_IF_NEW_SUB
            _, mid = self.client.subscribe([(item, options[level]) for item, level in qos.items()])
        else:
            _, mid = self.client.subscribe(list(qos.items()))
        return mid

    def _on_suback(self, mid: int, reasons: list[ReasonCode]) -> None:
        if mid == self._optional_mid:
            self.refused_options = frozenset(_refused(self._optional_filters, reasons))
        if mid not in self._awaited:
            return
        self._awaited.discard(mid)
        self._answer_by = float("inf")
        refused = _refused(self._filters, reasons)
        if refused:
            self.last_error = f"the broker refused the subscription of {', '.join(refused)}"
            logger.error("%s: %s", self._board.status.name, self.last_error)
            self._resubscribe_at = self._clock.monotonic() + RESUBSCRIBE_AFTER
            return
        self.last_error = ""
        self._good_at = self._clock.monotonic() + GOOD_AFTER
        self._enter(LinkState.SUBSCRIBED)
        logger.info("%s: connected to %s with MQTT %s", self._board.status.name, self._options.address, self.protocol)
        self._listener.connection_subscribed()

    def _on_unsuback(self) -> None:
        if self._memory is not None:
            self._memory.remember(self._filters)

    def _on_disconnect(self, client: BufferedClient, by_broker: bool, reason: ReasonCode) -> None:
        if client is not self.client:
            return
        was_up, refusal, self._refusal = self.up, self._refusal, ""
        error = client.last_failure or str(reason)
        if was_up:
            self._listener.connection_lost()
        if by_broker and reason.value == _TAKEN_OVER:
            self.give_up()
        elif refusal == _UNSUPPORTED and self._v5:
            self._v5 = False
            logger.info("%s: the broker does not speak MQTT 5, trying 3.1.1", self._board.status.name)
            self._fail("the broker does not speak MQTT 5", at_once=True)
        elif refusal:
            self._fail(f"the broker refused the connection: {refusal}", hopeless=refusal not in _SERVER_TROUBLE)
        else:
            self._fail(error)

    def give_up(self) -> None:
        """Leave the connection to whoever else uses our client id, until an operator asks to reconnect."""
        client, self.client = self.client, None
        if client is not None:
            client.leave()
        self._events.clear()
        self.last_error = (
            f"another client connected to {self._options.address} with our client id {self._client_id}; "
            "is a second server running with a copy of the data directory? Waiting for an operator to reconnect."
        )
        logger.error("%s: %s", self._board.status.name, self.last_error)
        self._enter(LinkState.TAKEN_OVER)

    def _fail(self, error: str, *, hopeless: bool = False, at_once: bool = False) -> None:
        """Note why there is no connection and when to try again."""
        self.client = None
        self._answer_by = self._good_at = self._resubscribe_at = float("inf")
        if error != self.last_error:
            logger.warning("%s: %s", self._board.status.name, error)
        self.last_error = error
        if at_once:
            delay = 0.0
        elif hopeless:
            delay = compute_backoff(self._failures + 10, cap=BACKOFF_CAP, floor=BACKOFF_FLOOR_REFUSED)
        else:
            delay = compute_backoff(self._failures, cap=BACKOFF_CAP, floor=BACKOFF_FLOOR)
        self._failures += 1
        self._retry_at = self._clock.monotonic() + delay
        self._enter(LinkState.BACKING_OFF)

    def _enter(self, state: LinkState) -> None:
        if state is not self.state:
            self.state = state
            self.since = self._clock.time()


def _refused(filters: Sequence[str], reasons: Sequence[ReasonCode]) -> list[str]:
    return [item for item, reason in zip(filters, reasons, strict=False) if reason.is_failure]
