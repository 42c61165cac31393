"""Following the table: every row once, in order, on every database."""

from __future__ import annotations

from actors.messages import DeleteDevice
from actors.storage.following import FollowReadings, newest_reading_id
from tests.storage.build import NOON, analysed, device, reading, station


def follow(readers, limit, until=None):
    found, after = [], 0
    while True:
        page = readers.ask(FollowReadings(after, limit, until))
        found += page.rows
        if page.looked_at == after:
            return found, after
        after = page.looked_at


def test_every_row_comes_once_in_the_order_of_the_ids(store, readers):
    store.commit([station(), device("B"), *(reading("B", at=9 - at) for at in range(5)), analysed(anomalies="[1]")])
    store.commit([reading("B", at=at) for at in range(20, 30)])
    rows, looked_at = follow(readers, 4)
    assert [row.id for row in rows] == list(range(1, 17))
    assert looked_at == 16


def test_a_row_tells_all_that_is_known(store, readers):
    store.commit([station(), analysed(at=3, clock="ntp", anomalies="[1]"), reading("soil-1", body="{}")])
    first, second = readers.ask(FollowReadings(0)).rows
    assert (first.serial, first.kind, first.family, first.site) == ("soil-1", "sensor", "sensor", "farm")
    assert (first.ts_us, first.rx_us, first.clock, first.source, first.channel) == (
        NOON + 3,
        NOON,
        "ntp",
        "mqtt",
        "data",
    )
    assert (first.health_index, first.status, first.anomalies) == (81.5, "Excellent", "[1]")
    assert (second.measures, second.health_index, second.status, second.anomalies) == ("{}", None, "", "")


def test_rows_of_deleted_devices_are_passed_over_and_looked_at(store, readers):
    store.commit([device("A"), device("B"), reading("A"), *(reading("B", at=at) for at in range(5))])
    store.commit([DeleteDevice("B")])
    page = readers.ask(FollowReadings(0, 3))
    assert ([row.serial for row in page.rows], page.looked_at) == (["A"], 3)
    page = readers.ask(FollowReadings(3, 10))
    assert (page.rows, page.looked_at) == ([], 6)


def test_nothing_behind_the_bound_is_looked_at(store, readers):
    store.commit([device("A"), *(reading("A", at=at) for at in range(10))])
    assert store.run(newest_reading_id) == 10
    rows, looked_at = follow(readers, 3, until=7)
    assert (len(rows), looked_at) == (7, 7)
    assert readers.ask(FollowReadings(7, 10, 7)).rows == []


def test_an_empty_table_is_looked_at_from_the_beginning(store, readers):
    assert store.run(newest_reading_id) == 0
    assert readers.ask(FollowReadings(0)).looked_at == 0
