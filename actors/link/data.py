"""`DataLink`: readings, scans and responses, QoS 1, acknowledged only after they were settled."""

from __future__ import annotations

import logging
import secrets
from pathlib import Path
from typing import Any

from actors.link.filters import FilterMemory
from actors.link.ledger import LIMIT_BYTES, Ledger
from actors.link.link import LinkActor
from actors.link.messages import PauseReading, Publish, Replay, ResumeReading
from actors.link.wire import Publication
from actors.messages import Deliveries, Delivery, Settled, StoreDeadLetter, WriteBatch

logger = logging.getLogger(__name__)

#: Seconds until a marker that has not come back is sent again: a full queue drops it in silence.
MARKER_EVERY = 5.0

#: Seconds between two looks for deliveries that nothing settles.
LOOK_EVERY = 1.0

#: Deliveries in one message of a replay.
REPLAY_BATCH = 1000


class DataLink(LinkActor):
    """Persistent session, manual acknowledgement, a ledger; may stop reading for any time."""

    persistent = True

    def __init__(
        self,
        *,
        filters_file: Path,
        registry: str = "registry",
        limit_bytes: int = LIMIT_BYTES,
        stuck_after: float = 60.0,
        **settings: Any,
    ) -> None:
        """Assign.

        Args:
            filters_file: where the filters of the session are remembered.
            registry: name of the actor that stores dead letters.
            limit_bytes: unresolved bytes above which the link stops reading.
            stuck_after: seconds after which an unresolved delivery is dead-lettered.
            settings: see `LinkActor`.

        """
        super().__init__(**settings)
        self._filters_file = filters_file
        self._registry = registry
        self._stuck_after = stuck_after
        self._ledger = Ledger(limit_bytes)
        self._acks: list[int] = []
        self._marker_acks: list[int] = []
        self._held = False
        self._marker_topic = f"server/markers/{self._client_id}"
        self._markers: set[bytes] = set()
        self._marker_at = float("inf")
        self._look_at = 0.0
        self._live = False

    def own_filters(self) -> tuple[str, ...]:
        """Subscribe the marker's topic."""
        return (self._marker_topic,)

    def memory(self) -> FilterMemory:
        """Remember the filters of the session."""
        return FilterMemory(self._filters_file)

    def ledger(self) -> Ledger:
        """Return the ledger."""
        return self._ledger

    def handle_message(self, message: Any) -> None:
        """Handle what only a data link knows."""
        match message:
            case Settled(tokens):
                self._settle(tokens)
            case Replay(subscriber):
                self._replay(subscriber)
            case PauseReading():
                self._held = True
            case ResumeReading():
                self._held = False
            case _:
                super().handle_message(message)

    def handle_own(self, publications: list[Publication]) -> None:
        """Take markers: one of this connection ends the backlog. All are acknowledged, nobody else settles them."""
        for _, payload, _, _, _, mid in publications:
            if mid:
                self._marker_acks.append(mid)
            if payload in self._markers:
                self._live = True
                self._marker_at = float("inf")

    def each_round(self, now: float) -> None:
        """Pause or resume, repeat a lost marker, look for what is unrouted or stuck."""
        self._regulate()
        if now >= self._marker_at and self._reading:
            self._send_marker()
        if self._intake.unrouted:
            self._refuse_unrouted()
        if now >= self._look_at and self._connection.up:
            self._look_at = now + LOOK_EVERY
            self._bury(self._ledger.overdue(now, self._stuck_after), "stuck")

    def connection_begun(self, epoch: int) -> None:
        """Void the ledger: the broker delivers again what it holds unacknowledged."""
        self._board.counters.voided += self._ledger.void(epoch)
        self._acks.clear()
        self._marker_acks.clear()
        self._markers.clear()
        self._marker_at = float("inf")
        self._live = False
        self._reading = True

    def connection_subscribed(self) -> None:
        """Send the marker; what comes before it is backlog."""
        super().connection_subscribed()
        self._send_marker()

    def _settle(self, tokens: list[int]) -> None:
        self._acks += self._ledger.settle(tokens)
        ignored, counters = self._ledger.ignored, self._board.counters
        counters.settled_void += ignored.pop("earlier_epoch", 0)
        counters.settled_unknown += ignored.pop("unknown", 0)

    def _flush(self) -> None:
        """Send all acknowledgements of the round in one write."""
        if (self._acks or self._marker_acks) and self._connection.up and self._connection.client is not None:
            self._connection.client.acknowledge(self._marker_acks + self._acks)
            self._board.counters.acknowledged += len(self._acks)
            self._marker_acks.clear()
            self._acks.clear()
        super()._flush()

    def _regulate(self) -> None:
        """Stop reading when too much is unresolved or an operator says so; resume well below the limit."""
        if not self._sees and self._reading:
            return  # not subscribed yet: CONNACK and SUBACK have to be read
        may_read = not self._held and (not self._ledger.full if self._reading else self._ledger.relaxed)
        if may_read is self._reading:
            return
        self._reading = may_read
        self._connection.pause(paused=not may_read)
        self._set_sees(may_read)
        if may_read:
            # What has piled up meanwhile is old news, until a new marker has come back behind it.
            self._send_marker()
        else:
            self._live = False
            self._board.counters.pauses += 1
            logger.warning("%s: stopped reading with %d bytes unresolved", self._name, self._ledger.bytes)

    def _send_marker(self) -> None:
        payload = secrets.token_bytes(8).hex().encode()
        self._markers.add(payload)
        self._marker_at = self._clock.monotonic() + MARKER_EVERY
        self._publisher.publish(Publish(self._marker_topic, payload, qos=1))

    def _refuse_unrouted(self) -> None:
        self._board.counters.unrouted += len(self._intake.unrouted)
        self._bury([delivery for delivery in self._intake.unrouted if delivery.qos], "unrouted")
        self._intake.unrouted.clear()

    def _bury(self, deliveries: list[Delivery], reason: str) -> None:
        """Have deliveries stored as dead letters; the registry's `Settled` ends them."""
        if not deliveries:
            return
        if reason == "stuck":
            self._board.counters.stuck += len(deliveries)
            logger.error("%s: %d deliveries not settled in %g s", self._name, len(deliveries), self._stuck_after)
        self._directory.tell(self._registry, WriteBatch([_dead_letter(item, reason) for item in deliveries]))

    def _replay(self, subscriber: str) -> None:
        """Tell again what is unresolved; its time to be stuck starts afresh."""
        self._ledger.replayed(self._clock.monotonic())
        told: dict[str, list[Delivery]] = {}
        nobody: list[Delivery] = []
        for delivery in self._ledger.unresolved():
            taker = self._intake.subscriber_of(delivery.topic)
            if taker is None:
                nobody.append(delivery)
            elif subscriber in ("", taker):
                told.setdefault(taker, []).append(delivery)
        for taker, items in told.items():
            self._board.counters.replayed += len(items)
            for start in range(0, len(items), REPLAY_BATCH):
                batch = items[start : start + REPLAY_BATCH]
                self._directory.tell(taker, Deliveries(self._name, batch, self._intake.handled_until_at))
        if not subscriber:
            self._bury(nobody, "unrouted")


_DETAILS = {
    "stuck": "received, but neither stored nor refused in time",
    "unrouted": "received on a topic that this server does not subscribe any more",
}


def _dead_letter(delivery: Delivery, reason: str) -> StoreDeadLetter:
    return StoreDeadLetter(
        reason=reason,
        detail=_DETAILS[reason],
        link=delivery.link,
        topic=delivery.topic,
        payload=delivery.payload,
        rx_us=delivery.rx_us,
        token=delivery.token,
        qos=delivery.qos,
    )
