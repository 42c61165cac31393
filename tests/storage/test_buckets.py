"""Buckets: what the database computes is what one would compute by hand, from whichever table it comes."""

from __future__ import annotations

import random

import msgspec
import pytest

from actors.messages import DeleteDevice
from actors.storage import buckets as module
from actors.storage.buckets import FindBuckets
from actors.storage.database import migrate, open_database
from actors.storage.models import RollupHour
from actors.storage.queries import BadCursor
from actors.storage.rollups import DAY_US, HOUR_US, ROLLUP, Cursor, Sum, advance, horizon_key, read_cursor, save_setting
from tests.storage.build import NOON, analysed, ask_all, device, reading, station
from tests.storage.test_reader import NAMES

MINUTE = 60_000_000


def values(count, seed=1, span=3 * DAY_US):
    chance = random.Random(seed)
    return [(chance.randrange(span), round(chance.uniform(-20, 40), 2)) for _ in range(count)]


def readings(pairs, serial="A1", name="t"):
    return [reading(serial, at, msgspec.json.encode({"other": 1, name: value}).decode()) for at, value in pairs]


def expected(pairs, size, since=None, until=None):
    """The buckets that touch the range, newest first."""
    found = {}
    for at, value in pairs:
        start = (NOON + at) - (NOON + at) % size
        if (since is None or start + size > since) and (until is None or start < until):
            found.setdefault(start, []).append(value)
    return [
        {"ts_us": start, "n": len(v), "avg": pytest.approx(sum(v) / len(v)), "min": min(v), "max": max(v)}
        for start, v in sorted(found.items(), reverse=True)
    ]


def roll_up(store, until, after=0, devices=None):
    """Add the readings up to an id to the roll-ups."""
    total = Sum()
    sql = f"SELECT device_id, ts_us, measures FROM reading WHERE id > {after} AND id <= {until}"
    for device_id, ts_us, measures in store.run(lambda db: db.execute_sql(sql).fetchall()):
        total.add(device_id, ts_us, msgspec.json.decode(measures))
    store.run(lambda db: advance(db, ROLLUP, read_cursor(db, ROLLUP), Cursor(until), total.devices))


