"""Where messages go that cannot be processed: counted by reason, kept for replay, bounded per sender and in size."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from actors.messages import Delivery, Settled, StoreDeadLetter
from actors.runtime import Clock, Directory
from actors.writes import Outgoing

QUOTA = 200
"""Dead letters kept per sender and window; more are counted and acknowledged, not kept."""
QUOTA_WINDOW = 3600.0
"""Seconds."""
KEPT_BYTES = 65_536
"""Bytes of a payload that are kept; of a longer one the beginning, with its true size in the detail."""
LONGEST_DETAIL = 500
"""Characters, without the note on the size."""
MOST_SENDERS = 10_000
"""Senders counted at a time; beyond that the window starts anew for all."""


class DeadLetterDesk:
    """Takes refused deliveries on the dispatcher's thread, and judges for every thread what is kept."""

    def __init__(self, clock: Clock, outgoing: Outgoing, directory: Directory, *, quota: int = QUOTA) -> None:
        self._clock = clock
        self._quota = quota
        self._lock = threading.Lock()
        self._outgoing = outgoing
        self._directory = directory
        self._kept: Counter[str] = Counter()
        self.on_unkept: Callable[[StoreDeadLetter], None] | None = None
        """Told of each letter that is over the quota; its sender may wait for an answer all the same."""
        self._window_from = clock.monotonic()
        self.by_reason: Counter[str] = Counter()
        """Messages refused so far, by reason; `quota` counts those that were not kept."""

    def refuse(self, delivery: Delivery, reason: str, detail: str, serial: str = "") -> None:
        """End a delivery as a dead letter: it is acknowledged when its row is committed."""
        letter = letter_of(delivery, reason, detail, serial)
        if self.admit(letter):
            self._outgoing.add(letter)

    def admit(self, letter: StoreDeadLetter) -> bool:
        """Count a letter and tell whether it is to be kept; one that is not is acknowledged here. Thread-safe."""
        with self._lock:
            self.by_reason[letter.reason] += 1
            is_kept = not self._over_quota(letter.serial or letter.topic)
            if not is_kept:
                self.by_reason["quota"] += 1
        if is_kept:
            return True
        if letter.token:
            self._directory.tell(letter.link, Settled([letter.token]))
        if self.on_unkept is not None:
            self.on_unkept(letter)
        return False

    def _over_quota(self, sender: str) -> bool:
        now = self._clock.monotonic()
        if now - self._window_from > QUOTA_WINDOW or len(self._kept) > MOST_SENDERS:
            self._kept.clear()
            self._window_from = now
        self._kept[sender] += 1
        return self._kept[sender] > self._quota


def letter_of(delivery: Delivery, reason: str, detail: str, serial: str = "") -> StoreDeadLetter:
    """Return the dead letter of a delivery; it inherits the token, so that its delivery is settled."""
    payload, detail = bounded(delivery.payload, detail[:LONGEST_DETAIL])
    return StoreDeadLetter(
        reason=reason,
        detail=detail,
        link=delivery.link,
        topic=delivery.topic,
        payload=payload,
        rx_us=delivery.rx_us,
        serial=serial,
        token=delivery.token,
        qos=delivery.qos,
    )


def bounded(payload: bytes, detail: str) -> tuple[bytes, str]:
    """Return what is kept of a payload, and the detail; where it is cut, the detail says how much there was."""
    if len(payload) <= KEPT_BYTES:
        return payload, detail
    return payload[:KEPT_BYTES], f"{detail} (of {len(payload)} bytes the first {KEPT_BYTES} are kept)"
