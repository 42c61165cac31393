"""Messages on their way to the hub: in order, bounded, each until the hub's PUBACK has come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from actors.outbox import Item

SIZE = 100
"""Messages without a PUBACK."""


@dataclass(slots=True)
class _Flight:
    item_id: str
    sent_at: float


class Window:
    """Packet id to item. Times are monotonic seconds."""

    def __init__(self, size: int = SIZE) -> None:
        self.cursor = 0
        """The `seq` of the last item that was taken from the outbox."""
        self._size = size
        self._flights: dict[int, _Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    @property
    def room(self) -> int:
        """How many more may go out."""
        return self._size - len(self._flights)

    def add(self, packet_id: int, item: Item, now: float) -> None:
        """Note that an item is out."""
        self._flights[packet_id] = _Flight(item.id, now)

    def confirm(self, packet_ids: Iterable[int]) -> list[str]:
        """Return the ids of the items that these PUBACKs confirm; packet ids of nothing of ours are ignored."""
        found = (self._flights.pop(packet_id, None) for packet_id in packet_ids)
        return [flight.item_id for flight in found if flight is not None]

    def waits_for(self, now: float) -> float:
        """Return for how many seconds the oldest message has been out; 0 when none is."""
        return now - next(iter(self._flights.values())).sent_at if self._flights else 0.0

    def rewind(self) -> None:
        """Begin again with the oldest item of the outbox, so that the order holds on the new connection."""
        self._flights.clear()
        self.cursor = 0
