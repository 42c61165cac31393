"""What is to be published on one link: everything after a connection, and what changes from then on.

A lane never has more than `WINDOW` publications unanswered, however large the fleet is. Plain data, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable

WINDOW = 500
"""Publications that the broker has not answered."""


class Lane:
    """One link; belongs to the actor of the twins."""

    def __init__(self, link: str) -> None:
        self.link = link
        self.is_up = False
        """False until the link has been connected: what changes before then comes with everything else."""
        self.failures = 0
        """Attempts in a row that did not succeed."""
        self.is_waiting = False
        """While a time for the next attempt is set."""
        self._wanted: dict[str, None] = {}
        self._failed: dict[str, None] = {}
        self._in_flight: dict[int, str] = {}
        self._after: str | None = None
        self._connections = 0

    def connected(self) -> int:
        """Return the number of this connection."""
        self._connections += 1
        return self._connections

    def begin(self, connection: int) -> bool:
        """Publish everything anew; False, and nothing is done, where the link has connected once more since.

        Answers to what was sent before count no more. What has failed is tried again in its time: it may come about
        that it is committed only then.
        """
        if connection != self._connections:
            return False
        self.is_up = True
        self._wanted.clear()
        self._in_flight.clear()
        self._after = ""
        return True

    def want(self, serials: Iterable[str]) -> None:
        """Publish the twins of these devices, as they will be when their turn has come."""
        if self.is_up:
            self._wanted.update(dict.fromkeys(serials))

    @property
    def room(self) -> int:
        """How many publications may be sent now."""
        return WINDOW - len(self._in_flight)

    @property
    def is_ready(self) -> bool:
        """Whether it is time to read twins: not for each answer a few, unless these are all that are wanted."""
        return self.room >= WINDOW // 2 or 0 < len(self._wanted) <= self.room

    @property
    def after(self) -> str | None:
        """The serial after which the passage over all twins goes on; None when it is done."""
        return self._after

    def passed(self, last: str | None) -> None:
        """Note how far the passage has come; None when it has come to the end."""
        self._after = last

    def take(self) -> list[str]:
        """Return serials that are wanted, as many as there is room for; they count as taken."""
        serials = list(self._wanted)[: max(0, self.room)]
        for serial in serials:
            del self._wanted[serial]
        return serials

    def sent(self, token: int, serial: str) -> None:
        """Note a publication whose answer is awaited."""
        self._in_flight[token] = serial

    def answered(self, token: int) -> str | None:
        """Return the serial that an answer is about; None for one of an earlier connection."""
        return self._in_flight.pop(token, None)

    def fail(self, serial: str) -> None:
        """Keep a serial for the next attempt."""
        self._failed[serial] = None

    def try_again(self) -> None:
        """Want what has failed."""
        self.is_waiting = False
        self.want(self._failed)
        self._failed.clear()
