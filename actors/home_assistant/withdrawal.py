"""Taking back what is retained: an empty message on each topic, and the row goes when the broker has taken them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from actors.home_assistant.documents import Topics
from actors.link.status import LinkBoard
from actors.storage.home_assistant import Bridged, Told


class Step(NamedTuple):
    """One topic to be cleared."""

    row: Told
    """Where the device's document is."""
    topic: str


class Withdrawal:
    """All that is being taken back."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._rows: dict[Told, Bridged] = {}
        self._open: dict[Told, set[str]] = {}
        """Topics of each row that the broker has not taken yet."""
        self._todo: dict[Step, None] = {}
        self._failed: dict[Step, None] = {}
        self._in_flight: dict[int, Step] = {}

    def __bool__(self) -> bool:
        return bool(self._rows)

    def holds(self, told: Told) -> bool:
        """Tell whether a document is being taken back: a new one has to wait."""
        return told in self._rows

    def begin(self, row: Bridged, *, moves: bool = False) -> None:
        """Take back everything of a row, the document first; or, of a device that goes on elsewhere, that alone."""
        serial = row.serial
        states = [self._topics.state(serial, channel) for channel in row.measures]
        topics = [row.topic] if moves else [row.topic, self._topics.availability(serial), *states]
        self._rows[row.told] = row
        self._open[row.told] = set(topics)
        self._todo |= {Step(row.told, topic): None for topic in topics}

    def unknown(self, links: Mapping[str, LinkBoard]) -> list[Bridged]:
        """Give up and return rows of links that there are no more; `done` names them."""
        lost = [row for told, row in self._rows.items() if row.link not in links and self._open[told]]
        for row in lost:
            self._open[row.told] = set()
        if lost:
            self._todo = {step: None for step in self._todo if step.row.link in links}
        return lost

    def next(self, links: Mapping[str, LinkBoard]) -> Step | None:
        """Return the next topic of a link that is there, None for none."""
        return next((step for step in self._todo if links[step.row.link].status.connected), None)

    def sent(self, token: int, step: Step) -> None:
        """Note a publication whose answer is awaited."""
        del self._todo[step]
        self._in_flight[token] = step

    def answered(self, token: int, *, is_taken: bool) -> bool:
        """Take an answer; False if it is none to us."""
        step = self._in_flight.pop(token, None)
        if step is None:
            return False
        if not is_taken:
            self._failed[step] = None
        elif step.row in self._open:
            self._open[step.row].discard(step.topic)
        return True

    def again(self) -> None:
        """Try again what has failed."""
        self._todo |= self._failed
        self._failed = {}

    def done(self) -> list[Told]:
        """Return the rows of which nothing is retained any more."""
        return [told for told, topics in self._open.items() if not topics]

    def forget(self, rows: list[Told]) -> None:
        """Forget them, once the database has."""
        for row in rows:
            del self._rows[row], self._open[row]
