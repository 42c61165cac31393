"""What is out on MQTT and has no receipt yet: in order, bounded, each to be sent again when its time has come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from actors.outbox import Item

SIZE = 500
"""Items without a receipt: as many as the server puts into one."""
RESEND_AFTER = 30.0
"""Seconds until an item is sent again; doubled each time."""
RESEND_CAP = 300.0
"""Seconds between two sendings at most: while the server is away every copy waits in the broker's memory."""
AFTER_RETURN = 5.0
"""Seconds that a server which has just come back has for what waits in the broker, before it is sent again."""


@dataclass(slots=True)
class _Flight:
    item: Item
    due_at: float
    times: int = 1


class Window:
    """The items on their way. Times are monotonic seconds."""

    def __init__(self, size: int = SIZE) -> None:
        self.cursor = 0
        """The `seq` of the last item that was taken from the outbox."""
        self._size = size
        self._flights: dict[str, _Flight] = {}
        self._waiting_since = 0.0

    def __len__(self) -> int:
        return len(self._flights)

    @property
    def room(self) -> int:
        """How many more may go out."""
        return self._size - len(self._flights)

    def add(self, items: Iterable[Item], now: float) -> None:
        """Note that these go out now."""
        if not self._flights:
            self._waiting_since = now
        for item in items:
            self._flights[item.id] = _Flight(item, now + RESEND_AFTER)
            self.cursor = max(self.cursor, item.seq)

    def confirm(self, ids: Iterable[str], now: float) -> int:
        """Forget what the server has answered; return how many of them were out."""
        known = sum(self._flights.pop(item_id, None) is not None for item_id in ids)
        if known:
            self._waiting_since = now
        return known

    def due(self, now: float) -> list[Item]:
        """Return in order what has to be sent again, and note that it is."""
        items = []
        for flight in self._flights.values():
            if flight.due_at <= now:
                flight.due_at = now + min(RESEND_CAP, RESEND_AFTER * 2**flight.times)
                flight.times += 1
                items.append(flight.item)
        return items

    def hasten(self, now: float) -> None:
        """Send everything again soon: the server has come back."""
        self._waiting_since = now
        for flight in self._flights.values():
            flight.due_at = min(flight.due_at, now + AFTER_RETURN)

    def rewind(self) -> None:
        """Begin again with the oldest item of the outbox, so that the order holds on the new connection."""
        self._flights.clear()
        self.cursor = 0

    def silent_for(self, now: float) -> float:
        """Return for how many seconds items have been out without any receipt."""
        return now - self._waiting_since if self._flights else 0.0
