"""`DataLink`: readings, scans and responses, QoS 1, acknowledged only after they were settled."""

from __future__ import annotations

import logging
from typing import Any

from actors.dead_letters import letter_of
from actors.link.settling import SettlingLink
from actors.link.status import LinkState
from actors.link.wire import Publication
from actors.messages import Delivery, WriteBatch

logger = logging.getLogger(__name__)

#: Seconds between two looks for deliveries that nothing settles.
LOOK_EVERY = 1.0

#: Seconds between two complaints about the same trouble.
COMPLAIN_EVERY = 60.0


class DataLink(SettlingLink):
    """Persistent session; may stop reading for any time."""

    persistent = True

    def __init__(self, *, registry: str = "registry", stuck_after: float = 60.0, **settings: Any) -> None:
        """Assign.

        Args:
            registry: name of the actor that stores dead letters.
            stuck_after: seconds after which an unresolved delivery is dead-lettered.
            settings: see `SettlingLink`; above its `limit_bytes` the link stops reading.

        """
        super().__init__(**settings)
        self._registry = registry
        self._stuck_after = stuck_after
        self._look_at = 0.0
        self._complain_at = 0.0
        self._live = False

    def handle_own(self, publication: Publication) -> None:
        """Acknowledge markers: nobody else settles them."""
        client = self._connection.client
        if client is not None and (mid := publication[5]):
            client.acknowledge([mid])
        super().handle_own(publication)

    def marker_returned(self) -> None:
        """Take what comes from now on for live: the backlog is over."""
        super().marker_returned()
        self._live = True

    def each_round(self, now: float) -> None:
        """Stop or go on reading, look for what is stuck."""
        super().each_round(now)
        self._regulate()
        if now >= self._look_at and self._connection.up:
            self._look_at = now + LOOK_EVERY
            self._bury(self._ledger.overdue(now, self._stuck_after), "stuck")

    def connection_begun(self, epoch: int) -> None:
        """Read, and take what comes for old until the marker is back."""
        super().connection_begun(epoch)
        self._live = False
        self._reading = True

    def _regulate(self) -> None:
        """Stop reading when too much is unresolved; go on well below the limit."""
        if self._connection.state not in (LinkState.SUBSCRIBED, LinkState.CONGESTED):
            return  # nothing is to be seen; CONNACK and SUBACK have to be read
        may_read = not self._ledger.full if self._reading else self._ledger.relaxed
        if may_read is self._reading:
            return
        self._reading = may_read
        self._connection.congest(congested=not may_read)
        self._set_sees(may_read)
        if may_read:
            # What has piled up meanwhile is old news, until a new marker has come back behind it.
            self.send_probe()
        else:
            self._marker.forget()
            self._live = False
            self._board.counters.congestions += 1
            logger.warning("%s: stopped reading with %d bytes unresolved", self._name, self._ledger.bytes)

    def end_unrouted(self, deliveries: list[Delivery]) -> None:
        """Have them stored as dead letters."""
        self._bury(deliveries, "unrouted")

    def _bury(self, deliveries: list[Delivery], reason: str) -> None:
        """Have deliveries stored as dead letters; the registry's `Settled` ends them."""
        if not deliveries:
            return
        if reason == "stuck":
            self._board.counters.stuck += len(deliveries)
            self._complain()
        self._directory.tell(
            self._registry, WriteBatch([letter_of(item, reason, _DETAILS[reason]) for item in deliveries])
        )

    def _complain(self) -> None:
        """Log that deliveries are not settled: once a minute, since a database that is away delays them all."""
        now = self._clock.monotonic()
        if now >= self._complain_at:
            self._complain_at = now + COMPLAIN_EVERY
            logger.error(
                "%s: %d deliveries wait, some longer than %g s", self._name, len(self._ledger), self._stuck_after
            )


_DETAILS = {
    "stuck": "received, but neither stored nor refused in time",
    "unrouted": "received on a topic that this server does not subscribe any more",
}
