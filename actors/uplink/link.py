"""The link of an uplink: an ordinary control link that also counts its attempts and moves with the broker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from actors.link.control import ControlLink
from actors.link.intake import Route
from actors.link.messages import Announcement

DISCOVERY = "server/discovery"


@dataclass(kw_only=True, slots=True)
class LinkWatch:
    """What the uplink has to know of its link beside its status; outlives incarnations, written by the link."""

    attempts: int = 0
    """Attempts to connect since the last connection, the one under way included."""

    @property
    def failed_attempts(self) -> int:
        """Attempts that have failed since the last connection."""
        return max(0, self.attempts - 1)


class UplinkLink(ControlLink):
    """A control link that by itself has no will: the presence of a publisher is what it publishes."""

    def __init__(
        self,
        *,
        watch: LinkWatch,
        has_moved: Callable[[], bool],
        will: Callable[[], Announcement | None] = lambda: None,
        greet: Callable[[bool], list[Announcement]] = lambda _first: [],
        farewell: Callable[[], list[Announcement]] = list,
        **settings: Any,
    ) -> None:
        """Assign.

        Args:
            watch: where attempts are counted.
            has_moved: whether the broker is to be found elsewhere by now.
            will: as of `ControlLink`.
            greet: as of `ControlLink`.
            farewell: as of `ControlLink`.
            settings: see `LinkActor`.

        """
        super().__init__(will=will, greet=greet, farewell=farewell, **settings)
        self._watch = watch
        self._has_moved = has_moved

    def connection_begun(self, epoch: int) -> None:
        """Count the attempt; end where the broker has moved, so that the next incarnation looks in the right place."""
        super().connection_begun(epoch)
        self._watch.attempts += 1
        if self._watch.failed_attempts and self._has_moved():
            self.stop()

    def connection_subscribed(self) -> None:
        """Forget the attempts that failed."""
        self._watch.attempts = 0
        super().connection_subscribed()


def uplink_routes(serials: Sequence[str], uplink: str) -> tuple[Route, ...]:
    """Return what the link subscribes for these senders: their receipts, and whether the server is there."""
    receipts = tuple(f"devices/{serial}/receipts" for serial in serials)
    return (Route((*receipts, DISCOVERY), uplink),)
