"""The mail of children that are down: kept in order for the next incarnation, or declared dead with a reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from actors.runtime import Envelope

Undeliverable = Callable[[str, Envelope, BaseException | None, str], None]
"""Takes child id, envelope, what the child died of, and the reason."""

FATAL_ATTEMPTS = 2
"""A message that has crashed its actor this often is not handed to another incarnation."""


class Post:
    """One pigeonhole per child that is down and has mail; none for the others."""

    def __init__(self, limit: int, undeliverable: Undeliverable) -> None:
        self._limit = limit
        self._undeliverable = undeliverable
        self._holes: dict[str, list[Envelope]] = {}

    def __len__(self) -> int:
        return sum(len(hole) for hole in tuple(self._holes.values()))

    def depth(self, child_id: str) -> int:
        """Return how many messages wait for the child's next incarnation; safe from any thread."""
        return len(self._holes.get(child_id, ()))

    def keep(
        self,
        child_id: str,
        pending: Sequence[Envelope],
        error: BaseException | None,
        *,
        most: int = FATAL_ATTEMPTS,
        reason: str = "crashed_twice",
    ) -> None:
        """Keep what an incarnation left, in front of what came since; messages with `most` attempts are dead."""
        kept: list[Envelope] = []
        for envelope in pending:
            if envelope.attempts >= most:
                self._undeliverable(child_id, envelope, error, reason)
            else:
                kept.append(envelope)
        kept.extend(self._holes.pop(child_id, ()))
        if kept:
            self._holes[child_id] = kept[: self._limit]
        for envelope in kept[self._limit :]:
            self._undeliverable(child_id, envelope, None, "overflow")

    def stash(self, child_id: str, message: Any) -> None:
        """Keep a message that came while the child was down; the newest is refused when the hole is full."""
        hole = self._holes.setdefault(child_id, [])
        if len(hole) < self._limit:
            hole.append(Envelope(message))
        else:
            self._undeliverable(child_id, Envelope(message), None, "overflow")

    def peek(self, child_id: str) -> Sequence[Envelope]:
        """Return what waits, for the launch of the next incarnation."""
        return self._holes.get(child_id, ())

    def take(self, child_id: str) -> list[Envelope]:
        """Empty the hole."""
        return self._holes.pop(child_id, [])

    def discard(self, child_id: str, error: BaseException | None, reason: str) -> None:
        """Declare all that waits dead: there will be no next incarnation to hand it to."""
        for envelope in self.take(child_id):
            self._undeliverable(child_id, envelope, error, reason)
