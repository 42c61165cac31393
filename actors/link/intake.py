"""From publications to batches: stamps, routes and collects what a link reads. Pure: no clock, no socket.

One `Deliveries` per subscriber and round, never single messages: between threads a hand-over costs more than a message.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from paho.mqtt.client import topic_matches_sub

from actors.link.ledger import Ledger
from actors.link.wire import Publication
from actors.messages import Deliveries, Delivery

#: Seconds between two watermarks: how late a verdict of silence may become.
WATERMARK_EVERY = 0.2

#: Distinct topics whose route is remembered.
ROUTE_MEMORY = 65_536


@dataclass(frozen=True)
class Route:
    """Topic filters and the name of the actor that takes what they match; the first matching route of a link wins."""

    filters: tuple[str, ...]
    subscriber: str


class Intake:
    """Collects deliveries between two flushes."""

    def __init__(self, link: str, routes: Sequence[Route], own_filters: Sequence[str], ledger: Ledger | None) -> None:
        self.handled_until_at = 0.0
        """The watermark of the last flush, monotonic seconds."""
        self.own: list[Publication] = []
        """What arrived on the link's own topics."""
        self.unrouted: list[Delivery] = []
        """What no route wants: left over from filters of an earlier configuration."""
        self.repeated = 0
        """Packet ids sent again while unresolved; told nobody a second time."""
        self._link = link
        self._routes = routes
        self._own_filters = own_filters
        self._ledger = ledger
        self._known: dict[str, list[Delivery]] = {}
        self._batches: dict[str, list[Delivery]] = {route.subscriber: [] for route in routes}
        self._rx_us = 0
        self._marked_at = float("-inf")

    def take(self, received: Iterable[Publication], *, epoch: int, live: bool, now_us: int, now_at: float) -> None:
        """Stamp and sort what was read at `now_us` (wall clock, microseconds) and `now_at` (monotonic)."""
        rx_us = max(now_us, self._rx_us + 1)
        known, ledger, link = self._known, self._ledger, self._link
        for publication in received:
            topic, payload, qos, retain, dup, mid, correlation = publication
            batch = known.get(topic)
            if batch is None:
                batch = self._find(topic)
                if batch is None:
                    self.own.append(publication)
                    continue
            token = epoch << 24 | mid if qos else 0
            is_live = live and not retain
            delivery = Delivery(link, token, topic, payload, qos, retain, dup, is_live, rx_us, now_at, correlation)
            rx_us += 1
            if mid and ledger is not None:
                entered = ledger.add(delivery)
                if entered is None:
                    self.repeated += 1
                    continue
                delivery = entered
            batch.append(delivery)
        self._rx_us = rx_us - 1

    def flush(self, dry_at: float, now_at: float) -> list[tuple[str, Deliveries]]:
        """Return the batches collected; every 0.2 s also the empty ones, which carry the watermark.

        Args:
            dry_at: everything that arrived before this monotonic time has been taken.
            now_at: monotonic time.

        """
        self.handled_until_at = max(self.handled_until_at, dry_at)
        everyone = now_at - self._marked_at >= WATERMARK_EVERY
        if everyone:
            self._marked_at = now_at
        told: list[tuple[str, Deliveries]] = []
        for subscriber, batch in self._batches.items():
            if batch or everyone:
                told.append((subscriber, Deliveries(self._link, batch[:], self.handled_until_at)))
                batch.clear()
        return told

    def subscriber_of(self, topic: str) -> str | None:
        """Return who takes a topic, or None."""
        for route in self._routes:
            if any(_matches(wanted, topic) for wanted in route.filters):
                return route.subscriber
        return None

    def _find(self, topic: str) -> list[Delivery] | None:
        """Return the batch for a topic seen for the first time; None for the link's own topics."""
        if any(_matches(wanted, topic) for wanted in self._own_filters):
            return None
        subscriber = self.subscriber_of(topic)
        batch = self.unrouted if subscriber is None else self._batches[subscriber]
        if len(self._known) >= ROUTE_MEMORY:
            self._known.clear()
        self._known[topic] = batch
        return batch


def _matches(wanted: str, topic: str) -> bool:
    """Return whether a filter, possibly a shared one (`$share/{group}/{filter}`, MQTT 5, 4.8.2), matches a topic."""
    if wanted.startswith("$share/"):
        wanted = wanted.split("/", 2)[2]
    return topic_matches_sub(wanted, topic)
