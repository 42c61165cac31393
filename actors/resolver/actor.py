"""`ResolverActor`: searches for one device at a time, in a thread of its own, for whoever asks.

Asks are handled one after the other, and a finished search is remembered for some seconds: however many ask for the
same device at the same time, the network is searched once. Answers from the roll call are never remembered, so they
are never stale.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from actors.messages import DeviceSnapshot
from actors.resolver.budget import Budget
from actors.resolver.chain import TOTAL_SECONDS, PresenceOf, Steps, from_roll_call, of_type, search, select_primary
from actors.resolver.resolution import PresenceView, Resolution
from actors.runtime import Clock, SystemClock, ThreadedActor

logger = logging.getLogger(__name__)

#: Seconds that a found address is remembered.
KEEP_FOUND = 5.0
#: Seconds that a vain search is remembered: longer than a search lasts, so that asking again and again does not keep
#: the network busy. A device that comes back by itself is in the roll call, which is looked at first.
KEEP_MISSING = 15.0


class Resolve(msgspec.Struct, frozen=True):
    """Ask for the primary device of a type; the reply is a `Resolution`, or None if it is not found."""

    type: str = "raspberry_pi"


class _Remembered(NamedTuple):
    device: DeviceSnapshot
    view: PresenceView
    until_at: float
    answer: Resolution | None


class ResolverActor(ThreadedActor):
    """Answers `Resolve`, within `TOTAL_SECONDS` for one search.

    Args:
        roll: Returns the devices known now; called for every ask.
        presence: Tells the presence of a device as the fleet sees it now.
        steps: How to look for a device that is not online.
        clock: Moves the memory; the search itself runs on real time, as the network does.
        seconds: For one search.

    """

    def __init__(
        self,
        *,
        roll: Callable[[], Sequence[DeviceSnapshot]],
        presence: PresenceOf,
        steps: Steps,
        clock: Clock | None = None,
        seconds: float = TOTAL_SECONDS,
    ) -> None:
        super().__init__()
        self._roll = roll
        self._presence = presence
        self._steps = steps
        self._clock: Clock = clock or SystemClock()
        self._seconds = seconds
        self._cancelled = threading.Event()
        self._memory: dict[str, _Remembered] = {}

    def on_receive(self, message: Any) -> Resolution | None:
        """Answer `Resolve`; anything else is logged and dropped."""
        if isinstance(message, Resolve):
            return self._resolve(message.type)
        logger.warning("resolver: unexpected message %s dropped", type(message).__name__)
        return None

    def sever(self) -> None:
        """End the search that is under way; its sockets are closed within a fraction of a second."""
        self._cancelled.set()

    def _resolve(self, wanted: str) -> Resolution | None:
        candidates = of_type(self._roll(), wanted)
        primary = select_primary(candidates, self._presence)
        if primary is None:
            return None
        view = self._presence(primary)
        present = from_roll_call(primary, view, now=self._clock.time())
        return present or self._search(primary, view, candidates)

    def _search(
        self, primary: DeviceSnapshot, view: PresenceView, peers: Sequence[DeviceSnapshot]
    ) -> Resolution | None:
        self._forget()
        known = self._memory.get(primary.serial)
        if known is not None and (known.device, known.view) == (primary, view):
            return known.answer
        budget = Budget(self._seconds, cancelled=self._cancelled)
        answer = search(primary, view, peers=peers, steps=self._steps, budget=budget, now=self._clock.time)
        logger.info(
            "resolver: %s is %s", primary.serial, f"at {answer.address} ({answer.method})" if answer else "nowhere"
        )
        until_at = self._clock.monotonic() + (KEEP_FOUND if answer else KEEP_MISSING)
        self._memory[primary.serial] = _Remembered(primary, view, until_at, answer)
        return answer

    def _forget(self) -> None:
        now = self._clock.monotonic()
        self._memory = {serial: known for serial, known in self._memory.items() if known.until_at > now}
