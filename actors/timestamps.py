"""Times as the whole of Muster writes them: RFC 3339 in UTC with milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(us: int) -> str:
    """Return microseconds since 1970, of the years 1970 to 9999, as `2026-11-21T04:16:55.000Z`."""
    moment = _EPOCH + timedelta(microseconds=us)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
