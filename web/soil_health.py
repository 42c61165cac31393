"""Soil stations as the HTTP face sees them: part of `web.face`, in a module of its own for its length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from web.face import Item

WITHOUT_INDEX: Final = "none"
"""The status of stations that have no index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StationFilter:
    """Which stations are wanted; None does not restrict."""

    q: str | None = None
    """A part of serial, label or site, whatever the case."""
    site: str | None = None
    status: str | None = None
    """The index in a word, or `WITHOUT_INDEX`."""
    serials: tuple[str, ...] = ()
    """These and no others, in this order; the rest does not count then."""


class TimeOf(NamedTuple):
    """`since_us <= ts < until_us`, microseconds since 1970; None does not restrict."""

    since_us: int | None = None
    until_us: int | None = None


class SoilHealth(Protocol):
    """Readings of soil stations: handed in over HTTP, and what their analysis says. Cursors as in `History`."""

    def analyze(self, body: bytes, *, idempotency_key: str, serial: str | None) -> Item:
        """Take a reading as if it had come by MQTT; return its analysis after the commit.

        Args:
            body: the JSON as it was sent.
            idempotency_key: a second request with this key is the same reading; empty without one.
            serial: the only publisher that the caller may speak for, and of a body that names none; None for any.

        Returns:
            at least the fields of `web.answers_readings.SoilAnalysis`.

        Raises:
            actors.payloads.RefusedError: with `unbound` for a publisher that is not `serial`, `too_large`, or any other
                reason; the field at fault stands in backticks in its detail.

        """
        ...

    def history(
        self, *, limit: int, cursor: str, serial: str | None, site: str | None, of: TimeOf, is_odd: bool
    ) -> tuple[list[Item], str | None]:
        """Return analysed readings of the whole fleet, newest first: as in `History`, with `serial` and `site`.

        `of` and `is_odd`, only those with anomalies, are asked of one device alone.
        """
        ...

    def indexes(
        self, serial: str, *, bucket_us: int, of: TimeOf, limit: int, cursor: str
    ) -> tuple[list[Item], str | None]:
        """Return the index of a station in intervals, as `History.buckets` does."""
        ...

    def stations(self, wanted: StationFilter, *, limit: int, cursor: str) -> tuple[list[Item], str | None]:
        """Return the devices of kind `sensor` that are wanted, by serial, with their newest analysed reading.

        An item: `serial`, `ts_us`, `rx_us`, `health_index`, `status`, `anomalies`, `measures`, and where the analyser
        explains them `contributions`, `recommendations`, `forecast` and `crop`. Who has no analysed reading is told
        with the newest of all, without a reading the times are None. Where a station stands and whether it is present
        the fleet knows.
        """
        ...

    def statistics(self) -> Item:
        """Return the fields of `web.answers_readings.SoilStatistics`, counted since this process started."""
        ...
