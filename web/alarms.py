"""Alarms as the HTTP face sees them: part of `web.face`, in a module of its own for its length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

from actors.alarms.rules import Rule

if TYPE_CHECKING:
    from web.face import Item

State = Literal["open", "cleared"]


class AlarmRefusedError(Exception):
    """What was asked of an alarm or a rule was refused; whoever asked is told why."""

    def __init__(self, status: int, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        """Assign.

        Args:
            status: the HTTP status: 400, 404 or 409.
            code: one word for programs: `bad_field`, `not_found`, `conflict`, `full`.
            message: one sentence for people.
            details: what it is about: `id`, `name` or `field`.

        """
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})


class Alarms(Protocol):
    """What is wrong, or was, and the rules of it.

    An alarm has the fields of `actors.alarms.sentences.describe` and `members`; a rule those of
    `actors.alarms.rules.Rule`, and `origin`, `changed_us` and `changed_by`.
    """

    def items(
        self,
        *,
        limit: int,
        cursor: str,
        state: State | None,
        rule: str | None,
        severity: str | None,
        serial: str | None,
        site: str | None,
    ) -> tuple[list[Item], str | None]:
        """Return alarms, newest first; None does not restrict. Cursors as in `History`."""
        ...

    def find(self, alarm_id: int) -> Item | None:
        """Return an alarm with its `notices`, None when there is none of this id."""
        ...

    def acknowledge(self, alarm_id: int, by: str, address: str) -> Item:
        """Say no more of an alarm, and return it.

        Args:
            alarm_id: which one.
            by: who says so, for the record.
            address: from where.

        Raises:
            AlarmRefusedError: 404 for an unknown one, 409 for one that is over.

        """
        ...

    def silence(self, alarm_id: int, until_us: int, by: str, address: str) -> Item:
        """Say nothing of an alarm until then, and return it; a time that has passed ends a silence. Raises as above."""
        ...

    def rules(self) -> list[Item]:
        """Return all rules by name."""
        ...

    def make_rule(self, rule: Rule, by: str, address: str) -> Item:
        """Make a rule and return it. Raises `AlarmRefusedError`: 400 for an unknown channel, 409 where it exists."""
        ...

    def change_rule(self, name: str, changes: Item, by: str, address: str) -> Item:
        """Change fields of a rule, None to their default, and return it.

        Raises:
            AlarmRefusedError: 400 for what is no rule then, 404 for an unknown one, 409 for one of the configuration.

        """
        ...

    def drop_rule(self, name: str, by: str, address: str) -> None:
        """Delete a rule; one of Muster's own that was changed is again as it was. Raises as `change_rule`."""
        ...
