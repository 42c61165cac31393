"""The keys of devices, in each of the databases."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from actors.storage.payload_keys import (
    PayloadKey,
    count_given_keys,
    drop_payload_key,
    end_payload_key,
    find_payload_keys,
    put_payload_key,
)
from supervisor.server.payload_key_file import LostKeyError, see_to_payload_key

KEY = "A" * 43 + "="
LONGEST = "x" * 64


def rows(store):
    return sorted((row.serial, row.public, row.changed_us) for row in store.run(find_payload_keys))


def put(store, *keys):
    for key in keys:
        store.run(lambda database, key=key: put_payload_key(database, PayloadKey(*key)))


def test_a_device_has_one_key_and_serials_differ_by_their_case(store):
    put(store, ("pi-7", KEY, 1), ("PI-7", "", 2), (LONGEST, KEY, 3), ("pi-7", KEY.swapcase(), 1_900_000_000_000_000))
    assert rows(store) == [("PI-7", "", 2), ("pi-7", KEY.swapcase(), 1_900_000_000_000_000), (LONGEST, KEY, 3)]
    assert store.run(count_given_keys) == 2


def test_a_key_ends_and_is_dropped_alone(store):
    put(store, ("pi-7", KEY, 1), ("pi-8", KEY, 1))
    assert store.run(lambda database: end_payload_key(database, "pi-7", 5)) == 1
    assert store.run(lambda database: end_payload_key(database, "pi-9", 5)) == 0
    assert rows(store) == [("pi-7", "", 5), ("pi-8", KEY, 1)]
    assert store.run(lambda database: drop_payload_key(database, "pi-8")) == 1
    assert store.run(lambda database: drop_payload_key(database, "pi-8")) == 0
    assert (rows(store), store.run(count_given_keys)) == ([("pi-7", "", 5)], 0)


def test_a_server_asks_each_database_whether_a_device_needs_its_lost_key(store, database_url, tmp_path):
    config = SimpleNamespace(data_path=tmp_path, primary=True, database=SimpleNamespace(url=database_url))
    see_to_payload_key(config)
    put(store, ("pi-7", KEY, 1))
    with pytest.raises(LostKeyError, match="is gone"):
        see_to_payload_key(config)
