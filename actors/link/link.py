"""`LinkActor`: what both links share. It moves batches, never single messages.

A round of `ConnectionActor`: read at most 1,000 packets or 5 ms; tell the subscribers; handle the mailbox; send all
acknowledgements in one write. Nothing blocks here but connecting (5 s).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec
from paho.mqtt.properties import Properties
from pykka.messages import _ActorStop

from actors.link.client import BufferedClient
from actors.link.connection import Connection
from actors.link.filters import FilterMemory
from actors.link.intake import Intake, Route
from actors.link.ledger import Ledger
from actors.link.loop import ConnectionActor
from actors.link.marker import Marker, Sign
from actors.link.messages import Announcement, PauseOrResume, Publish, Reconnect
from actors.link.options import BrokerOptions
from actors.link.poller import Poller
from actors.link.publisher import Publisher, Seal
from actors.link.status import LinkBoard, LinkState, LinkStatus
from actors.link.wire import Publication
from actors.messages import Deliveries
from actors.runtime.clock import Clock
from actors.runtime.directory import Directory
from actors.sight import Sight

logger = logging.getLogger(__name__)

#: Seconds between two snapshots of the status when nothing but numbers changed.
STATUS_EVERY = 0.5


class LinkActor(ConnectionActor):
    """One link to one broker; see `ControlLink` and `DataLink`."""

    longest_sleep = 0.2  # the watermark has to advance although nothing arrives
    mailbox_budget = 1000
    persistent = False
    """Persistent session and QoS 1 with manual acknowledgement, or clean session and QoS 0."""
    resume_within = 0
    """Seconds for which the broker keeps a session of QoS 0 without us; with it the will waits a second for us."""

    _connection: Connection
    _intake: Intake
    _publisher: Publisher

    def __init__(
        self,
        *,
        name: str,
        client_id: str,
        options: BrokerOptions,
        routes: Sequence[Route],
        directory: Directory,
        clock: Clock,
        sight: Sight,
        board: LinkBoard,
        seal: Seal | None = None,
    ) -> None:
        super().__init__()
        self._seal = seal
        self._name = name
        self._client_id = client_id
        self._options = options
        self._routes = tuple(routes)
        self._directory = directory
        self._clock = clock
        self._sight = sight
        self._board = board
        self._sees = False
        self._live = True
        self._marker = Marker(client_id, board, clock)
        self._status_at = float("-inf")

    # What the two kinds of link add.

    def optional_filters(self) -> tuple[str, ...]:
        """Return filters whose messages this link keeps for itself; a broker may refuse them."""
        return (self._marker.topic,)

    def durable_filters(self) -> tuple[str, ...]:
        """Return those of our filters that are subscribed with QoS 1, where the link itself has QoS 0."""
        return ()

    def will(self) -> Announcement | None:
        """Return what the broker publishes when the connection dies that is about to be made."""
        return None

    def memory(self) -> FilterMemory | None:
        """Return where the filters of a persistent session are remembered."""
        return None

    def ledger(self) -> Ledger | None:
        """Return the ledger of unresolved deliveries."""
        return None

    def handle_own(self, publication: Publication) -> None:
        """Handle what arrived on one of the link's own topics."""
        sign = self._marker.take(publication[1])
        if sign is Sign.RETURNED:
            self.marker_returned()
        elif sign is Sign.RIVAL and self._connection.up:
            self.connection_lost()
            self._connection.give_up()

    def marker_returned(self) -> None:
        """Claim our client id, now that no other claim can be on its way to us."""
        self._publisher.publish(Publish(*self._marker.claim()))

    def send_probe(self) -> None:
        """Send a marker to ourselves."""
        self._publisher.publish(Publish(*self._marker.probe()))

    def each_round(self, now: float) -> None:
        """Do what has to be done in each round, after the mailbox."""
        if now >= self._marker.due_at and self._connection.up:
            self.send_probe()

    def handle_message(self, message: Any) -> None:
        """Handle a message that only one kind of link knows."""
        self._board.counters.unexpected += 1
        logger.warning("%s: unexpected message %r", self._name, type(message).__name__)

    def farewell(self) -> list[Announcement]:
        """Return what to publish before the link goes."""
        return []

    # The actor.

    def on_start(self) -> None:
        """Open the selector; the first attempt to connect is made by the loop, unless an operator wants none."""
        self._poller = Poller()
        self._publisher = Publisher(self._clock, self._board.counters, self._directory.tell, self._seal)
        self._intake = Intake(self._name, self._routes, self.optional_filters(), self.ledger())
        self._connection = Connection(
            options=self._options,
            client_id=self._client_id,
            filters=[item for route in self._routes for item in route.filters],
            optional_filters=self.optional_filters(),
            durable_filters=self.durable_filters(),
            persistent=self.persistent,
            resume_within=self.resume_within,
            will=self.will,
            memory=self.memory(),
            listener=self,
            board=self._board,
            poller=self._poller,
            clock=self._clock,
        )
        self._pause_or_resume()
        self.actor_inbox.on_put = self._poller.wake

    def on_receive(self, message: Any) -> None:
        """Handle one message; acknowledgements and publications leave at the end of the round."""
        match message:
            case Publish():
                self._publisher.publish(message)
            case PauseOrResume():
                self._pause_or_resume()
            case Reconnect() if not self._board.paused:
                self._board.claimed_ms = 0  # whoever claimed our client id: the operator knows better
                self._connection.start(silently=message.path_lost)
            case Reconnect():
                logger.info("%s: asked to connect anew, but an operator has paused it", self._name)
            case _:
                self.handle_message(message)

    def on_stop(self) -> None:
        """Say goodbye and disconnect."""
        self._say_goodbye()
        self._connection.stop()
        self._set_sees(False)

    def _pause_or_resume(self) -> None:
        """Do as the operator wants it; harmless when repeated."""
        if not self._board.paused:
            if self._connection.state in (LinkState.STOPPED, LinkState.PAUSED):
                self._connection.start()
        elif self._connection.state is not LinkState.PAUSED:
            if self._connection.up:
                self._say_goodbye()
            self._connection.pause()
            logger.warning("%s: paused by an operator", self._name)

    def _say_goodbye(self) -> None:
        """Publish the farewell, and wait up to a second for the broker to have heard it."""
        goodbye = self.farewell()
        for topic, payload, qos, retain in goodbye:
            self._publisher.publish(Publish(topic, payload, qos, retain))
        deadline = self._clock.monotonic() + 1.0
        while goodbye and self._connection.up and not self._publisher.idle and self._clock.monotonic() < deadline:
            self._exchange(timeout=0.05)
        self._flush()

    def unfinished(self) -> list[Any]:
        """Return what a crash would lose: the message being handled, and publications that wait for the broker."""
        current = self.actor_inbox.current
        kept: list[Any] = []
        if current is not None and current.reply_to is None and not isinstance(current.message, _ActorStop):
            kept.append(current.message)
        return kept + (self._publisher.unsent() if hasattr(self, "_publisher") else [])

    def work(self, now: float) -> None:
        """Do what each kind of link adds, send, and show how things stand."""
        self.each_round(now)
        self._flush()
        self._show(now)

    def _exchange(self, timeout: float) -> None:
        super()._exchange(timeout)
        self._publisher.pump()

    def take(self, client: BufferedClient) -> None:
        """Tell the subscribers what has come, and how far we have heard."""
        intake = self._intake
        now = self._clock.monotonic()
        if client.received:
            self._board.counters.received += len(client.received)
            now_us = int(self._clock.time() * 1_000_000)
            intake.take(client.received, epoch=self._connection.epoch, live=self._live, now_us=now_us, now_at=now)
            client.received.clear()
        elif not self._sees:
            return
        for subscriber, deliveries in intake.flush(client.dry_at, now):
            self._hand_on(subscriber, deliveries)
        for publication in intake.own:
            self.handle_own(publication)
        intake.own.clear()
        self._board.counters.repeated += intake.repeated
        intake.repeated = 0

    def _hand_on(self, subscriber: str, deliveries: Deliveries) -> None:
        sight = self._sight
        if not deliveries.items and sight.is_quiet(subscriber):
            sight.handled(subscriber, deliveries.handled_until_at)
            return
        number = sight.sent(subscriber)
        self._directory.tell(subscriber, msgspec.structs.replace(deliveries, number=number))

    def _flush(self) -> None:
        """Send what waits to be sent."""
        self._publisher.pump()

    def _show(self, now: float) -> None:
        """Replace the status if it changed; numbers alone change it at most every half second, except from or to none.

        "Nothing is unresolved" is what people and tests wait for: it must never be old.
        """
        connection, shown, ledger = self._connection, self._board.status, self.ledger()
        same = shown.state is connection.state and bool(ledger) is bool(shown.unresolved)
        if same and now - self._status_at < STATUS_EVERY:
            return
        self._status_at = now
        self._board.status = LinkStatus(
            name=self._name,
            broker=self._options.address,
            state=connection.state,
            since=connection.since,
            protocol=connection.protocol,
            reconnects=max(0, self._board.counters.connections - 1),
            last_error=connection.last_error,
            unresolved=len(ledger) if ledger is not None else 0,
            unresolved_bytes=ledger.bytes if ledger is not None else 0,
            dropped_by_broker=self._dropped_by_broker(),
        )

    def _dropped_by_broker(self) -> int:
        return 0

    def _set_sees(self, sees: bool) -> None:
        if sees is not self._sees:
            self._sees = sees
            (self._sight.regained if sees else self._sight.lost)(self._clock.monotonic())

    def _release(self) -> None:
        super()._release()
        self._set_sees(False)
        if self._connection.state not in (LinkState.STOPPED, LinkState.PAUSED):
            self._connection.state = LinkState.BACKING_OFF
        self._status_at = float("-inf")
        self._show(self._clock.monotonic())

    # What the connection reports.

    def connection_begun(self, epoch: int) -> None:  # noqa: ARG002 - the data link's ledger needs it
        """Forget the markers of the connection before."""
        self._marker.forget()

    def connection_up(self, properties: Properties | None) -> None:
        """Publish through the new connection, within its broker's limits."""
        assert self._connection.client is not None
        self._publisher.attach(
            self._connection.client,
            getattr(properties, "ReceiveMaximum", None),
            getattr(properties, "MaximumPacketSize", None),
        )

    def connection_subscribed(self) -> None:
        """See again; a marker tells where the backlog ends."""
        self._set_sees(True)
        self.send_probe()

    def connection_lost(self) -> None:
        """See nothing."""
        self._publisher.detach()
        self._set_sees(False)
