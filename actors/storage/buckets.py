"""A measure over time: average, minimum and maximum of each interval, computed by the database.

Buckets begin at multiples of their size since 1970 UTC. A bucket is always whole: a range that begins or ends within
one takes all of it. Buckets of whole hours or days come from the roll-ups (`actors.storage.rollups`), joined by the
rows that are not in them yet; all others, and what is older than the roll-ups are kept, from the raw readings.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from peewee import MySQLDatabase, PostgresqlDatabase

from actors.storage.models import RollupDay, RollupHour, Setting, Table
from actors.storage.queries import Page, bound, find_device, parse_number_cursor
from actors.storage.rollups import DAY_US, HOUR_US, LARGEST, ROLLUP, horizon_key, read_cursor
from actors.storage.sql import Dialect

#: Rows of all devices behind the roll-ups; with more of them it is cheaper to look through those of the one device.
MOST_FRESH: Final = 50_000

Sums = dict[int, tuple[int, float, float, float]]
"""Start of a bucket to n, minimum, maximum, sum."""


class FindBuckets(msgspec.Struct, frozen=True, kw_only=True):
    """One measure of one device in buckets that touch `since_us <= ts_us < until_us`, newest first.

    A page spans at most `limit` buckets of time; those without a reading are absent.
    """

    serial: str
    metric: str | None
    """None stands for the health index, which has no roll-ups."""
    bucket_us: int
    since_us: int | None = None
    until_us: int | None = None
    limit: int = 1000
    after: str | None = None
    follower: str = ROLLUP
    """The cursor of the roll-ups of the server that looks after the device."""

    def run(self, database: Any) -> Page:
        """Return a page of `{"ts_us", "n", "avg", "min", "max"}`; `ts_us` is where the bucket begins.

        Raises:
            ValueError: the bucket has no size.

        """
        size = self.bucket_us
        if size < 1:
            raise ValueError(f"a bucket of {size} microseconds")
        device_id = find_device(database, self.serial)
        if device_id is None:
            return Page([], None)
        series = _Series(database, device_id, self.metric, size, self.follower)
        until = self.until_us if self.after is None else parse_number_cursor(self.after)
        newest = series.newest_before(None if until is None else _ceil(until, size))
        if newest is None or (self.since_us is not None and newest < _floor(self.since_us, size)):
            return Page([], None)
        end = _floor(newest, size) + size
        first = end - bound(self.limit) * size
        start = first if self.since_us is None else max(first, _floor(self.since_us, size))
        sums = series.sum_up(start, end)
        items = [_item(ts_us, *sums[ts_us]) for ts_us in sorted(sums, reverse=True)]
        older = series.newest_before(start) if self.since_us is None or start > self.since_us else None
        is_last = older is None or (self.since_us is not None and older < _floor(self.since_us, size))
        return Page(items, None if is_last else str(start))


def _item(ts_us: int, n: int, low: float, high: float, total: float) -> dict[str, Any]:
    # Rounding in the sum must not put the average outside of what was measured.
    return {"ts_us": ts_us, "n": n, "avg": min(max(total / n, low), high), "min": low, "max": high}


class _Series:
    """One measure of one device in buckets of one size."""

    def __init__(self, database: Any, device_id: int, metric: str | None, size: int, follower: str) -> None:
        self._database = database
        self._dialect = Dialect(database)
        self._device_id = device_id
        self._metric = metric
        self._size = size
        self._table: type[Table] | None = None
        if size % DAY_US == 0:
            self._table = RollupDay
        elif size % HOUR_US == 0:
            self._table = RollupHour
        cursor = read_cursor(database, follower)
        self._rolled = cursor.of_device(device_id)
        ((newest,),) = self._fetch("SELECT COALESCE(MAX(id), 0) FROM reading", ())
        if self._rolled == 0 or metric is None:
            self._table = None
        # The sum with 0 keeps the planners from the index that holds all readings of the device.
        self._plain = " + 0" if newest - self._rolled <= MOST_FRESH else ""

    def newest_before(self, until_us: int | None) -> int | None:
        """Return the time of the newest reading before `until_us`, or of the newest roll-up; None without any."""
        end = 2**63 - 1 if until_us is None else until_us
        found = self._fetch("SELECT MAX(ts_us) FROM reading WHERE device_id = ? AND ts_us < ?", (self._device_id, end))
        if self._table is not None:
            sql = f"SELECT MAX(start_us) FROM {self._name()} WHERE device_id = ? AND metric = ? AND start_us < ?"  # noqa: S608  # ours
            found += self._fetch(sql, (self._device_id, self._metric, end))
        return max((row[0] for row in found if row[0] is not None), default=None)

    def sum_up(self, start: int, end: int) -> Sums:
        """Return the sums of the buckets from `start` to before `end`, both where buckets begin."""
        if self._table is None:
            return self._from_readings(start, end, 0)
        kept = min(max(_ceil(self._kept_since(), self._size), start), end)
        sums = self._from_readings(start, kept, 0) if start < kept else {}
        if kept < end:
            _add(sums, self._from_rollups(kept, end))
            _add(sums, self._from_readings(kept, end, self._rolled))
        return sums

    def _kept_since(self) -> int:
        """Return since when the roll-ups are complete: what was older has been deleted."""
        assert self._table is not None
        value = Setting.select(Setting.value).where(Setting.key == horizon_key(self._table)).scalar(self._database)
        return 0 if value is None else int(value)

    def _from_rollups(self, start: int, end: int) -> Sums:
        q = self._dialect.quote
        sql = (
            f"SELECT start_us - start_us % {self._size} AS bucket, SUM({q('n')}), MIN({q('min')}), MAX({q('max')}), "  # noqa: S608  # ours
            f"SUM({q('sum')}) FROM {self._name()} "
            "WHERE device_id = ? AND metric = ? AND start_us >= ? AND start_us < ? GROUP BY bucket"
        )
        return self._sums(sql, (self._device_id, self._metric, start, end))

    def _from_readings(self, start: int, end: int, after_id: int) -> Sums:
        """Sum up the readings with a higher id than `after_id`."""
        number = INDEX if self._metric is None else number_of(self._database, self._metric)
        plain = self._plain if after_id else ""
        where = f"r.id > ? AND r.device_id{plain} = ? AND r.ts_us{plain} >= ? AND r.ts_us{plain} < ?"
        sql = (
            f"SELECT bucket, COUNT(v), MIN(v), MAX(v), SUM(v) FROM (SELECT r.ts_us - r.ts_us % {self._size} AS bucket, "  # noqa: S608  # ours
            f"{number.expression} AS v FROM reading r{number.join} WHERE {where}{number.where}) numbers "
            f"WHERE v >= -{LARGEST} AND v <= {LARGEST} GROUP BY bucket"
        )
        return self._sums(sql, (*number.before, after_id, self._device_id, start, end, *number.after))

    def _sums(self, sql: str, parameters: Sequence[Any]) -> Sums:
        rows = self._fetch(sql, parameters)
        return {int(ts): (int(n), float(low), float(high), float(total)) for ts, n, low, high, total in rows}

    def _fetch(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        return list(self._database.execute_sql(self._dialect.text(sql), parameters).fetchall())

    def _name(self) -> str:
        assert self._table is not None
        return self._dialect.table(self._table)


class Number(NamedTuple):
    """How a database takes a number out of the JSON in `r.measures`."""

    expression: str
    before: tuple[Any, ...] = ()
    """The parameters of `expression`."""
    join: str = ""
    where: str = ""
    after: tuple[Any, ...] = ()
    """The parameters of `where`."""


INDEX: Final = Number("r.health_index")


def number_of(database: Any, metric: str) -> Number:
    """Return how to take the number called `metric`, whatever characters are in the name; NULL where there is none."""
    if isinstance(database, PostgresqlDatabase):
        return Number("CAST(CAST(r.measures AS json) ->> CAST(? AS text) AS double precision)", (metric,))
    if isinstance(database, MySQLDatabase):
        path = f"$.{json.dumps(metric, ensure_ascii=False)}"
        return Number("JSON_EXTRACT(r.measures, ?) + 0e0", (path,))
    if '"' in metric or "\\" in metric or not metric.isprintable():
        # SQLite compares a path with the text as it is spelled there; its table of an object's members needs no path.
        return Number("j.value", join=", json_each(r.measures) j", where=" AND j.key = ?", after=(metric,))
    return Number("json_extract(r.measures, ?)", (f'$."{metric}"',))


def _add(sums: Sums, others: Sums) -> None:
    for ts_us, (n, low, high, total) in others.items():
        old = sums.get(ts_us)
        sums[ts_us] = (
            (n, low, high, total) if old is None else (old[0] + n, min(old[1], low), max(old[2], high), old[3] + total)
        )


def _floor(ts_us: int, size: int) -> int:
    return ts_us - ts_us % size


def _ceil(ts_us: int, size: int) -> int:
    return ts_us + -ts_us % size
