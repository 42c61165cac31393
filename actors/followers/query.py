"""How far the table of readings goes; its rows are read by `actors.storage.following.FollowReadings`."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.storage.following import newest_reading_id


class FindEnd(msgspec.Struct, frozen=True):
    """The highest id in the table, asked of a reader; right where no other server writes to the database."""

    def run(self, database: Any) -> int:
        """Return it; 0 when there are no readings."""
        return newest_reading_id(database)
