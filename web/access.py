"""The broker's users as the HTTP face sees them: part of `web.face`, in a module of its own for its length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from web.face import Item


class AccessRefusedError(Exception):
    """The broker's users cannot be changed; whoever asked is told why."""

    def __init__(self, status: int, code: str, message: str) -> None:
        """Assign.

        Args:
            status: the HTTP status: 404, 409 or 503.
            code: one word for programs: `not_found`, `not_managed`, `not_ready`.
            message: one sentence for people.

        """
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Access(Protocol):
    """The broker's users, and how their passwords change. Every method may raise `AccessRefusedError`.

    `grace` is in seconds, None as configured: for so long what was good before stays good.
    """

    def status(self) -> Item:
        """Return the fields of `web.answers_access.AccessStatus`, times with `_us`."""
        ...

    def rotate_fleet_key(self, grace: float | None) -> Item:
        """Make another fleet's key; return `key` and `ends_us` of the one of before."""
        ...

    def rotate_server(self, grace: float | None) -> Item:
        """Give the server another user of the broker; return its `username` and `ends_us` of the one of before."""
        ...

    def renew_devices(self, serials: Sequence[str], grace: float | None) -> Item:
        """Have devices fetch new passwords, all without `serials`; return `devices` and `ends_us`."""
        ...

    def retire_shared(self) -> bool:
        """End the user that all devices of releases before share; return whether there was one."""
        ...
