"""What is posted by HTTP and not published: handed to its subscriber all the same, and answered after its commit."""

from __future__ import annotations

from typing import Any

from actors.messages import Delivery
from actors.runtime import GuardedFuture
from actors.storage.errors import StoreUnavailable
from actors.subscriber import Ingest
from supervisor.server.parts import Parts

TOO_SLOW = 2.0
"""Seconds that the oldest write may wait."""
PATIENCE = 10.0
"""Seconds that a request waits for the commit of what it posts."""


def store_posted(
    parts: Parts, subscriber: str, body: bytes, *, what: str, idempotency_key: str, serial: str | None, topic: str = ""
) -> Any:
    """Hand over what was posted as if it had just come over MQTT; return what the effects of its commit tell of it.

    Args:
        parts: of the server.
        subscriber: name of the actor that decodes it.
        body: as it was posted.
        what: its plural, for the refusal.
        idempotency_key: of the request, empty for none.
        serial: of the device whose token it came with, which may speak only for itself; None for an operator's.
        topic: where it would have been published, as far as that is known before it is decoded.

    Raises:
        StoreUnavailable: the database is away or behind; then no thread of the API waits for it.
        RefusedError: the subscriber or the device does not take it.
        pykka.Timeout: it was not committed in time.

    """
    clock = parts.runtime.clock
    database = parts.registry_board.status
    if not database.ok or database.oldest_age_s(clock.monotonic()) > TOO_SLOW:
        raise StoreUnavailable(f"the database does not take {what} now")
    delivery = Delivery(
        link=f"{parts.config.brokers[0].name}.data",
        token=0,
        topic=topic,
        payload=body,
        qos=0,
        retain=False,
        dup=False,
        live=True,
        rx_us=int(clock.time() * 1_000_000),
        rx_at=clock.monotonic(),
    )
    future: GuardedFuture[Any] = GuardedFuture()
    parts.services.tell(subscriber, Ingest(delivery, future, idempotency_key, serial or ""))
    return future.get(timeout=PATIENCE)
