"""`SettlingLink`: a link that acknowledges what has QoS 1 when it is told `Settled`, and not before.

What is unresolved when a connection ends is void: the broker sends it again on the next one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from actors.link.filters import FilterMemory
from actors.link.ledger import LIMIT_BYTES, Ledger
from actors.link.link import LinkActor
from actors.link.messages import Replay
from actors.messages import Deliveries, Delivery, Settled

#: Deliveries in one message of a replay.
REPLAY_BATCH = 1000


class SettlingLink(LinkActor):
    """Keeps a ledger of what is unresolved, and a memory of the filters in its session."""

    def __init__(self, *, filters_file: Path, limit_bytes: int = LIMIT_BYTES, **settings: Any) -> None:
        """Assign.

        Args:
            filters_file: where the filters of the session are remembered.
            limit_bytes: unresolved bytes above which the ledger is full.
            settings: see `LinkActor`.

        """
        super().__init__(**settings)
        self._filters_file = filters_file
        self._ledger = Ledger(limit_bytes)
        self._acks: list[int] = []

    def end_unrouted(self, deliveries: list[Delivery]) -> None:
        """End deliveries that nobody takes: they are left over from subscriptions of an earlier configuration."""
        raise NotImplementedError

    def memory(self) -> FilterMemory:
        """Remember the filters of the session, so that those we want no longer can be given up."""
        return FilterMemory(self._filters_file)

    def ledger(self) -> Ledger:
        """Return what nobody has settled yet."""
        return self._ledger

    def handle_message(self, message: Any) -> None:
        """Take what subscribers, and whoever stores for them, say of our deliveries."""
        match message:
            case Settled(tokens):
                self._settle(tokens)
            case Replay(subscriber):
                self._replay(subscriber)
            case _:
                super().handle_message(message)

    def each_round(self, now: float) -> None:
        """Let go what nobody takes."""
        super().each_round(now)
        unrouted = self._intake.unrouted
        if unrouted:
            self._board.counters.unrouted += len(unrouted)
            self.end_unrouted([delivery for delivery in unrouted if delivery.qos])
            unrouted.clear()

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
        """Tell again what is unresolved, to all if `subscriber` is empty; its time to be stuck starts afresh."""
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
        if nobody and not subscriber:
            self.end_unrouted(nobody)

    def _flush(self) -> None:
        """Send all acknowledgements of the round in one write."""
        if self._acks and self._connection.up and self._connection.client is not None:
            self._connection.client.acknowledge(self._acks)
            self._board.counters.acknowledged += len(self._acks)
            self._acks.clear()
        super()._flush()
