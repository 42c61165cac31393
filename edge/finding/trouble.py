"""What the contact to the server suffers from, read off the boards of link and uplink. Pure."""

from __future__ import annotations

from typing import NamedTuple

from actors.link.status import LinkBoard, LinkState
from actors.uplink.board import UplinkBoard
from actors.uplink.link import LinkWatch

ATTEMPTS = 3
"""Failed attempts to connect in a row after which a broker counts as away."""
_REFUSED = ("the broker refused the connection: Not authorized", "the broker refused the connection: Bad user name")
_UNAUTHORIZED = "status 401"


class Trouble(NamedTuple):
    """One trouble; an empty one is none."""

    reason: str = ""
    """A part of a sentence; empty when all is well."""
    is_refused: bool = False
    """The broker does not take our user name and password."""
    is_token: bool = False
    """The server does not take our token."""


class Contact(NamedTuple):
    """What the locator watches of the link and the uplink; the boards outlive their actors."""

    watch: LinkWatch
    link: LinkBoard
    uplink: UplinkBoard

    @property
    def is_up(self) -> bool:
        """Whether the link sees."""
        return self.link.status.connected

    @property
    def posts(self) -> int:
        """How many posts the server has answered."""
        return self.uplink.counters.posted

    def trouble(self) -> Trouble:
        """Return what is wrong now."""
        link = self.link.status
        if link.state is not LinkState.STOPPED and self.watch.failed_attempts >= ATTEMPTS:
            refused = link.last_error.startswith(_REFUSED)
            return Trouble(link.last_error or "the broker cannot be reached", is_refused=refused)
        if _UNAUTHORIZED in self.uplink.status.http_error:
            return Trouble("the server refuses our token", is_token=True)
        return Trouble()
