"""What a driver is: the only part of a station that knows its hardware. `docs/sensor-publisher.md` shows one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec


class DriverError(Exception):
    """A driver that cannot be made or read; the message is one sentence."""


class EndOfReadingsError(Exception):
    """Raised by `read` when there will never be another reading: the end of a file."""


class Driver(ABC):
    """Reads a station. Derive from it to inherit what a simple driver need not care about.

    All of it runs on one thread, `close` excepted: it is called from another one to break a `read` that hangs.
    """

    def open(self) -> None:  # noqa: B027 - a hook that not every driver needs
        """Make ready; called before the first `read` and again after one that failed."""

    @abstractmethod
    def read(self, now: float) -> Mapping[str, float]:
        """Return the measures at `now` (seconds since 1970 UTC), by name. May block, and may raise anything.

        Raises:
            EndOfReadingsError: there will never be another one.

        """

    def pause(self) -> float | None:
        """Return the seconds until the next reading; None leaves it to the interval of the publisher."""
        return None

    def close(self) -> None:  # noqa: B027 - a hook that not every driver needs
        """Let go of the hardware; harmless when repeated, and from another thread."""


class DriverOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a driver is made from; each takes what it needs."""

    publisher_id: str
    seed: int = 0
    start: dict[str, float] = {}
    """The values that this publisher published last, before a restart; empty the first time."""
    file: Path | None = None
    """What `--file` names."""
    speed: float = 0.0
    """Replay at so many times the pace of the recorded times; 0: one reading per interval of the publisher."""
    loop: bool = False
    """Begin anew at the end of the file."""


MakeDriver = Callable[[DriverOptions], Driver]
"""What an entry point of the group `muster.drivers` names."""
