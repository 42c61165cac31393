"""What takes stored readings to another place: a file of ours, or a plug-in's own system."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from actors.storage.following import FollowedReading


@runtime_checkable
class Sink(Protocol):
    """Used by one thread; its constructor only assigns."""

    name: str
    """For people and logs."""

    def open(self) -> int | None:
        """Connect, and return the id of the last reading that is known to be in place.

        None if the sink cannot know: the follower then keeps a cursor in a file of its own, and after a crash the last
        batch may be written twice.
        """

    def write(self, rows: Sequence[FollowedReading]) -> None:
        """Put all rows in place, or raise; after an exception the same rows come again, without an `open` before."""

    def close(self) -> None:
        """Let go of everything; called after a failed `open`, too."""
