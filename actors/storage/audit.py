"""Questions to the audit log."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.storage.models import AuditEntry
from actors.storage.queries import Page, page_by_id


class FindAudit(msgspec.Struct, frozen=True, kw_only=True):
    """Entries, newest first; None does not restrict, texts are compared exactly."""

    who: str | None = None
    action: str | None = None
    subject: str | None = None
    outcome: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    limit: int = 100
    after: str | None = None

    def run(self, database: Any) -> Page:
        """Return a page."""
        query = AuditEntry.select()
        for name in ("who", "action", "subject", "outcome"):
            wanted = getattr(self, name)
            if wanted is not None:
                query = query.where(getattr(AuditEntry, name) == wanted)
        if self.since_us is not None:
            query = query.where(AuditEntry.ts_us >= self.since_us)
        if self.until_us is not None:
            query = query.where(AuditEntry.ts_us < self.until_us)
        page = page_by_id(database, query, AuditEntry.id, self.after, self.limit)
        for row in page.items:
            row["details"] = msgspec.json.decode(row["details"])
        return page
