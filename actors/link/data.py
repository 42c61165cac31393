"""`DataLink`: readings, scans and responses, QoS 1, acknowledged only after they were settled."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from actors.dead_letters import bounded
from actors.link.filters import FilterMemory
from actors.link.ledger import LIMIT_BYTES, Ledger
from actors.link.link import LinkActor
from actors.link.messages import PauseReading, Replay, ResumeReading
from actors.link.status import LinkState
from actors.link.wire import Publication
from actors.messages import Deliveries, Delivery, Settled, StoreDeadLetter, WriteBatch

logger = logging.getLogger(__name__)

#: Seconds between two looks for deliveries that nothing settles.
LOOK_EVERY = 1.0

#: Seconds between two complaints about the same trouble.
COMPLAIN_EVERY = 60.0

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
        self._look_at = 0.0
        self._complain_at = 0.0
        self._live = False

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

    def handle_own(self, publication: Publication) -> None:
        """Acknowledge markers: nobody else settles them."""
        if mid := publication[5]:
            self._marker_acks.append(mid)
        super().handle_own(publication)

    def marker_returned(self) -> None:
        """Take what comes from now on for live: the backlog is over."""
        super().marker_returned()
        self._live = True

    def each_round(self, now: float) -> None:
        """Pause or resume, look for what is unrouted or stuck."""
        super().each_round(now)
        self._regulate()
        if self._intake.unrouted:
            self._refuse_unrouted()
        if now >= self._look_at and self._connection.up:
            self._look_at = now + LOOK_EVERY
            self._bury(self._ledger.overdue(now, self._stuck_after), "stuck")

    def connection_begun(self, epoch: int) -> None:
        """Void the ledger: the broker delivers again what it holds unacknowledged."""
        super().connection_begun(epoch)
        self._board.counters.voided += self._ledger.void(epoch)
        self._acks.clear()
        self._marker_acks.clear()
        self._live = False
        self._reading = True

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
        if self._connection.state not in (LinkState.SUBSCRIBED, LinkState.PAUSED):
            return  # nothing is to be seen; CONNACK and SUBACK have to be read
        may_read = not self._held and (not self._ledger.full if self._reading else self._ledger.relaxed)
        if may_read is self._reading:
            return
        self._reading = may_read
        self._connection.pause(paused=not may_read)
        self._set_sees(may_read)
        if may_read:
            # What has piled up meanwhile is old news, until a new marker has come back behind it.
            self.send_probe()
        else:
            self._marker.forget()
            self._live = False
            self._board.counters.pauses += 1
            logger.warning("%s: stopped reading with %d bytes unresolved", self._name, self._ledger.bytes)

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
            self._complain()
        self._directory.tell(self._registry, WriteBatch([_dead_letter(item, reason) for item in deliveries]))

    def _complain(self) -> None:
        """Log that deliveries are not settled: once a minute, since a database that is away delays them all."""
        now = self._clock.monotonic()
        if now >= self._complain_at:
            self._complain_at = now + COMPLAIN_EVERY
            logger.error(
                "%s: %d deliveries wait, some longer than %g s", self._name, len(self._ledger), self._stuck_after
            )

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
    payload, detail = bounded(delivery.payload, _DETAILS[reason])
    return StoreDeadLetter(
        reason=reason,
        detail=detail,
        link=delivery.link,
        topic=delivery.topic,
        payload=payload,
        rx_us=delivery.rx_us,
        token=delivery.token,
        qos=delivery.qos,
    )
