from __future__ import annotations

import time

import msgspec
import pytest

from actors.messages import StoreDeadLetter, StoreEvent, StoreSensors
from actors.reader import ReaderActor
from actors.storage.errors import StoreUnavailable
from actors.storage.letter_counts import CountDeadLetters
from actors.storage.models import Device
from actors.storage.queries import (
    BadCursor,
    FindDeadLetters,
    FindEvents,
    FindReadings,
    FindSensors,
    FindToken,
    ListTokens,
)
from actors.storage.tokens import create_token, digest_token
from tests.storage.build import NOON, ask_all, device, reading


class CountDevices:
    """How many devices there are."""

    def run(self, database):
        return Device.select().count(database)


def test_readings_come_newest_first_and_page_by_page(store, readers):
    store.commit([device(), device("other"), *(reading(at=at) for at in range(25)), reading("other")])
    found = ask_all(readers, FindReadings(serial="A1", limit=10))
    assert [row["ts_us"] - NOON for row in found] == list(range(24, -1, -1))
    assert found[0]["measures"] == {"t": 1}
    assert (found[0]["channel"], found[0]["source"], found[0]["rx_us"]) == ("input", "mqtt", NOON)


def test_readings_with_one_timestamp_are_neither_lost_nor_repeated_between_pages(store, readers):
    store.commit([device(), *(reading(at=at // 7, body=f'{{"n":{at}}}') for at in range(21))])
    found = ask_all(readers, FindReadings(serial="A1", limit=4))
    assert sorted(row["measures"]["n"] for row in found) == list(range(21))


def test_readings_are_chosen_by_channel_and_time(store, readers):
    store.commit([device(), *(reading(at=at, channel=["input", "output"][at % 2]) for at in range(20))])
    query = FindReadings(serial="A1", channel="output", since_us=NOON + 5, until_us=NOON + 11)
    assert [row["ts_us"] - NOON for row in readers.ask(query).items] == [9, 7, 5]


NAMES = [
    "soil.temperature",
    "a b",
    'say "when"',
    "back\\slash",
    "it's",
    "grün",
    "$",
    "a[0]",
    "*",
    "%s",
    ":x",
    "t\tb",
    "",
]


@pytest.mark.parametrize("name", NAMES)
def test_readings_are_chosen_by_the_name_of_a_number_whatever_is_in_the_name(store, readers, name):
    others = {"soil": 1, "temperature": 2, "when": 3, "x": 4, "SOIL.TEMPERATURE": 5, "GRÜN": 6}
    bodies = [msgspec.json.encode(others | ({name: at} if at % 2 else {})).decode() for at in range(20)]
    store.commit([device(), *(reading(at=at, body=body) for at, body in enumerate(bodies))])
    page = readers.ask(FindReadings(serial="A1", metric=name, limit=6))
    assert [row["measures"][name] for row in page.items] == [19, 17, 15, 13, 11, 9]
    rest = readers.ask(FindReadings(serial="A1", metric=name, limit=6, after=page.cursor))
    assert [row["measures"][name] for row in rest.items] == [7, 5, 3, 1]
    assert rest.cursor is None
    assert readers.ask(FindReadings(serial="A1", metric=f"{name}?")).items == []


def test_an_unknown_device_has_nothing(readers):
    assert readers.ask(FindReadings(serial="nobody")).items == []
    assert readers.ask(FindSensors("nobody")).items == []
    assert readers.ask(FindEvents(serial="nobody")).items == []


def test_no_page_is_longer_than_the_limit(store, readers):
    store.commit([device(), *(reading(at=at) for at in range(1200))])
    assert len(readers.ask(FindReadings(serial="A1", limit=10**9)).items) == 1000
    assert len(readers.ask(FindReadings(serial="A1", limit=-1)).items) == 1


def test_events_come_newest_first_for_one_device_or_all(store, readers):
    store.commit([StoreEvent("x", ["A1", ""][at % 2], NOON + at, f'{{"n":{at}}}') for at in range(9)])
    assert [row["data"]["n"] for row in ask_all(readers, FindEvents(limit=2))] == list(range(8, -1, -1))
    assert [row["data"]["n"] for row in ask_all(readers, FindEvents(serial="A1", limit=2))] == [8, 6, 4, 2, 0]


def test_events_are_chosen_by_kind_and_time(store, readers):
    store.commit([StoreEvent(["x", "y"][at % 2], "A1", NOON + at, f'{{"n":{at}}}') for at in range(9)])
    chosen = FindEvents(serial="A1", kind="x", since_us=NOON + 2, until_us=NOON + 6, limit=1)
    assert [row["data"]["n"] for row in ask_all(readers, chosen)] == [4, 2]


def test_dead_letters_come_newest_first_with_their_bytes(store, readers):
    store.commit([StoreDeadLetter("r", "d", "a", "t", bytes([at, 255]), NOON + at, "A1") for at in range(5)])
    store.commit([StoreDeadLetter("other", "d", "a", "t", b"", NOON)])
    found = ask_all(readers, FindDeadLetters(limit=2))
    assert [row["payload"] for row in found] == [b"", *(bytes([at, 255]) for at in range(4, -1, -1))]
    assert found[1]["replayed_us"] is None
    assert len(readers.ask(FindDeadLetters(reason="other")).items) == 1
    assert len(readers.ask(FindDeadLetters(serial="A1")).items) == 5


def test_dead_letters_are_counted_by_reason_the_most_frequent_first(store, readers):
    store.commit([StoreDeadLetter("b", "d", "a", "t", b"", NOON, serial) for serial in ("A1", "A1", "A2")])
    store.commit([StoreDeadLetter("a", "d", "a", "t", b"", NOON)])
    assert readers.ask(CountDeadLetters()).items == [{"reason": "b", "count": 3}, {"reason": "a", "count": 1}]
    assert readers.ask(CountDeadLetters(serial="A2")).items == [{"reason": "b", "count": 1}]
    assert readers.ask(CountDeadLetters(serial="")).items == [{"reason": "a", "count": 1}]


def test_sensors_are_listed_by_name(store, readers):
    store.commit([device(), StoreSensors("A1", ["t", "h"], NOON)])
    assert readers.ask(FindSensors("A1")).items == [
        {"name": "h", "first_seen_us": NOON},
        {"name": "t", "first_seen_us": NOON},
    ]


def test_tokens_are_found_by_their_hash(store, readers):
    plain = store.run(lambda database: create_token(database, role="read", name="n", now_us=NOON))
    assert readers.ask(FindToken(digest_token(plain))).name == "n"
    assert readers.ask(FindToken("0" * 64)) is None
    assert [token.role for token in readers.ask(ListTokens())] == ["read"]


@pytest.mark.parametrize("cursor", ["", "x", "1-zz", "-1", "9" * 30, "9" * 30 + "-00", "٣", "1;DROP TABLE reading"])
def test_a_cursor_that_no_page_gave_is_refused(store, readers, cursor):
    store.commit([device(), reading()])
    for query in (FindReadings(serial="A1", after=cursor), FindEvents(after=cursor), FindDeadLetters(after=cursor)):
        with pytest.raises(BadCursor):
            readers.ask(query)


class Write(msgspec.Struct, frozen=True):
    def run(self, database):
        database.execute_sql("DELETE FROM device")


def test_a_reader_cannot_write(store, readers, look):
    store.commit([device()])
    with pytest.raises(StoreUnavailable):  # read-only: nothing that a row could be blamed for
        readers.ask(Write())
    assert look.column("SELECT COUNT(*) FROM device") == [1]


class Slow(msgspec.Struct, frozen=True):
    def run(self, database):
        sleep = {
            "SqliteStore": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT COUNT(*) FROM c"
        }
        sleep |= {"PostgresStore": "SELECT pg_sleep(30)"}
        # SLEEP() and BENCHMARK() would just return when their time is over; this is an error like any slow query.
        sleep |= {"MySqlStore": "SELECT SUM(a.seq * b.seq) FROM seq_1_to_100000 a, seq_1_to_100000 b"}
        database.execute_sql(sleep[type(database).__name__]).fetchall()


def test_a_slow_query_ends_at_its_deadline_and_the_reader_lives_on(store, readers):
    started = time.monotonic()
    with pytest.raises(StoreUnavailable):
        readers.ask(Slow(), timeout=20)
    assert time.monotonic() - started < 10
    assert readers.ask(CountDevices()) == 0


def test_a_dead_reader_is_passed_over(store, readers):
    readers._directory.get("reader.0").stop(timeout=5)
    readers._directory.withdraw("reader.0")
    for _ in range(4):
        assert readers.ask(CountDevices()) == 0
    readers._directory.get("reader.1").stop(timeout=5)
    with pytest.raises(StoreUnavailable):
        readers.ask(CountDevices())


def test_a_reader_survives_a_message_it_does_not_know(store, readers):
    ref = readers._directory.get("reader.0")
    ref.tell("what")
    assert ref.ask(CountDevices(), timeout=5) == 0


@pytest.mark.slow
def test_a_reader_survives_a_restart_of_the_server(postgres, runtime):
    from actors.storage.database import open_database
    from actors.storage.store import Store

    url = postgres.fresh_database()
    store = Store(open_database(url))
    store.commit([device()])
    store.close()
    ref = runtime.launch(ReaderActor(url))
    assert ref.ask(CountDevices(), timeout=5) == 1
    postgres.restart()
    assert ref.ask(CountDevices(), timeout=5) == 1
    ref.stop(timeout=5)
