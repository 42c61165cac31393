"""Maintenance windows: when the devices of a site may be updated, in the site's own time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TIME: Final = r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z"

TimeOfDay = Annotated[str, msgspec.Meta(pattern=TIME)]


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A time of the day on some days; one that ends before it begins goes on after midnight."""

    days: Annotated[tuple[Day, ...], msgspec.Meta(min_length=1, max_length=7)] = DAYS
    """On which it begins."""
    begin: TimeOfDay
    """`22:00`."""
    end: TimeOfDay
    """`04:30`; the same as `begin` means a whole day."""
    timezone: Annotated[str, msgspec.Meta(max_length=64)] = "UTC"
    """Name in the IANA database, `Europe/Rome`."""

    def __post_init__(self) -> None:
        """Refuse a time zone that this machine does not know."""
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"`timezone` {self.timezone!r} is not known") from None

    def is_open(self, moment: datetime) -> bool:
        """Return whether a moment lies in it: from its first minute up to, but not including, its last."""
        local = moment.astimezone(ZoneInfo(self.timezone))
        minute = local.hour * 60 + local.minute
        begin, end = _minutes(self.begin), _minutes(self.end)
        if begin < end:
            return self._begins_on(local) and begin <= minute < end
        if minute >= begin:
            return self._begins_on(local)
        return minute < end and self._begins_on(local - timedelta(days=1))

    def _begins_on(self, local: datetime) -> bool:
        return DAYS[local.weekday()] in self.days


def is_open(windows: Sequence[Window], now: float) -> bool:
    """Return whether one of the windows is open; without any, it always is.

    Args:
        windows: of a site.
        now: seconds since 1970.

    """
    moment = datetime.fromtimestamp(now, UTC)
    return not windows or any(window.is_open(moment) for window in windows)


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)
