"""The audit log as the HTTP face sees it: part of `web.face`, in a module of its own for its length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from web.face import Item


class Audit(Protocol):
    """The record of every change."""

    def record(
        self, *, who: str, address: str, action: str, subject: str, status: int, details: Mapping[str, Any]
    ) -> None:
        """Note a change, or with a status of 400 and more its refusal, of 500 its failure; never waits, never fails."""
        ...

    def find(
        self,
        *,
        who: str | None,
        action: str | None,
        subject: str | None,
        outcome: str | None,
        since_us: int | None,
        until_us: int | None,
        limit: int,
        cursor: str,
    ) -> tuple[list[Item], str | None]:
        """Return entries, newest first, `since_us <= ts < until_us`; None does not restrict.

        An item: `id`, `ts_us`, `who`, `address`, `action`, `subject`, `outcome`, `status`, `repeated` and `details`. A
        cursor that is not ours raises ValueError.
        """
        ...
