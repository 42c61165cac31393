"""Answers of the audit log."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from web.answers import Page


class AuditEntry(msgspec.Struct, kw_only=True):
    """A change that somebody made, or was refused, or that failed and may have been made all the same."""

    id: int
    ts: str
    who: str | None
    """Role and name of the token, such as `admin ops`; null for one who has shown none that is ours."""
    address: str
    action: str
    """The `operationId` of the route in the contract."""
    subject: str | None
    """What the path, or else the answer, names."""
    outcome: Literal["done", "refused", "failed"]
    status: int
    """Of the HTTP answer."""
    repeated: int
    """How often the same was refused or failed before and not written, since the last entry of it."""
    details: dict[str, Any]


AuditEntries = Page[AuditEntry]
