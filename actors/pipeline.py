"""The sensor pipeline's own state on `{prefix}/status`, retained: whether it takes readings, and how many it has taken.

Who wants to know that the whole server is gone reads `server/discovery`, whose last will says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from actors.link.messages import Announcement, Publish
from actors.runtime import Clock, Directory, PooledActor, Runtime, ToSelf
from actors.statistics import PipelineStatistics
from actors.timestamps import rfc3339

LOOK_EVERY = 1.0
"""Seconds."""
REPEAT_EVERY = 60.0
"""Seconds after which an unchanged state is published again, for its figures."""

Status = Literal["online", "degraded", "offline"]

MESSAGES: dict[Status, str] = {
    "online": "readings are taken, analysed and stored",
    "degraded": "the database is away: readings are taken and wait to be stored",
    "offline": "the server has stopped",
}


class PipelineState:
    """Makes the message; shared by the links, which greet and say farewell with it, and the actor that repeats it."""

    def __init__(self, prefixes: Sequence[str], statistics: PipelineStatistics, clock: Clock) -> None:
        self._topics = [f"{prefix}/status" for prefix in prefixes]
        self._statistics = statistics
        self._clock = clock

    def announcements(self, status: Status) -> list[Announcement]:
        """Return one retained message for each prefix."""
        figures = self._statistics.as_dict()
        body = {
            "status": status,
            "message": MESSAGES[status],
            "timestamp": rfc3339(int(self._clock.time() * 1_000_000)),
            **{name: figures[name] for name in ("received", "processed", "duplicates", "failed", "published")},
        }
        payload = msgspec.json.encode(body)
        return [(topic, payload, 1, True) for topic in self._topics]


class Look(ToSelf):
    """To itself: see how things are."""


class PipelineActor(PooledActor):
    """Publishes the state when it changes, and now and then for its figures."""

    def __init__(
        self,
        runtime: Runtime,
        services: Directory,
        state: PipelineState,
        *,
        links: Sequence[str],
        is_database_ok: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._runtime = runtime
        self._services = services
        self._state = state
        self._links = links
        self._is_database_ok = is_database_ok
        self._shown: Status = "online"
        """The links say so by themselves when they connect."""
        self._shown_at = 0.0

    def on_start(self) -> None:
        """Begin to look."""
        self._shown_at = self._runtime.clock.monotonic()
        self._again()

    def on_receive(self, message: Any) -> None:
        """Publish what has changed."""
        assert isinstance(message, Look), message
        status: Status = "online" if self._is_database_ok() else "degraded"
        now = self._runtime.clock.monotonic()
        if status != self._shown or now - self._shown_at >= REPEAT_EVERY:
            self._shown, self._shown_at = status, now
            for topic, payload, qos, retain in self._state.announcements(status):
                for link in self._links:
                    self._services.tell(link, Publish(topic, payload, qos, retain))
        self._again()

    def _again(self) -> None:
        self._runtime.timers.after(LOOK_EVERY, self.actor_ref, Look())