@pytest.mark.parametrize("size", [7 * MINUTE, HOUR_US])
def test_the_index_has_buckets_of_its_own_that_need_no_roll_ups(store, readers, size):
    store.commit(
        [station(), *(analysed(at=at * MINUTE, index=float(at)) for at in range(90)), analysed(at=1, index=None)]
    )
    roll_up(store, 60)
    (*_, oldest) = ask_all(readers, FindBuckets(serial="soil-1", metric=None, bucket_us=size))
    first = [at for at in range(90) if (NOON + at * MINUTE) // size == NOON // size]
    assert oldest["n"] == len(first)
    assert (oldest["avg"], oldest["max"]) == (pytest.approx(sum(first) / len(first)), max(first))


@pytest.mark.parametrize("size", [7 * MINUTE, HOUR_US, 6 * HOUR_US, 2 * DAY_US])
@pytest.mark.parametrize("rolled", [0, 150, 300])
def test_buckets_are_right_whether_all_some_or_nothing_is_rolled_up(store, readers, size, rolled):
    pairs = values(300)
    store.commit([device(), device("other"), *readings(pairs), *readings(values(20, 9), "other")])
    if rolled:
        roll_up(store, rolled)
    assert ask_all(readers, FindBuckets(serial="A1", metric="t", bucket_us=size)) == expected(pairs, size)
    since, until = NOON + 11 * HOUR_US + 5 * MINUTE, NOON + 50 * HOUR_US + 1
    query = FindBuckets(serial="A1", metric="t", bucket_us=size, since_us=since, until_us=until, limit=3)
    assert ask_all(readers, query) == expected(pairs, size, since, until)


def test_hours_come_from_the_roll_up_and_what_is_newer_from_the_readings(store, readers, look):
    store.commit([device(), *readings([(at * MINUTE, float(at)) for at in range(60)])])
    roll_up(store, 60)
    look.run("DELETE FROM reading WHERE id < 60")
    store.commit(readings([(at * MINUTE, 100.0) for at in range(5)]))
    (found,) = readers.ask(FindBuckets(serial="A1", metric="t", bucket_us=HOUR_US)).items
    assert (found["n"], found["min"], found["max"]) == (65, 0.0, 100.0)


@pytest.mark.parametrize("most", [0, 10**9])
def test_it_does_not_matter_how_far_the_roll_ups_lag_behind(store, readers, monkeypatch, most):
    monkeypatch.setattr(module, "MOST_FRESH", most)
    pairs = values(100)
    store.commit([device(), *readings(pairs)])
    roll_up(store, 40)
    assert ask_all(readers, FindBuckets(serial="A1", metric="t", bucket_us=HOUR_US)) == expected(pairs, HOUR_US)


def test_in_the_middle_of_a_round_each_device_is_as_far_as_it_is(store, readers):
    pairs = {serial: values(40, seed) for seed, serial in enumerate(("a", "b", "c"))}
    store.commit([device(serial) for serial in pairs])
    store.commit([row for serial, of in pairs.items() for row in readings(of, serial)])
    roll_up(store, 30)
    total = Sum()
    sql = "SELECT device_id, ts_us, measures FROM reading WHERE id > 30 AND device_id < 3"
    for device_id, ts_us, measures in store.run(lambda db: db.execute_sql(sql).fetchall()):
        total.add(device_id, ts_us, msgspec.json.decode(measures))
    store.run(lambda db: advance(db, ROLLUP, Cursor(30), Cursor(30, 120, 2), total.devices))
    for serial, of in pairs.items():
        assert ask_all(readers, FindBuckets(serial=serial, metric="t", bucket_us=HOUR_US)) == expected(of, HOUR_US)


def test_where_the_roll_ups_have_been_deleted_the_readings_answer(store, readers, look):
    pairs = values(100)
    store.commit([device(), *readings(pairs)])
    roll_up(store, 100)
    horizon = NOON + DAY_US - NOON % DAY_US + DAY_US
    look.run(f"DELETE FROM rollup_hour WHERE start_us < {horizon}")
    store.run(lambda db: save_setting(db, horizon_key(RollupHour), str(horizon)))
    late = [(-40 * DAY_US, 3.0)]
    store.commit(readings(late))
    roll_up(store, 101, after=100)
    assert ask_all(readers, FindBuckets(serial="A1", metric="t", bucket_us=HOUR_US)) == expected(pairs + late, HOUR_US)


def test_where_the_readings_have_been_deleted_the_roll_ups_answer(store, readers, look):
    pairs = values(100)
    store.commit([device(), *readings(pairs)])
    roll_up(store, 100)
    look.run("DELETE FROM reading WHERE id < 100")
    assert ask_all(readers, FindBuckets(serial="A1", metric="t", bucket_us=DAY_US)) == expected(pairs, DAY_US)


def test_gaps_are_passed_over_however_long_they_are(store, readers):
    pairs = [(0, 1.0), (400 * DAY_US, 2.0), (401 * DAY_US, 3.0)]
    store.commit([device(), *readings(pairs)])
    query = FindBuckets(serial="A1", metric="t", bucket_us=MINUTE, limit=10)
    pages = []
    while True:
        page = readers.ask(query)
        pages.append([item["avg"] for item in page.items])
        if page.cursor is None:
            break
        query = msgspec.structs.replace(query, after=page.cursor)
    assert pages == [[3.0], [2.0], [1.0]]


def test_a_page_has_at_most_a_thousand_buckets(store, readers):
    pairs = [(at * MINUTE, 1.0) for at in range(1100)]
    store.commit([device(), *readings(pairs)])
    page = readers.ask(FindBuckets(serial="A1", metric="t", bucket_us=MINUTE, limit=10**9))
    assert len(page.items) == 1000
    assert len(ask_all(readers, FindBuckets(serial="A1", metric="t", bucket_us=MINUTE))) == 1100


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_number_is_found(store, readers, name):
    others = {"soil": 1, "temperature": 2, "when": 3, "x": 4, "SOIL.TEMPERATURE": 5, "GRÜN": 6}
    bodies = [msgspec.json.encode(others | ({name: at} if at % 2 else {})).decode() for at in range(10)]
    store.commit([device(), *(reading(at=at, body=body) for at, body in enumerate(bodies))])
    for rolled in (False, True):
        if rolled:
            roll_up(store, 10)
        (found,) = readers.ask(FindBuckets(serial="A1", metric=name, bucket_us=HOUR_US)).items
        assert (found["n"], found["min"], found["max"], found["avg"]) == (5, 1.0, 9.0, 5.0)
    assert readers.ask(FindBuckets(serial="A1", metric=f"{name}?", bucket_us=MINUTE)).items == []


def test_numbers_of_every_spelling_are_numbers(store, readers):
    bodies = ['{"t":1}', '{"t":1.0}', '{"t":-2.5e-3}', '{"t":9007199254740993}', '{"t":1e250}', '{"u":5}']
    store.commit([device(), *(reading(at=at, body=body) for at, body in enumerate(bodies))])
    (found,) = readers.ask(FindBuckets(serial="A1", metric="t", bucket_us=MINUTE)).items
    assert (found["n"], found["min"], found["max"]) == (5, -0.0025, 1e250)


def test_numbers_that_no_sum_can_hold_are_left_out(store, readers):
    bodies = ['{"t":1}', '{"t":1.7e308}', '{"t":-1.7e308}', '{"t":1.7e308}']
    store.commit([device(), *(reading(at=at, body=body) for at, body in enumerate(bodies))])
    (found,) = readers.ask(FindBuckets(serial="A1", metric="t", bucket_us=MINUTE)).items
    assert (found["n"], found["avg"]) == (1, 1.0)


def test_an_average_lies_between_the_extremes(store, readers):
    store.commit([device(), *readings([(at, 0.1) for at in range(10)])])
    (found,) = readers.ask(FindBuckets(serial="A1", metric="t", bucket_us=MINUTE)).items
    assert found["min"] <= found["avg"] <= found["max"]


def test_what_is_not_there_has_no_buckets(store, readers):
    store.commit([device(), device("gone"), *readings([(0, 1.0)]), *readings([(0, 1.0)], "gone")])
    store.commit([DeleteDevice("gone")])
    for query in (
        FindBuckets(serial="nobody", metric="t", bucket_us=MINUTE),
        FindBuckets(serial="gone", metric="t", bucket_us=MINUTE),
        FindBuckets(serial="A1", metric="t", bucket_us=MINUTE, since_us=NOON + 5 * MINUTE),
        FindBuckets(serial="A1", metric="t", bucket_us=MINUTE, until_us=NOON - 5 * MINUTE),
    ):
        page = readers.ask(query)
        assert (page.items, page.cursor) == ([], None)


def test_a_bucket_without_a_size_and_a_cursor_that_no_page_gave_are_refused(store, readers):
    store.commit([device(), *readings([(0, 1.0)])])
    with pytest.raises(ValueError, match="bucket"):
        readers.ask(FindBuckets(serial="A1", metric="t", bucket_us=0))
    with pytest.raises(BadCursor):
        readers.ask(FindBuckets(serial="A1", metric="t", bucket_us=MINUTE, after="x"))


def test_sqlite_answers_from_indexes(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/a.db")
    database.connect()
    migrate(database)
    series = module._Series(database, 1, "t", HOUR_US, ROLLUP)
    asked = []
    execute = database.execute_sql

    def explain(sql, params=None, *rest):
        asked.append([row[3] for row in execute(f"EXPLAIN QUERY PLAN {sql}", params).fetchall()])
        return execute(sql, params, *rest)

    database.execute_sql = explain
    series._table, series._rolled = RollupHour, 5
    series._from_readings(0, NOON, 0)
    series._from_readings(0, NOON, 5)
    series._from_rollups(0, NOON)
    series.newest_before(NOON)
    database.close()
    raw, fresh, rolled, *newest = [steps[0] for steps in asked]
    assert "USING INDEX reading_device_id_ts_us_digest (device_id=? AND ts_us>? AND ts_us<?)" in raw
    assert "USING INTEGER PRIMARY KEY (rowid>?)" in fresh
    assert "USING PRIMARY KEY (device_id=? AND metric=? AND start_us>? AND start_us<?)" in rolled
    assert all(step.startswith("SEARCH") for step in newest)
