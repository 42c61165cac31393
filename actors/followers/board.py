"""What others may know of a follower; it outlives the follower's incarnations."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FollowerStatus:
    """How a follower is; replaced as a whole, so any thread may read it."""

    name: str
    ok: bool = True
    """False while the database or the sink fails."""
    since: float = 0.0
    """When `ok` last changed, seconds since 1970 UTC; 0 before the first attempt."""
    cursor: int = 0
    """Every reading of ours up to this id is in place."""
    lag: int = 0
    """Rows of the table that were not looked at when it last looked; 0 once it had caught up."""
    written: int = 0
    """Readings put in place since the process started."""
    errors: int = 0
    """Failed attempts since the process started."""
    last_error: str = ""
    """Kept after it has passed."""


class FollowerBoard:
    """Holds the status of one follower."""

    def __init__(self, name: str) -> None:
        self.status = FollowerStatus(name)

    def cursor(self) -> int:
        """Return how far the follower has come: the id of the last row that is behind it."""
        return self.status.cursor
