"""Retention: what is old goes step by step, and nothing goes that somebody still needs."""

from __future__ import annotations

import pytest

from actors.messages import StoreEvent
from actors.storage.models import RollupDay, RollupHour
from actors.storage.retention import RetentionRules
from actors.storage.rollups import CURSORS, DAY_US, HOUR_US, ROLLUP, Cursor, advance, horizon_key, put, save_setting
from tests.storage.build import NOON, analysed, device, digest, reading, station

DAYS = DAY_US


def expire(store, now=NOON):
    """One pass; returns the steps that deleted something, as (table, rows)."""
    store.begin_expiry()
    steps = []
    while store.is_expiry_due:
        steps.append(store.expire(now))
    return [step for step in steps if step[1]]


def followed(store, until, key=ROLLUP):
    store.run(lambda db: advance(db, key, Cursor(), Cursor(until)))


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr("actors.storage.retention.STEP", 4)


def test_by_default_everything_is_kept_for_ever(store):
    store.commit([device(), reading(rx_us=0), StoreEvent("x", "", 0, "{}")])
    store.run(lambda db: put(db, {1: {("t", 0): [1, 0.0, 0.0, 0.0]}}))
    assert expire(store) == []


def test_readings_go_by_the_time_of_their_receipt(make_store, look):
    store = make_store(rules=RetentionRules(readings_days=10))
    store.commit([station(), analysed(at=-30 * DAYS, rx_us=NOON - 9 * DAYS)])  # its clock lies
    store.commit([analysed(at=at, rx_us=NOON - 11 * DAYS) for at in range(3)])
    store.commit([analysed(at=9)])
    assert expire(store) == [("reading", 3)]
    assert sorted(look.column("SELECT ts_us FROM reading")) == [NOON - 30 * DAYS, NOON + 9]
    assert len(look.column("SELECT reading_id FROM analysed")) == 2


def test_readings_go_in_steps_and_a_pass_ends_where_they_are_young(make_store, look, few):
    store = make_store(rules=RetentionRules(readings_days=1))
    store.commit([device(), *(reading(at=at, rx_us=NOON - 2 * DAYS) for at in range(10))])
    store.commit([reading(at=at) for at in range(20, 40)])
    assert expire(store) == [("reading", 4), ("reading", 4), ("reading", 2)]
    assert len(look.column("SELECT id FROM reading")) == 20


def test_the_newest_reading_stays_so_that_its_id_is_not_given_again(make_store, look):
    store = make_store(rules=RetentionRules(readings_days=1))
    store.commit([device(), *(reading(at=at, rx_us=0) for at in range(3))])
    assert expire(store) == [("reading", 2)]
    store.commit([reading(at=9)])
    assert look.column("SELECT id FROM reading ORDER BY id") == [3, 4]


def test_no_reading_goes_before_everyone_who_follows_the_table(make_store, look):
    store = make_store(rules=RetentionRules(readings_days=1))
    store.commit([device(), *(reading(at=at, rx_us=0) for at in range(10))])
    followed(store, 6)
    followed(store, 4, f"{CURSORS}sinks")
    assert expire(store) == [("reading", 4)]
    followed_on = lambda db: advance(db, f"{CURSORS}sinks", Cursor(4), Cursor(9))  # noqa: E731
    store.run(followed_on)
    assert expire(store) == [("reading", 2)]
    assert look.column("SELECT MIN(id) FROM reading") == [7]


def test_no_reading_goes_before_a_follower_whose_place_is_elsewhere(make_store):
    place = [0]
    store = make_store(rules=RetentionRules(readings_days=1), followed=[lambda: place[0]])
    store.commit([device(), *(reading(at=at, rx_us=0) for at in range(10))])
    assert expire(store) == []
    place[0] = 7
    assert expire(store) == [("reading", 7)]


def test_a_follower_that_must_be_there_holds_everything_until_it_is(make_store):
    store = make_store(rules=RetentionRules(readings_days=1, followers=(ROLLUP,)))
    store.commit([device(), *(reading(at=at, rx_us=0) for at in range(3))])
    assert expire(store) == []
    followed(store, 2)
    assert expire(store) == [("reading", 2)]


def test_a_cursor_that_cannot_be_read_holds_everything(make_store, caplog):
    store = make_store(rules=RetentionRules(readings_days=1))
    store.commit([device(), *(reading(at=at, rx_us=0) for at in range(3))])
    store.run(lambda db: save_setting(db, ROLLUP, "what"))
    assert expire(store) == []
    assert "cannot be read" in caplog.text


def test_hours_and_days_go_by_what_they_speak_of_and_it_is_noted_since_when_they_are_whole(make_store, look, few):
    store = make_store(rules=RetentionRules(hourly_days=10, daily_days=20))
    store.commit([device()])
    hours = {("t", NOON - at * DAYS): [1, 0.0, 0.0, 0.0] for at in range(30)}
    store.run(lambda db: put(db, {1: hours}))
    steps = expire(store)
    assert sum(rows for table, rows in steps if table == "rollup_hour") == 19
    assert sum(rows for table, rows in steps if table == "rollup_day") == 9
    assert max(rows for _, rows in steps) == 4
    for table, days in ((RollupHour, 10), (RollupDay, 20)):
        since = NOON - days * DAYS - (NOON - days * DAYS) % DAYS
        key = horizon_key(table)
        assert look.run(f"SELECT value FROM setting WHERE value = '{since}'") == [(str(since),)], key
        assert min(look.column(f"SELECT start_us FROM {table._meta.table_name}")) >= since


def test_what_was_whole_since_a_day_is_not_said_to_be_whole_since_an_earlier_one(make_store, look):
    for days in (10, 20):
        store = make_store(rules=RetentionRules(hourly_days=days))
        store.commit([device()])
        store.run(lambda db: put(db, {1: {("t", 0): [1, 0.0, 0.0, 0.0]}}))
        assert expire(store) == [("rollup_hour", 1)]
    since = NOON - 10 * DAYS
    assert look.column("SELECT value FROM setting") == [str(since - since % DAYS)]


def test_events_go_by_their_time(make_store, look, few):
    store = make_store(rules=RetentionRules(events_days=1))
    store.commit([StoreEvent("x", "A1", NOON - at * HOUR_US, "{}") for at in range(48)])
    assert sum(rows for _, rows in expire(store)) == 23
    assert min(look.column("SELECT ts_us FROM event")) == NOON - DAYS


def test_keys_are_forgotten_after_a_day_and_packet_ids_are_not(store, look, few):
    old, young = NOON - 25 * HOUR_US, NOON - 23 * HOUR_US
    batch = [reading(at=at, rx_us=old, stamped=True, idempotency_key=f"k{at}") for at in range(10)]
    batch += [reading(at=20, rx_us=old, stamped=True, sender_id="m", digest=digest("m"))]
    batch += [reading(at=21, rx_us=young, stamped=True, idempotency_key="young")]
    batch += [reading(at=-30 * DAYS, rx_us=old, stamped=True, link="a.data", token=5)]
    store.commit([device(), *batch])
    assert expire(store) == [("receipt", 4), ("receipt", 4), ("receipt", 3)]
    assert sorted(look.column("SELECT mid FROM receipt")) == [0, 5]


def test_a_pass_leaves_nothing_to_do_and_can_begin_again(make_store):
    store = make_store(rules=RetentionRules(readings_days=1, hourly_days=1, daily_days=1, events_days=1))
    assert not store.is_expiry_due
    assert expire(store) == []
    assert not store.is_expiry_due
    store.begin_expiry()
    assert store.is_expiry_due
