"""Rollouts as the HTTP face sees them: part of `web.face`, in a module of its own for its length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from actors.targets import Target
from actors.updates.messages import Order, Windows
from actors.updates.plan import Plan

if TYPE_CHECKING:
    from web.face import Item


class RolloutsRefusedError(Exception):
    """What was asked of a rollout was refused; whoever asked is told why."""

    def __init__(self, status: int, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        """Assign.

        Args:
            status: the HTTP status: 404, 409 or 413.
            code: one word for programs, of `actors.updates.messages.Code`.
            message: one sentence for people.
            details: what it is about: `id`, `device`, `rollout`, `release` or `site`.

        """
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})


class Rollouts(Protocol):
    """Who gets which release, and how far it is.

    A rollout has the fields of `web.answers_rollouts.Rollout`, times with `_us`. Every method may raise
    `RolloutsRefusedError`.
    """

    def start(
        self, target: Target, *, release: str, share: float, plan: Plan, windows: Windows, by: str, address: str
    ) -> Item:
        """Begin a rollout and return it.

        Args:
            target: who is meant; of a group and of all only those that run Muster's edge.
            release: version, or id.
            share: of the target, 0 to 1.
            plan: how it goes.
            windows: maintenance windows of its own; without any those of the sites.
            by: who asks.
            address: from where.

        """
        ...

    def items(self, *, status: str | None, limit: int, cursor: str) -> tuple[list[Item], str | None]:
        """Return rollouts, newest first; None does not restrict. Pages as in `web.face.History`."""
        ...

    def get(self, rollout_id: str) -> Item:
        """Return one rollout."""
        ...

    def devices(self, rollout_id: str, *, state: str | None, limit: int, cursor: str) -> tuple[list[Item], str | None]:
        """Return the devices of a rollout by serial, with the fields of `web.answers_rollouts.RolloutDevice`."""
        ...

    def command(self, rollout_id: str, order: Order, by: str, address: str) -> Item:
        """Pause, resume or cancel a rollout, and return it."""
        ...

    def retry(self, rollout_id: str, serials: tuple[str, ...] | None, by: str, address: str) -> Item:
        """Offer it anew to devices on which it has not succeeded; None: to all of them."""
        ...

    def windows(self) -> list[Item]:
        """Return the maintenance windows by site: `site`, `source` (`configuration` or `api`), `open`, `windows`."""
        ...

    def put_windows(self, site: str, windows: Windows, by: str, address: str) -> Item:
        """Set the maintenance windows of a site, none for any time, and return them as `windows` does."""
        ...
