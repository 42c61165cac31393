"""Rows that the database refuses: each is found and dead-lettered, and every other row is stored."""

from __future__ import annotations

import pytest

from actors.messages import StoreDeadLetter, StoreEvent, StorePresence, StoreSensors
from actors.storage.administration import load_devices
from tests.storage.build import NOON, device, reading

WRONG = '{"t":666}'


def culprits(result):
    return [(dead.reason, dead.serial, dead.token) for dead in result.dead]


@pytest.mark.parametrize("place", [0, 1, 250, 498, 499])
def test_one_refused_reading_does_not_stop_the_others(store, look, place):
    look.refuse("reading", "measures", WRONG)
    batch = [reading(at=at, link="a.data", token=at + 1) for at in range(500)]
    batch[place] = reading(at=place, body=WRONG, link="a.data", token=place + 1)
    result = store.commit([device(), *batch])
    assert culprits(result) == [("refused_by_database", "A1", place + 1)]
    assert result.dead[0].payload == WRONG.encode()
    assert str(NOON + place) in result.dead[0].detail
    assert len(result.new) == 499
    assert result.settled == {"a.data": list(range(1, 501))}
    assert look.column("SELECT COUNT(*) FROM reading") == [499]
    assert look.column("SELECT reason FROM dead_letter") == ["refused_by_database"]


def test_several_refused_readings_are_all_found(store, look):
    look.refuse("reading", "measures", WRONG)
    batch = [reading(at=at, body=WRONG if at % 7 == 0 else '{"t":1}', link="a", token=at + 1) for at in range(64)]
    result = store.commit([device(), *batch])
    assert [token for _, _, token in culprits(result)] == list(range(1, 65, 7))
    assert len(result.new) + len(result.dead) == 64


def test_a_batch_of_refused_rows_alone_still_ends(store, look):
    look.refuse("reading", "measures", WRONG)
    result = store.commit([device(), *(reading(at=at, body=WRONG, link="a", token=at + 1) for at in range(5))])
    assert len(result.dead) == 5
    assert result.settled == {"a": [1, 2, 3, 4, 5]}


def test_duplicates_are_still_recognised_around_a_refused_row(store, look):
    look.refuse("reading", "measures", WRONG)
    store.commit([device(), reading(at=1), reading(at=3)])
    result = store.commit([reading(at=1), reading(at=2, body=WRONG), reading(at=3), reading(at=4), reading(at=4)])
    assert [new.ts_us for new in result.new] == [NOON + 4]
    assert result.duplicates == 3
    assert len(result.dead) == 1


def test_a_refused_device_takes_only_its_own_readings_with_it(store, look):
    look.refuse("device", "site", "wrong")
    result = store.commit(
        [
            device("good"),
            device("bad", site="wrong"),
            reading("good", link="a", token=1),
            reading("bad", link="a", token=2),
            device("fine"),
            reading("fine", link="a", token=3),
        ]
    )
    assert culprits(result) == [("refused_by_database", "bad", 0), ("unknown_device", "bad", 2)]
    assert b'"site":"wrong"' in result.dead[0].payload
    assert [new.serial for new in result.new] == ["good", "fine"]
    assert result.settled == {"a": [1, 2, 3]}
    assert look.column("SELECT serial FROM device ORDER BY serial") == ["fine", "good"]


def test_a_refused_update_leaves_the_device_and_its_readings_alone(store, look):
    store.commit([device("A", site="right")])
    look.refuse("device", "site", "wrong")
    result = store.commit([device("A", site="wrong"), reading("A")])
    assert culprits(result) == [("refused_by_database", "A", 0)]
    assert len(result.new) == 1
    assert [one.site for one in store.run(lambda database: load_devices(database, "", 9))] == ["right"]


