"""Reading everything, device by device in the order of their clocks, in pages that no other work has to wait for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from peewee import fn

from actors.groups.book import belongs_to
from actors.storage.administration import load_devices
from actors.storage.groups import find_group
from actors.storage.models import Device, Reading
from actors.storage.purge import TOMBSTONE
from actors.storage.queries import MOST_ROWS
from actors.storage.sql import Dialect, slices


class ExportDevice(NamedTuple):
    """A device whose readings are read."""

    id: int
    serial: str
    site: str


class ExportRow(NamedTuple):
    """One reading, as it is stored."""

    ts_us: int
    digest: bytes
    rx_us: int
    clock: str
    source: str
    channel: str
    measures: str
    health_index: float | None
    status: str | None
    anomalies: str | None


def has_analysis(database: Any) -> bool:
    """Return whether the tables are those of this version."""
    return "health_index" in {column.name for column in database.get_columns(Reading._meta.table_name)}  # noqa: SLF001  # peewee's documented place


def count_devices(database: Any) -> int:
    """Return how many devices there are."""
    return int(Device.select(fn.COUNT(Device.id)).where(~Device.serial.startswith(TOMBSTONE)).scalar(database))


def devices_called(database: Any, serials: Sequence[str]) -> list[ExportDevice]:
    """Return the devices with these serials, in the order of the serials; those that are not there are left out."""
    found: list[ExportDevice] = []
    for part in slices(sorted(set(serials))):
        query = Device.select(Device.id, Device.serial, Device.site).where(Device.serial.in_(part))
        found += [ExportDevice(*row) for row in query.tuples().execute(database)]
    return sorted(found, key=lambda device: device.serial)


def members_of(database: Any, name: str) -> list[str] | None:
    """Return the serials of the devices in a group, None for a group that there is not."""
    group = find_group(database, name)
    belongs, found, after = belongs_to(name, group), list[str](), ""
    while page := load_devices(database, after, MOST_ROWS):
        found += [device.serial for device in page if belongs(device)]
        after = page[-1].serial
    return found if found or group is not None else None


def all_devices(database: Any) -> Iterator[ExportDevice]:
    """Yield every device in the order of the serials, page by page."""
    after = ""
    while True:
        query = Device.select(Device.id, Device.serial, Device.site).where(
            (Device.serial > after) & ~Device.serial.startswith(TOMBSTONE)
        )
        page = [ExportDevice(*row) for row in query.order_by(Device.serial).limit(MOST_ROWS).tuples().execute(database)]
        yield from page
        if len(page) < MOST_ROWS:
            return
        after = page[-1].serial


def newest_time(database: Any, device_id: int, until_us: int) -> int:
    """Return the time of a device's last reading before `until_us`, 0 without one."""
    query = Reading.select(fn.COALESCE(fn.MAX(Reading.ts_us), 0))
    return int(query.where((Reading.device_id == device_id) & (Reading.ts_us < until_us)).scalar(database))


def each_page(database: Any, device_id: int, since_us: int, until_us: int) -> Iterator[list[ExportRow]]:
    """Yield the readings of a device with `since_us <= ts_us < until_us`, oldest first, each page by itself."""
    sql = Dialect(database).text(
        "SELECT ts_us, digest, rx_us, clock, source, channel, measures, health_index, status, anomalies FROM reading "
        "WHERE device_id = ? AND ts_us >= ? AND ts_us < ? AND (ts_us > ? OR digest > ?) "
        "ORDER BY ts_us, digest LIMIT ?"
    )
    start, digest = since_us, b""
    while True:
        # From where the last page ended: at its time, beyond its digest.
        parameters = (device_id, start, until_us, start, digest, MOST_ROWS)
        page = [ExportRow(*row) for row in database.execute_sql(sql, parameters).fetchall()]
        if page:
            yield page
            start, digest = page[-1].ts_us, bytes(page[-1].digest)
        if len(page) < MOST_ROWS:
            return
