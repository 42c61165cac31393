"""Following the table: every stored reading in the order of its row, page by page, with a cursor of the reader's own.

A follower is consistent with the table after any crash, since its cursor tells how far it has come. It must not look
beyond the rows that its own server has committed: where several servers share a database, a row of another may be seen
before one with a lower id, whose transaction is still open. `newest_reading_id`, run by the writer between two
transactions (`Execute(newest_reading_id)`), is the id up to which that cannot happen for the writer's own rows.
"""

from __future__ import annotations

from typing import Any

import msgspec
from peewee import fn

from actors.storage.models import Reading
from actors.storage.purge import TOMBSTONE
from actors.storage.queries import bound
from actors.storage.sql import Dialect


class FollowedReading(msgspec.Struct, frozen=True, gc=False):
    """One row, with what is known of its device."""

    id: int
    device_id: int
    serial: str
    kind: str
    family: str
    site: str
    ts_us: int
    rx_us: int
    clock: str
    source: str
    channel: str
    measures: str
    """JSON object, measure to finite number."""
    health_index: float | None
    status: str
    """Empty without an analysis."""
    anomalies: str
    """JSON array, or empty."""


class Followed(msgspec.Struct, frozen=True):
    """A page of the table."""

    rows: list[FollowedReading]
    """In the order of their ids, without those of devices that were deleted."""
    looked_at: int
    """Go on after this id: the highest that was looked at."""


class FollowReadings(msgspec.Struct, frozen=True):
    """The readings that follow `after_id`."""

    after_id: int
    limit: int = 1000
    until_id: int | None = None
    """The last id to look at, see the module; None where no other server writes to this database."""

    def run(self, database: Any) -> Followed:
        """Return a page."""
        limit = bound(self.limit)
        until = 2**63 - 1 if self.until_id is None else self.until_id
        found = database.execute_sql(Dialect(database).text(_SQL), (self.after_id, until, limit)).fetchall()
        rows = [FollowedReading(*row) for row in found if row[2] is not None and not row[2].startswith(TOMBSTONE)]
        if len(found) < limit and self.until_id is not None:
            return Followed(rows, max(self.after_id, self.until_id))
        return Followed(rows, found[-1][0] if found else self.after_id)


_SQL = (
    "SELECT r.id, r.device_id, d.serial, d.kind, d.family, d.site, r.ts_us, r.rx_us, r.clock, r.source, r.channel, "
    "r.measures, r.health_index, COALESCE(r.status, ''), COALESCE(r.anomalies, '') "
    "FROM reading r LEFT JOIN device d ON d.id = r.device_id WHERE r.id > ? AND r.id <= ? ORDER BY r.id LIMIT ?"
)


def newest_reading_id(database: Any) -> int:
    """Return the highest id of a reading, 0 without any; the writer runs it, see the module."""
    return int(Reading.select(fn.COALESCE(fn.MAX(Reading.id), 0)).scalar(database))
