"""Takes events from any thread and queues them as writes on the dispatcher's, to which `Outgoing` belongs."""

from __future__ import annotations

from actors.messages import Write
from actors.runtime import PooledActor
from actors.writes import Outgoing


class Notary(PooledActor):
    """The one door to `Outgoing` for actors with a thread of their own."""

    def __init__(self, outgoing: Outgoing) -> None:
        super().__init__()
        self._outgoing = outgoing

    def on_receive(self, message: Write) -> None:
        """Queue a write."""
        self._outgoing.add(message)
