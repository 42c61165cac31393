"""A driver that is made when it is opened, so that one that cannot be made keeps nothing else from running."""

from __future__ import annotations

from collections.abc import Mapping

from actors.drivers import find_driver
from actors.drivers.base import Driver, DriverOptions


class LateDriver(Driver):
    """Is made anew for each reading until that succeeds: what is missing may be plugged in or copied there later."""

    def __init__(self, name: str, options: DriverOptions) -> None:
        self._name, self._options = name, options
        self._driver: Driver | None = None

    def open(self) -> None:
        """Make and open it.

        Raises:
            DriverError: there is no such driver, or it cannot be made.

        """
        if self._driver is None:
            self._driver = find_driver(self._name)(self._options)
        self._driver.open()

    def read(self, now: float) -> Mapping[str, float]:
        """Return what it reads."""
        assert self._driver is not None
        return self._driver.read(now)

    def pause(self) -> float | None:
        """Return its pause."""
        return self._driver.pause() if self._driver is not None else None

    def close(self) -> None:
        """Close it, if it was made."""
        if self._driver is not None:
            self._driver.close()
