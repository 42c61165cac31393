"""The questions about analysed readings: their history over the whole fleet, and how each station is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from actors.storage.purge import TOMBSTONE
from actors.storage.queries import (
    Page,
    bound,
    find_device,
    parse_number_cursor,
    parse_reading_cursor,
    reading_cursor,
    to_item,
)
from actors.storage.sql import Dialect

#: Rows that one page looks at in a piece, and pieces at most, where a filter leaves rows out.
PIECE = 1_000
MOST_PIECES = 10
#: Readings of a station among which the newest analysed one is looked for.
LOOK_BACK = 100

Item = dict[str, Any]

COLUMNS: Final = (
    "id",
    "ts_us",
    "digest",
    "rx_us",
    "clock",
    "source",
    "channel",
    "measures",
    "health_index",
    "status",
    "anomalies",
)
_COLUMNS = ", ".join(f"r.{name}" for name in COLUMNS)


class FindSoilHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Readings that have a health index, newest first: of the fleet by receipt, of one device by its own clock.

    With a filter a page may hold fewer rows than `limit`, even none, and still have a cursor: it has looked at
    `PIECE * MOST_PIECES` rows, and the next page goes on behind them.
    """

    limit: int = 100
    after: str | None = None
    serial: str | None = None
    site: str | None = None
    since_us: int | None = None
    """Of one device alone, as the next two: from this time of its clock on."""
    until_us: int | None = None
    """Before this time."""
    is_odd: bool = False
    """Only readings with anomalies."""

    def run(self, database: Any) -> Page:
        """Return a page; each item has `serial` and `site` beside what `FindReadings` returns."""
        if self.serial is not None:
            device_id = find_device(database, self.serial)
            if device_id is None:
                return Page([], None)
            return self._page(
                lambda after, count: _of_device(database, device_id, after, count, self),
                wants=lambda item: item["health_index"] is not None and self.site in {None, item["site"]},
                cursor_of=lambda item: reading_cursor(item["ts_us"], bytes(item["digest"])),
            )
        return self._page(
            lambda after, count: _of_fleet(database, after, count),
            wants=lambda item: _is_there(item) and self.site in {None, item["site"]},
            cursor_of=lambda item: str(item["analysed_id"]),
        )

    def _page(
        self,
        fetch: Callable[[str | None, int], list[Item]],
        wants: Callable[[Item], bool],
        cursor_of: Callable[[Item], str],
    ) -> Page:
        """Take pieces until the page is full, the rows end, or enough was looked at."""
        limit = bound(self.limit)
        items: list[Item] = []
        after = self.after
        count = limit
        for _ in range(MOST_PIECES):
            rows = fetch(after, count)
            for row in rows:
                after = cursor_of(row)
                if wants(row):
                    items.append(_shown(row))
                if len(items) == limit:
                    return Page(items, after)
            if len(rows) < count:
                return Page(items, None)
            count = PIECE
        return Page(items, after)


class FindNewest(msgspec.Struct, frozen=True):
    """The newest analysed reading of each of these devices; of those that have none the newest of all."""

    serials: tuple[str, ...]

    def run(self, database: Any) -> list[Item]:
        """Return one item for each serial, in their order; without a reading its `id` and times are None.

        An analysed one is looked for among the last `LOOK_BACK` of a device.
        """
        return [{"serial": serial} | _newest(database, find_device(database, serial)) for serial in self.serials]


_NOTHING: Final[Item] = dict.fromkeys(COLUMNS) | {"measures": {}, "status": "", "anomalies": []}


def _newest(database: Any, device_id: int | None) -> Item:
    """Return a device's newest analysed reading, which is nearly always the newest of all; else just the newest."""
    newest: Item | None = None
    for count in (1, LOOK_BACK) if device_id is not None else ():
        assert device_id is not None
        for item in _of_device(database, device_id, None, count):
            newest = newest or item
            if item["health_index"] is not None:
                return _told(item)
    return _NOTHING if newest is None else _told(newest)


def _told(item: Item) -> Item:
    shown = _shown(item)
    return {name: shown[name] for name in COLUMNS}


def _of_device(
    database: Any, device_id: int, after: str | None, count: int, wanted: FindSoilHistory | None = None
) -> list[Item]:
    """Return a device's readings, newest first by its clock: a range of the unique index."""
    ts_us, digest = (2**63 - 1, b"\xff" * 16) if after is None else parse_reading_cursor(after)
    where = "r.device_id = ? AND r.ts_us <= ? AND (r.ts_us < ? OR r.digest < ?)"
    values: list[Any] = [device_id, ts_us, ts_us, digest]
    if wanted is not None and wanted.since_us is not None:
        where += " AND r.ts_us >= ?"
        values.append(wanted.since_us)
    if wanted is not None and wanted.until_us is not None:
        where += " AND r.ts_us < ?"
        values.append(wanted.until_us)
    if wanted is not None and wanted.is_odd:
        where += " AND r.anomalies <> ''"
    sql = (
        f"SELECT d.serial, d.site, {_COLUMNS} FROM reading r JOIN device d ON d.id = r.device_id "  # noqa: S608  # constants
        f"WHERE {where} ORDER BY r.ts_us DESC, r.digest DESC LIMIT ?"
    )
    rows = _fetch(database, sql, (*values, count))
    return [_named(("serial", "site", *COLUMNS), row) for row in rows]


def _of_fleet(database: Any, after: str | None, count: int) -> list[Item]:
    """Return analysed readings, newest first by their ids; those that were deleted meanwhile have no columns."""
    before = 2**63 - 1 if after is None else parse_number_cursor(after)
    sql = (
        f"SELECT a.reading_id, d.serial, d.site, {_COLUMNS} "  # noqa: S608  # constants
        "FROM (SELECT reading_id FROM analysed WHERE reading_id < ? ORDER BY reading_id DESC LIMIT ?) a "
        "LEFT JOIN reading r ON r.id = a.reading_id LEFT JOIN device d ON d.id = r.device_id "
        "ORDER BY a.reading_id DESC"
    )
    rows = _fetch(database, sql, (before, count))
    return [_named(("analysed_id", "serial", "site", *COLUMNS), row) for row in rows]


def _is_there(item: Item) -> bool:
    return item["id"] is not None and item["serial"] is not None and not item["serial"].startswith(TOMBSTONE)


def _fetch(database: Any, sql: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    return list(database.execute_sql(Dialect(database).text(sql), parameters).fetchall())


def _named(names: tuple[str, ...], row: tuple[Any, ...]) -> Item:
    return dict(zip(names, row, strict=True))


def _shown(item: Item) -> Item:
    item.pop("analysed_id", None)
    return to_item(item)
