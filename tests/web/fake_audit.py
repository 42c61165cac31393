"""An audit log in memory."""

from __future__ import annotations


class FakeAudit:
    def __init__(self):
        self.rows = []
        self.asked = None

    def record(self, **deed):
        self.rows.append(deed)

    def find(self, *, limit, cursor, **filters):
        self.asked = filters
        if cursor and not cursor.isdigit():
            raise ValueError(cursor)
        fixed = {"id": 1, "ts_us": 1_700_000_000_000_000, "repeated": 0}
        rows = [
            fixed | row | {"outcome": ("done", "refused", "failed")[max(0, row["status"] // 100 - 3)]}
            for row in reversed(self.rows)
        ]
        return rows[:limit], None
