"""Commands as the HTTP face sees them: part of `web.face`, in a module of its own for its length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from actors.targets import Target

if TYPE_CHECKING:
    from web.face import Item


class CommandRefusedError(Exception):
    """A command was not taken, or not cancelled; whoever asked is told why."""

    def __init__(self, status: int, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        """Assign.

        Args:
            status: the HTTP status: 404, 409 or 413.
            code: one word for programs: `not_found`, `finished`, `too_many`, `too_large`.
            message: one sentence for people.
            details: `device`, `group` or `id`, where one is meant.

        """
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})


class Commands(Protocol):
    """What operators ask of devices, and what becomes of it.

    A row has `id`, `device`, `name`, `args` (an object), `state` (of `actors.commands.messages.STATES`), `result`
    (any JSON, None without one), `reason` (empty without one), `batch` (empty without one), `by`, and the times
    `created_us`, `deadline_us`, `changed_us`, `sent_us` and `accepted_us`, of which the last two may be None. Every
    method may raise `CommandRefusedError`.
    """

    def issue(self, serial: str, *, name: str, args: Item, timeout: float, by: str, address: str) -> Item:
        """Keep a command for a device, to be sent when it is there; return its `id`.

        Args:
            serial: of the device.
            name: what it is to do.
            args: what it needs to know for that.
            timeout: seconds until nobody wants it any more.
            by: who asks.
            address: from where.

        """
        ...

    def issue_many(self, target: Target, *, name: str, args: Item, timeout: float, by: str, address: str) -> Item:
        """Keep the same command for each device of a target.

        Returns `id`, that of all of them, and `commands`, a list of `device` and `id`.
        """
        ...

    def get(self, command_id: str) -> Item | None:
        """Return one row, None when there is none of this id."""
        ...

    def find(
        self, *, serial: str | None, batch: str | None, state: str | None, limit: int, cursor: str
    ) -> tuple[list[Item], str | None]:
        """Return rows, newest first; None does not restrict. Pages as in `web.face.History`."""
        ...

    def cancel(self, command_id: str, by: str, address: str) -> Item:
        """End a command that is not over, and return its row."""
        ...
