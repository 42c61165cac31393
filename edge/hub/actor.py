"""`HubActor`: the edge's side of an Azure IoT Hub. Twin, messages to the cloud, and a refusal of direct methods.

A round of `ConnectionActor`: read; handle the mailbox; publish what the twin and the outbox have. An item
leaves the outbox when the hub has acknowledged it, and only then.
"""

from __future__ import annotations

import logging
from typing import Any, cast

import msgspec
import pykka

from actors.hub.connection_string import ConnectionString
from actors.link.client import BufferedClient
from actors.link.loop import ConnectionActor
from actors.link.messages import Reconnect
from actors.link.poller import Poller
from actors.link.wire import Publication
from actors.outbox import Arrived, Done, Item, OutboxUnavailableError, Refused, Take
from edge.hub.connection import HubConnection
from edge.hub.parts import HubParts
from edge.hub.topics import DesiredPatch, MethodCall, TwinAnswer, answer_method, event_topic, read_topic
from edge.hub.twin import Request, Twin
from edge.hub.window import Window
from edge.inbox.items import ANSWERS

logger = logging.getLogger(__name__)

LOOK_EVERY = 5.0
"""Seconds between two looks into the outbox when it tells of nothing new."""
LARGEST_MESSAGE = 255 * 1024
"""Bytes of payload: a hub takes 256 KB with the properties."""
STALLED_AFTER = 120.0
"""Seconds without a PUBACK after which the connection is given up; a hub that throttles us may take its time."""
GOODBYE_WITHIN = 1.0
"""Seconds that the hub has at the end for what is out."""
ASK_TIMEOUT = 10.0
"""Seconds to wait for the outbox."""
NO_METHODS = b'{"error":"this device has no direct methods"}'


