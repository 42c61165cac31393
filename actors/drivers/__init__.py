"""Where the values of a station come from: drivers by name, ours and those of the entry points `muster.drivers`."""

from __future__ import annotations

import zlib
from importlib.metadata import entry_points

from actors.drivers.base import Driver, DriverError, DriverOptions, EndOfReadingsError, MakeDriver
from actors.drivers.replay import Replay
from actors.drivers.simulator import SoilSimulator

__all__ = ["Driver", "DriverError", "DriverOptions", "EndOfReadingsError", "find_driver", "list_drivers", "stable_seed"]

GROUP = "muster.drivers"


def _simulator(options: DriverOptions) -> Driver:
    return SoilSimulator(options.seed, start=options.start)


_OURS: dict[str, MakeDriver] = {"simulator": _simulator, "replay": Replay}


def list_drivers() -> list[str]:
    """Return the names of all drivers, ours first."""
    return [*_OURS, *sorted({point.name for point in entry_points(group=GROUP)} - _OURS.keys())]


def find_driver(name: str) -> MakeDriver:
    """Return what makes the driver of that name.

    Raises:
        DriverError: there is none, or it cannot be loaded.

    """
    if name in _OURS:
        return _OURS[name]
    for point in entry_points(group=GROUP, name=name):
        try:
            made: MakeDriver = point.load()
        except Exception as error:
            raise DriverError(f"the driver `{name}` ({point.value}) cannot be loaded: {error!r}.") from error
        return made
    raise DriverError(f"there is no driver `{name}`; known are {', '.join(list_drivers())}.")


def stable_seed(publisher_id: str) -> int:
    """Return a seed that is the same in each run for the same publisher, and another one for its neighbour."""
    return zlib.crc32(publisher_id.encode())