@pytest.mark.parametrize(
    "bad",
    [
        reading(body='{"t":"\ud800"}', link="a", token=2),
        reading(at=2**64, link="a", token=2),
        reading(at=2**200, link="a", token=2),
        reading(body="{}", rx_us=-(2**70), link="a", token=2),
        reading("lone\udfff", link="a", token=2),
    ],
    ids=["lone surrogate", "65 bits", "201 bits", "71 bits below", "surrogate in the serial"],
)
def test_values_that_no_database_takes_become_dead_letters(store, look, bad):
    result = store.commit([device(), reading(at=1), bad, reading(at=3)])
    assert [dead.reason for dead in result.dead] == ["refused_by_database"]
    assert [new.ts_us for new in result.new] == [NOON + 1, NOON + 3]
    assert result.settled == {"a": [2]}
    assert look.column("SELECT COUNT(*) FROM reading") == [2]


def test_a_nul_byte_is_stored_or_dead_lettered_but_never_stops_a_batch(store, look):
    bad = reading(body='{"t\0":1}', link="a", token=2)
    result = store.commit([device(), reading(at=1), bad, reading(at=3)])
    assert len(result.new) + len(result.dead) == 3
    assert {NOON + 1, NOON + 3} <= set(look.column("SELECT ts_us FROM reading"))
    assert result.settled == {"a": [2]}


def test_an_over_long_value_is_refused_where_the_database_has_limits(store, look):
    result = store.commit([device("x" * 65), device("y", kind="k" * 33), device("z"), reading("z")])
    stored = look.column("SELECT COUNT(*) FROM device")[0]
    assert stored + len(result.dead) == 3
    assert len(result.new) == 1


def test_a_dead_letter_is_cleaned_rather_than_refused(store, look):
    letter = StoreDeadLetter(
        "r\0", "d\ud800\0" + "x" * 100_000, "l" * 300, "t\0", b"\0\xff" * 2_000_000, NOON, "s" * 99
    )
    result = store.commit([letter])
    assert (len(result.dead), result.dropped) == (1, 0)
    ((reason, detail, payload),) = look.run("SELECT reason, detail, payload FROM dead_letter")
    assert reason == "r\N{REPLACEMENT CHARACTER}"
    assert detail.startswith("d?\N{REPLACEMENT CHARACTER}x")
    assert len(bytes(payload)) == 1 << 20


def test_a_dead_letter_that_is_refused_itself_is_dropped_and_settled(store, look):
    look.refuse("dead_letter", "reason", "wrong")
    letter = StoreDeadLetter("wrong", "", "a.data", "t", b"", NOON, token=7)
    result = store.commit([device(), letter, reading()])
    assert (result.dropped, result.dead) == (1, [])
    assert result.settled == {"a.data": [7]}
    assert len(result.new) == 1


def test_a_reading_is_settled_even_if_its_dead_letter_is_refused_too(store, look):
    look.refuse("reading", "measures", WRONG)
    look.refuse("dead_letter", "reason", "refused_by_database")
    result = store.commit([device(), reading(body=WRONG, link="a", token=7), reading(at=1)])
    assert (result.dropped, result.settled, len(result.new)) == (1, {"a": [7]}, 1)


def test_refused_events_sensors_and_transitions_become_dead_letters_alone(store, look):
    look.refuse("event", "kind", "wrong")
    look.refuse("sensor", "name", "wrong")
    writes = [
        device(),
        StoreEvent("wrong", "A1", NOON, "{}"),
        StoreSensors("A1", ["t", "wrong"], NOON),
        StorePresence("A1", "online", "data", 2**65),
        StoreEvent("right", "A1", NOON, "{}"),
    ]
    result = store.commit(writes)
    assert [dead.detail.split(":")[0] for dead in result.dead] == ["StoreEvent", "StoreSensors", "StorePresence"]
    assert look.column("SELECT kind FROM event") == ["right"]


def test_a_device_stored_before_a_refused_row_is_still_known_afterwards(store, look):
    look.refuse("reading", "measures", WRONG)
    store.commit([device("A"), reading("A", body=WRONG)])
    result = store.commit([reading("A", at=1)])
    assert (len(result.new), result.dead) == (1, [])
