"""`InboxLink`: an uplink's link that is also told what is meant for this device, and acknowledges it when it is kept.

Those subscriptions have QoS 1 and the broker keeps the session for a week: what is sent meanwhile waits for us there.
A delivery is acknowledged when the inbox has it on its disk; what was not is sent again on the next connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actors.link.connection import SESSION_EXPIRY
from actors.link.filters import FilterMemory
from actors.link.ledger import Ledger
from actors.link.messages import Replay
from actors.messages import Deliveries, Delivery, Settled
from actors.uplink.link import UplinkLink


class InboxLink(UplinkLink):
    """A control link with a few subscriptions of QoS 1 in a session that the broker keeps."""

    resume_within = SESSION_EXPIRY

    def __init__(self, *, durable: Sequence[str], filters_file: Path, **settings: Any) -> None:
        """Assign.

        Args:
            durable: the filters of QoS 1; routes of the link want them, too.
            filters_file: where the filters of the session are remembered.
            settings: see `UplinkLink`.

        """
        super().__init__(**settings)
        self._durable = tuple(durable)
        self._filters_file = filters_file
        self._ledger = Ledger()
        self._acks: list[int] = []

    def durable_filters(self) -> tuple[str, ...]:
        """Return what is meant for this device."""
        return self._durable

    def memory(self) -> FilterMemory:
        """Remember the filters of the session, so that those we want no longer can be given up."""
        return FilterMemory(self._filters_file)

    def ledger(self) -> Ledger:
        """Return what the inbox has not settled yet."""
        return self._ledger

    def handle_message(self, message: Any) -> None:
        """Take what the inbox says of its deliveries."""
        match message:
            case Settled(tokens):
                self._settle(tokens)
            case Replay(subscriber):
                self._replay(subscriber)
            case _:
                super().handle_message(message)

    def each_round(self, now: float) -> None:
        """Let go what is left over from subscriptions of an earlier configuration."""
        super().each_round(now)
        if self._intake.unrouted:
            self._board.counters.unrouted += len(self._intake.unrouted)
            self._settle([delivery.token for delivery in self._intake.unrouted if delivery.qos])
            self._intake.unrouted.clear()

    def connection_begun(self, epoch: int) -> None:
        """Void the ledger: the broker delivers again what it holds unacknowledged."""
        super().connection_begun(epoch)
        self._board.counters.voided += self._ledger.void(epoch)
        self._acks.clear()

    def _settle(self, tokens: list[int]) -> None:
        self._acks += self._ledger.settle(tokens)
        ignored, counters = self._ledger.ignored, self._board.counters
        counters.settled_void += ignored.pop("earlier_epoch", 0)
        counters.settled_unknown += ignored.pop("unknown", 0)

    def _replay(self, subscriber: str) -> None:
        """Tell again what is unresolved: who was told it has forgotten it."""
        items: list[Delivery] = [
            delivery
            for delivery in self._ledger.unresolved()
            if self._intake.subscriber_of(delivery.topic) == subscriber
        ]
        if items:
            self._board.counters.replayed += len(items)
            self._directory.tell(subscriber, Deliveries(self._name, items, self._intake.handled_until_at))

    def _flush(self) -> None:
        """Send all acknowledgements of the round in one write."""
        if self._acks and self._connection.up and self._connection.client is not None:
            self._connection.client.acknowledge(self._acks)
            self._board.counters.acknowledged += len(self._acks)
            self._acks.clear()
        super()._flush()
