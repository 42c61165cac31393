"""Publications at a bounded pace: so many in a second, and so many that the broker has not answered."""

from __future__ import annotations

from itertools import count
from typing import Final

from actors.link.messages import Publish
from actors.runtime import Clock, Directory

WINDOW: Final = 500
"""Publications that the broker has not answered."""


class Paced:
    """A bucket of permits that fills up with time."""

    def __init__(self, services: Directory, reply_to: str, rate: int) -> None:
        self._services = services
        self._reply_to = reply_to
        self._rate = rate
        self._permits = 0.0
        self._filled_at = 0.0
        self._tokens = count(1)
        self._unanswered: set[int] = set()

    def begin(self, clock: Clock) -> None:
        """Begin with an empty bucket, and with tokens that no predecessor has used."""
        self._filled_at = clock.monotonic()
        self._tokens = count(int(clock.time() * 1_000_000))

    def refill(self, now: float) -> None:
        """Take note of the time that has passed: at most a second's permits are saved up."""
        self._permits = min(float(self._rate), self._permits + (now - self._filled_at) * self._rate)
        self._filled_at = now

    @property
    def room(self) -> int:
        """How many publications may be sent now."""
        return max(0, min(int(self._permits), WINDOW - len(self._unanswered)))

    @property
    def has_room(self) -> bool:
        """Whether one may be sent now."""
        return self.room > 0

    def publish(self, link: str, topic: str, payload: bytes, *, qos: int) -> int:
        """Publish, retained; return the token of the answer, which is only told with QoS 1."""
        token = next(self._tokens) if qos else 0
        self._permits -= 1
        if qos:
            self._unanswered.add(token)
        reply_to = self._reply_to if qos else ""
        self._services.tell(link, Publish(topic, payload, qos, retain=True, reply_to=reply_to, token=token))
        return token

    def answered(self, token: int) -> None:
        """Note an answer."""
        self._unanswered.discard(token)
