"""What the database tells of the past of a presence, on every database."""

from __future__ import annotations

import msgspec
import pytest

from actors.messages import StoreEvent, StoreLastSeen, StorePresence
from actors.storage import past
from actors.storage.past import FindPast, find_last_trace
from tests.storage.build import NOON, device, reading

ASKED = {"serial": "A1", "link": "local.control", "server": "us", "since_us": NOON, "until_us": NOON + 100}


def fleet(at, kind, **data):
    return StoreEvent(kind, "", NOON + at, msgspec.json.encode(data).decode())


def blink(at, kind, link="local.control", **data):
    return fleet(at, kind, link=link, **data)


def found(readers, **changes):
    return sorted((row["ts_us"] - NOON, row["kind"]) for row in readers.ask(FindPast(**(ASKED | changes))))


def test_of_what_came_before_only_the_latest_is_found(store, readers):
    store.commit([device(), device("B2"), *(StorePresence("A1", "online", "data", NOON - at) for at in (9, 7, 5))])
    store.commit([StoreEvent("quarantine", "A1", NOON - 4, "{}"), StoreEvent("resume", "A1", NOON - 3, "{}")])
    store.commit([StorePresence("B2", "online", "data", NOON - 1), StoreEvent("enrolment", "A1", NOON - 1, "{}")])
    assert found(readers) == [(-5, "presence"), (-3, "resume")]


def test_of_its_own_time_everything_is_found_and_of_the_fleet_what_came_after_too(store, readers):
    store.commit([device(), *(StorePresence("A1", "offline", "will", NOON + at) for at in (0, 50, 100))])
    store.commit([blink(10, "blind"), blink(20, "sight"), blink(300, "blind"), fleet(400, "start", since="x")])
    expected = [(0, "presence"), (10, "blind"), (20, "sight"), (50, "presence"), (300, "blind"), (400, "start")]
    assert found(readers) == expected


def test_other_links_and_other_servers_do_not_count(store, readers):
    store.commit([blink(-9, "blind", server="us"), blink(-8, "sight", server="them"), blink(-7, "sight", "far.x")])
    store.commit([blink(1, "blind", "local.data"), fleet(2, "start", server="them"), fleet(3, "asleep", server="us")])
    assert found(readers) == [(-9, "blind"), (3, "asleep")]


def test_a_time_with_too_many_changes_is_refused(store, readers, monkeypatch):
    monkeypatch.setattr(past, "MOST_EVENTS", 3)
    store.commit([device(), *(StorePresence("A1", "offline", "will", NOON + at) for at in range(4))])
    with pytest.raises(OverflowError):
        found(readers)
    assert len(found(readers, until_us=NOON + 3)) == 3


def test_the_last_trace_of_a_server_is_whatever_it_wrote_last(store):
    def trace(server="us", alone=True):
        return store.run(lambda database: find_last_trace(database, server=server, alone=alone))

    assert trace() is None
    store.commit([device(), blink(5, "blind", server="us")])
    assert trace() == NOON + 5
    store.commit([StoreLastSeen([("A1", NOON + 20)])])
    assert trace() == NOON + 20
    store.commit([reading(rx_us=NOON + 30)])
    assert trace() == NOON + 30
    store.commit([StorePresence("A1", "online", "data", NOON + 40)])
    assert trace() == NOON + 40
    assert (trace(alone=False), trace("them", alone=False)) == (NOON + 5, None)
