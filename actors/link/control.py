"""`ControlLink`: presence, announcements and wills in; commands and everything else we publish out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from actors.link.figures import SYS_FILTER, read_figure
from actors.link.link import LinkActor
from actors.link.messages import Announcement, Publish
from actors.link.wire import Publication

#: Mosquitto's count of messages dropped because a client's queue was full; other brokers have no such topic.
DROPPED_TOPIC = "$SYS/broker/publish/messages/dropped"


class ControlLink(LinkActor):
    """Clean session, QoS 0, never congested; its will and its greeting are the server's presence."""

    def __init__(
        self,
        *,
        will: Callable[[], Announcement | None],
        greet: Callable[[bool], list[Announcement]],
        farewell: Callable[[], list[Announcement]],
        watched: Mapping[str, Callable[[bytes], None]] | None = None,
        figures: bool = False,
        **settings: Any,
    ) -> None:
        """Assign.

        Args:
            will: asked before each connection for what the broker publishes when it dies.
            greet: returns what to publish on each connection; True on the first one of this process.
            farewell: returns what to publish before a stop.
            watched: topics of others, which a broker may refuse us, and what gets each payload.
            figures: whether to keep what the broker tells of itself.
            settings: see `LinkActor`.

        """
        super().__init__(**settings)
        self._figures = figures
        self._will = will
        self._greet = greet
        self._farewell = farewell
        self._watched = dict(watched or {})
        self._dropped_total = 0
        self._dropped_last: int | None = None

    def optional_filters(self) -> tuple[str, ...]:
        """Ask for what the broker tells of itself too, and for what is watched.

        The count of dropped messages stands for itself: a broker may let us read that alone.
        """
        figures = (DROPPED_TOPIC, SYS_FILTER) if self._figures else (DROPPED_TOPIC,)
        return (*super().optional_filters(), *figures, *self._watched)

    def will(self) -> Announcement | None:
        """Return the last will."""
        return self._will()

    def farewell(self) -> list[Announcement]:
        """Return the goodbye."""
        return self._farewell()

    def connection_subscribed(self) -> None:
        """Greet: whoever answers is heard, because the subscriptions stand."""
        super().connection_subscribed()
        first = self._board.counters.connections == 1
        for topic, payload, qos, retain in self._greet(first):
            self._publisher.publish(Publish(topic, payload, qos, retain))

    def connection_begun(self, epoch: int) -> None:
        """Forget what the broker told of itself: on this connection it tells anew."""
        super().connection_begun(epoch)
        self._board.figures = {}

    def handle_own(self, publication: Publication) -> None:
        """Hand on what is watched; keep the broker's figures."""
        topic, payload, *_ = publication
        if topic in self._watched:
            self._watched[topic](payload)
        elif topic.startswith(SYS_FILTER[:-1]):
            self._take_figure(topic, payload)
        else:
            super().handle_own(publication)

    def _take_figure(self, topic: str, payload: bytes) -> None:
        """Keep what is in our table of them; a broker tells much more."""
        figure = read_figure(topic, payload, self._clock.time())
        if figure is not None and self._figures:
            self._board.figures = {**self._board.figures, figure.name: figure}
        if topic == DROPPED_TOPIC and payload.isdigit():
            self._add_dropped(int(payload))

    def _add_dropped(self, count: int) -> None:
        """Add up the growth of the broker's count, which starts at 0 again when the broker does."""
        if self._dropped_last is not None:
            self._dropped_total += count - self._dropped_last if count >= self._dropped_last else count
        self._dropped_last = count

    def each_round(self, now: float) -> None:
        """Note whether the broker refuses to tell of itself."""
        super().each_round(now)
        self._board.figures_refused = SYS_FILTER in self._connection.refused_options

    def _dropped_by_broker(self) -> int:
        return self._dropped_total