class HubActor(ConnectionActor):
    """One connection to one hub. It has a thread because connecting blocks."""

    longest_sleep = 1.0
    mailbox_budget = 100

    _connection: HubConnection

    def __init__(self, parts: HubParts, identity: ConnectionString) -> None:
        """Assign.

        Args:
            parts: what it is made of.
            identity: who we are at the hub.

        """
        super().__init__()
        self._parts, self._identity = parts, identity
        self._clock, self._board = parts.runtime.clock, parts.board
        self._window = Window()
        self._twin = Twin(parts.twin, parts.board.counters)
        self._look_at = 0.0
        self._outbox_error = ""

    def on_start(self) -> None:
        """Get ready; the first attempt to connect is made by the loop."""
        self._poller = Poller()
        self._connection = HubConnection(self._parts, self._identity, self, self._poller)
        self.actor_inbox.on_put = self._poller.wake

    def on_receive(self, message: Any) -> None:
        """Handle one message."""
        match message:
            case Arrived():
                self._look_at = 0.0
            case Reconnect():
                self._connection.reconnect()
            case _:
                logger.warning("hub: unexpected message %.200r", message)

    def on_stop(self) -> None:
        """Report that we go, wait a moment for what is out, and disconnect."""
        farewell = self._twin.farewell(self._now()) if self._connection.up else None
        if farewell is not None:
            self._publish(farewell)
        deadline = self._now() + GOODBYE_WITHIN
        while self._connection.up and (self._twin.is_waiting or len(self._window)) and self._now() < deadline:
            self._exchange(0.05)
        self._connection.stop()

    def _release(self) -> None:
        super()._release()
        self._show()

    # What comes from the hub

    def connection_up(self) -> None:
        """Fetch the twin, and begin with the oldest message."""
        self._twin.begin(self._now())
        self._window.rewind()
        self._look_at = 0.0

    def connection_lost(self) -> None:
        """Forget what was out: it is sent again on the next connection."""
        self._window.rewind()

    def state_changed(self) -> None:
        """Show it."""
        self._show()

    def take(self, client: BufferedClient) -> None:
        """Take what the hub has acknowledged, and what it says."""
        self._confirm(client)
        received = list(client.received)
        client.received.clear()
        for publication in received:
            try:
                self._take(publication)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self._board.counters.unreadable += 1
                logger.warning("hub: cannot read what came on %s: %s", publication[0], error)
        client.acknowledge([publication[5] for publication in received if publication[2]])

    def _confirm(self, client: BufferedClient) -> None:
        """Tell the outbox what the hub has acknowledged."""
        ids = self._window.confirm(mid for mid, _ in client.answered)
        client.answered.clear()
        if ids:
            self._board.counters.confirmed += len(ids)
            self._parts.directory.tell(self._parts.outbox, Done(self._parts.destination, tuple(ids)))

    def _take(self, publication: Publication) -> None:
        topic, payload = publication[:2]
        match read_topic(topic):
            case TwinAnswer() as answer:
                self._twin.take_answer(answer, payload, self._now())
            case DesiredPatch(version=version):
                self._twin.take_patch(version, payload, self._now())
            case MethodCall() as call:
                self._board.counters.methods += 1
                logger.warning("hub: direct method %r called; this device has none", call.name)
                self._publish(Request(answer_method(call, 501), NO_METHODS))
            case None:
                self._board.counters.unreadable += 1
                logger.warning("hub: nothing is known of topic %.200r", topic)

    # What goes to the hub

    def work(self, now: float) -> None:
        """Renew the token in time; send what twin and outbox have."""
        connection = self._connection
        if connection.up and self._window.waits_for(now) >= STALLED_AFTER:
            connection.drop(f"the hub acknowledged nothing for {STALLED_AFTER:g} s")
        if connection.up and connection.needs_renewal(now):
            if not len(self._window) or connection.must_renew(now):
                connection.renew()
        elif connection.up:
            request = self._twin.next_request(now)
            if request is not None:
                self._publish(request)
            self._send_items(now)
        self._show()

    def _publish(self, request: Request) -> None:
        client = self._connection.client
        if client is not None:
            client.publish(request.topic, request.payload, 0)

    def _send_items(self, now: float) -> None:
        """Send what the outbox has, as far as there is room, the oldest first."""
        while self._window.room > 0 and now >= self._look_at and self._connection.up:
            items = self._ask_outbox()
            if not items:
                self._look_at = now + LOOK_EVERY
            for item in items:
                self._window.cursor = item.seq
                self._send(item, now)

    def _send(self, item: Item, now: float) -> None:
        client = self._connection.client
        if item.kind in ANSWERS:  # to what the server has sent; they are nothing to a hub
            self._parts.directory.tell(self._parts.outbox, Done(self._parts.destination, (item.id,)))
        elif len(item.payload) > LARGEST_MESSAGE:
            self._refuse(item, f"{len(item.payload)} bytes are more than the {LARGEST_MESSAGE} that a hub takes")
        elif client is not None:
            info = client.publish(event_topic(self._identity, item.id, item.kind), item.payload, 1)
            self._window.add(info.mid, item, now)
            self._board.counters.published += 1

    def _refuse(self, item: Item, reason: str) -> None:
        self._board.counters.refused += 1
        self._parts.directory.tell(self._parts.outbox, Refused(self._parts.destination, item.id, reason))

    def _ask_outbox(self) -> list[Item]:
        """Return the next items; none while the outbox cannot be asked, which the next look tries again."""
        parts = self._parts
        ref = parts.directory.get(parts.outbox)
        if ref is None:
            return []
        question = Take(parts.destination, self._window.room, after=self._window.cursor)
        try:
            answer = ref.ask(question, timeout=ASK_TIMEOUT)
        except (pykka.ActorDeadError, pykka.Timeout, OutboxUnavailableError) as error:
            self._outbox_failed(str(error) or type(error).__name__)
            return []
        except KeyError:  # the outbox began before a hub was known
            self._outbox_failed(f"it keeps nothing for {parts.destination!r} before it is started again")
            return []
        self._outbox_error = ""
        return cast("list[Item]", answer)

    def _outbox_failed(self, error: str) -> None:
        if error != self._outbox_error:
            logger.warning("hub: the outbox cannot be asked: %s", error)
        self._outbox_error = error

    def _show(self) -> None:
        if self.given_up:
            return  # the board belongs to the next incarnation
        connection = self._connection
        self._board.show(
            state=connection.state,
            since_us=connection.since_us,
            host=self._identity.endpoint,
            in_flight=len(self._window),
            desired_version=self._twin.version,
            last_error=connection.last_error or self._twin.last_error or self._outbox_error,
        )

    def _now(self) -> float:
        return self._clock.monotonic()
