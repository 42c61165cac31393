"""What is retained for Home Assistant, in each database."""

from __future__ import annotations

import msgspec

from actors.messages import DeleteDevice
from actors.storage.home_assistant import Bridged, FindBridged, Told, drop_bridged, put_bridged
from tests.storage.build import device

BEGIN = Told("", "")
ROW = Bridged("ha/device/x/A1/config", "a.control", "server-1", "A1", {"input": ["temperature", "größe"]})


def rows(readers, after=BEGIN, limit=100):
    return readers.ask(FindBridged("server-1", after, limit))


def put(store, *written):
    store.run(lambda database: put_bridged(database, written))


def test_a_row_comes_back_as_it_was_put_and_a_later_one_takes_its_place(store, readers):
    put(store, ROW)
    assert rows(readers) == [ROW]
    more = msgspec.structs.replace(ROW, measures={"input": ["temperature"], "output": ["valve"]})
    put(store, more)
    assert rows(readers) == [more]


def test_pages_follow_each_other_also_where_one_topic_is_at_two_brokers(store, readers):
    written = [
        msgspec.structs.replace(ROW, topic=topic, link=link) for topic in ("t/1", "t/2") for link in ("a", "b", "c")
    ]
    put(store, *written, msgspec.structs.replace(ROW, server="another"))
    found, after = [], BEGIN
    while page := rows(readers, after, 2):
        found += page
        after = page[-1].told
    assert found == written


def test_a_row_outlives_its_device_until_it_is_dropped(store, readers):
    store.commit([device("A1")])
    put(store, ROW, msgspec.structs.replace(ROW, link="b.control"))
    store.commit([DeleteDevice("A1")])
    assert len(rows(readers)) == 2
    store.run(lambda database: drop_bridged(database, [ROW.told]))
    assert [row.link for row in rows(readers)] == ["b.control"]
