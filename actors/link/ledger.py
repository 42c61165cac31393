"""The unresolved deliveries of one data link: what the broker has sent and nobody has settled yet.

A token is `connection epoch << 24 | lap << 16 | packet id`. A delivery ends exactly once: settled, or void because its
connection ended (then the broker sends it again on the next one). Pure: no clock, no socket.

The lap is there for brokers that give a packet id a second time while it is still unacknowledged. MQTT forbids it
(5.0, 2.2.1); Mosquitto 2.0 does it when its `max_inflight_messages` is 0 and more than 65,535 messages are under way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from actors.messages import Delivery

#: Bytes of unresolved payload above which the link stops reading.
LIMIT_BYTES = 128 * 1024 * 1024

#: What a delivery weighs beside its payload: the struct, its topic and its place in our tables.
WEIGHT = 400


#: Deliveries that may share a packet id at a time.
LAPS = 256


def make_token(epoch: int, mid: int, lap: int = 0) -> int:
    """Return the token of packet id `mid` on connection `epoch`."""
    return epoch << 24 | lap << 16 | mid


class Ledger:
    """Unresolved deliveries by token, in the order of receipt."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self.epoch = 0
        self.bytes = 0
        """Bytes held: payloads, and `WEIGHT` for each delivery so that empty payloads count too."""
        self.ignored: Counter[str] = Counter()
        """Tokens that could not be settled, by reason: `earlier_epoch`, `unknown`."""
        self._limit = limit_bytes
        self._entries: dict[int, Delivery] = {}
        self._shared: dict[int, list[int]] = {}
        """Packet ids with several deliveries: how many are unresolved, how many have ended."""
        self._stuck: set[int] = set()
        self._replayed_at = float("-inf")

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, token: int) -> bool:
        return token in self._entries

    @property
    def full(self) -> bool:
        """True when the link has to stop reading."""
        return self.bytes >= self._limit

    @property
    def relaxed(self) -> bool:
        """True when a congested link may read again: below three quarters, so that it does not flutter."""
        return self.bytes < self._limit * 3 // 4

    def void(self, epoch: int) -> int:
        """Begin connection `epoch`, larger than any before; return how many deliveries of the old one became void.

        Raises:
            ValueError: `epoch` is not larger than the current one.

        """
        if epoch <= self.epoch:
            raise ValueError(f"epoch {epoch} does not follow {self.epoch}")
        count = len(self._entries)
        self.epoch = epoch
        self.bytes = 0
        self._entries.clear()
        self._shared.clear()
        self._stuck.clear()
        return count

    def add(self, delivery: Delivery) -> Delivery | None:
        """Enter a delivery of this connection; return it with the token it got, or None if it was sent twice.

        Sent twice is what has the packet id, topic and payload of an unresolved one and the DUP flag. Anything else
        with a packet id in use is a message of its own.
        """
        entered = delivery
        for lap in range(1, LAPS):
            known = self._entries.get(entered.token)
            if known is None:
                self._enter(entered, lap - 1)
                return entered
            if delivery.dup and known.payload == delivery.payload and known.topic == delivery.topic:
                return None
            entered = msgspec.structs.replace(delivery, token=delivery.token | lap << 16)
        return None

    def _enter(self, delivery: Delivery, lap: int) -> None:
        self._entries[delivery.token] = delivery
        self.bytes += len(delivery.payload) + WEIGHT
        if lap:
            shared = self._shared.setdefault(delivery.token & 0xFFFF, [1, 0])
            shared[0] += 1

    def settle(self, tokens: Iterable[int]) -> list[int]:
        """End deliveries; return the packet ids to acknowledge. Tokens that are void or unknown are counted."""
        mids: list[int] = []
        for token in tokens:
            delivery = self._entries.pop(token, None)
            if delivery is None:
                self.ignored["earlier_epoch" if token >> 24 != self.epoch else "unknown"] += 1
                continue
            self.bytes -= len(delivery.payload) + WEIGHT
            self._stuck.discard(token)
            mids += self._acknowledge(token & 0xFFFF)
        return mids

    def _acknowledge(self, mid: int) -> list[int]:
        """Return what may be acknowledged now that a delivery of this packet id has ended.

        The broker takes an acknowledgement for the oldest delivery of the id: none may go before all have ended.
        """
        shared = self._shared.get(mid)
        if shared is None:
            return [mid]
        shared[0] -= 1
        shared[1] += 1
        if shared[0]:
            return []
        del self._shared[mid]
        return [mid] * shared[1]

    def unresolved(self) -> list[Delivery]:
        """Return what is unresolved in the order of receipt, for a replay."""
        return list(self._entries.values())

    def replayed(self, now: float) -> None:
        """Note that everything unresolved was told again at monotonic time `now`: its time starts afresh."""
        self._replayed_at = now
        self._stuck.clear()

    def overdue(self, now: float, after: float = 60.0) -> list[Delivery]:
        """Return the deliveries unresolved for `after` seconds at monotonic time `now`, each only once."""
        if now - self._replayed_at < after:
            return []
        found: list[Delivery] = []
        for token, delivery in self._entries.items():
            if now - delivery.rx_at < after:
                break
            if token not in self._stuck:
                found.append(delivery)
        self._stuck.update(delivery.token for delivery in found)
        return found
