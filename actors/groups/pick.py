"""Work spreading: which present device has the least to do."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from itertools import count
from typing import Final, NamedTuple

import msgspec

from actors.fleet import DeviceView, Fleet

STEP: Final = 0.25
"""Load averages are compared in steps of this, and a pick counts as one: else the idlest, be it by a hair, would be
given everything until its next status, a minute later."""
FADES: Final = 60.0
"""Seconds in which what picks count fades by half: the device's own figures tell of the work by then."""
MOST_LOAD: Final = 1e6
"""Of a device that tells more nothing is believed but that it has much to do."""


class Picked(msgspec.Struct, frozen=True):
    """The device that was picked, and what it had to do."""

    view: DeviceView
    commands: int
    """Commands that it has not answered yet."""
    load_average: float
    """Of the last minute, as it told last; 0 for a device that tells none."""


class _SystemInfo(msgspec.Struct):
    """What is read of a device's figures."""

    load_average: list[float] | float | str | dict[str, object] | None = None


_DECODER: Final = msgspec.json.Decoder(_SystemInfo)


class _Turn(NamedTuple):
    """The last pick of a device."""

    number: int = 0
    steps: float = 0.0
    """What it and those before it counted for then."""
    at: float = 0.0
    """Seconds, monotonic."""

    def steps_at(self, now: float) -> float:
        """Return what is left of that."""
        return self.steps * math.exp2((self.at - now) / FADES)


_NEVER: Final = _Turn()


def load_of(system_info: bytes) -> float:
    """Return the load average of the last minute that a device has told, 0 for none that can be read."""
    if not system_info:
        return 0.0
    try:
        told = _DECODER.decode(system_info).load_average
    except msgspec.DecodeError:
        return 0.0
    if isinstance(told, list):
        told = told[0] if told else 0.0
    return min(max(0.0, told), MOST_LOAD) if isinstance(told, int | float) else 0.0


class Picker:
    """Gives the present device with the fewest commands under way, then the lowest load, then picked longest ago.

    Any thread may ask. One lock makes a pick and its note one step, so that two who ask at once get two devices.

    Args:
        fleet: whom to pick from.
        in_flight: tells how many commands a device has not answered yet.

    """

    def __init__(self, fleet: Fleet, in_flight: Callable[[str], int]) -> None:
        self._fleet = fleet
        self._in_flight = in_flight
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._picked: dict[str, _Turn] = {}

    def pick(self, where: Callable[[DeviceView], bool]) -> Picked | None:
        """Return the least loaded device that is present and of which `where` is true; None if there is none."""
        candidates = [
            Picked(view, self._in_flight(view.snapshot.serial), load_of(view.snapshot.system_info))
            for view in self._present()
            if where(view)
        ]
        if not candidates:
            return None
        with self._lock:
            now = self._fleet.clock.monotonic()
            picked = min(candidates, key=lambda candidate: self._rank(candidate, now))
            serial = picked.view.snapshot.serial
            self._picked[serial] = _Turn(next(self._numbers), self._turn(serial).steps_at(now) + 1, now)
            if len(self._picked) > len(self._fleet):
                self._forget_the_deleted()
        return picked

    def _present(self) -> Iterator[DeviceView]:
        for record in self._fleet:
            if record.snapshot.presence == "online" and not record.snapshot.quarantined:  # else no view is needed
                view = self._fleet.view(record)
                if view.presence == "online":
                    yield view

    def _rank(self, candidate: Picked, now: float) -> tuple[int, int, int, str]:
        serial = candidate.view.snapshot.serial
        turn = self._turn(serial)
        return candidate.commands, int(candidate.load_average / STEP + turn.steps_at(now)), turn.number, serial

    def _turn(self, serial: str) -> _Turn:
        return self._picked.get(serial, _NEVER)

    def _forget_the_deleted(self) -> None:
        self._picked = {serial: number for serial, number in self._picked.items() if serial in self._fleet}
