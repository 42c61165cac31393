"""Groups, rosters and labels in each database."""

from __future__ import annotations

import json

import msgspec
import pytest

from actors.groups.labels import encode_labels
from actors.groups.messages import Group
from actors.groups.rules import Rule
from actors.messages import DeleteDevice
from actors.storage import groups
from actors.storage.administration import load_devices
from actors.storage.groups import SLICE
from tests.storage.build import device

MANY = frozenset(f"d-{number}" for number in range(2 * SLICE + 1))


def put(store, known, group):
    store.run(lambda database: groups.put_group(database, known, group))


def test_a_group_comes_back_as_it_was_put(store):
    pumps = Group(
        name="Pümps 1",
        description="all of them",
        rule=Rule(site="plant-*", kind="controller", labels={"zone": "*"}),
        members=frozenset({"a", "B"}),
        updated_us=7,
        changed_by="ops",
    )
    put(store, None, pumps)
    put(store, None, Group(name="empty"))
    assert store.run(groups.load_groups) == {"Pümps 1": pumps, "empty": Group(name="empty")}


def test_a_change_writes_what_is_different(store):
    many = Group(name="many", members=MANY)
    put(store, None, many)
    changed = msgspec.structs.replace(many, members=(MANY - {"d-0"}) | {"new"}, rule=Rule(serial="x*"))
    put(store, many, changed)
    assert store.run(groups.load_groups) == {"many": changed}
    put(store, changed, Group(name="many"))
    assert store.run(groups.load_groups) == {"many": Group(name="many")}


def test_a_deleted_group_leaves_nothing(store, look):
    put(store, None, Group(name="a", members=frozenset({"x"})))
    put(store, None, Group(name="b", members=frozenset({"x"})))
    store.run(lambda database: groups.delete_group(database, "a"))
    assert look.run("SELECT name, serial FROM fleet_group_member") == [("b", "x")]
    assert look.run("SELECT name FROM fleet_group") == [("b",)]


def test_names_that_differ_in_case_alone_are_two(store):
    put(store, None, Group(name="pumps", members=frozenset({"a", "A"})))
    put(store, None, Group(name="Pumps"))
    assert set(store.run(groups.load_groups)) == {"pumps", "Pumps"}


def test_a_roster_comes_back_as_it_was_put(store):
    def put_roster(site, known, serials):
        store.run(lambda database: groups.put_roster(database, site, known, serials))

    put_roster("plant-1", frozenset(), MANY)
    put_roster("plant-2", frozenset(), frozenset({"a"}))
    put_roster("plant-1", MANY, frozenset({"d-1", "new"}))
    assert store.run(groups.load_rosters) == {"plant-1": {"d-1", "new"}, "plant-2": {"a"}}
    put_roster("plant-2", frozenset({"a"}), frozenset())
    assert set(store.run(groups.load_rosters)) == {"plant-1"}


def test_a_record_is_one_of_the_fleet(store, look):
    store.run(lambda database: groups.put_record(database, groups.EVENT, 7, {"action": "created", "by": "ops"}))
    ((ts_us, serial, kind, data),) = look.run("SELECT ts_us, serial, kind, data FROM event")
    assert (ts_us, serial, kind, json.loads(data)) == (7, "", "group", {"action": "created", "by": "ops"})


def test_labels_are_part_of_a_device(store):
    labels = encode_labels({"zone": "north", "note": "naïve 🌾"})
    store.commit([device("A", labels=labels), device("B")])
    assert [found.labels for found in store.run(lambda database: load_devices(database, "", 9))] == [labels, ""]


def test_a_device_of_before_labels_has_none(store, look):
    store.commit([device("A")])
    store.run(lambda database: database.execute_sql("UPDATE device SET labels = NULL"))
    assert [found.labels for found in store.run(lambda database: load_devices(database, "", 9))] == [""]


@pytest.mark.parametrize("serial", ["A", "B"])
def test_a_deleted_device_is_in_no_group_by_hand(store, look, serial):
    store.commit([device("A"), device("B")])
    put(store, None, Group(name="both", members=frozenset({"A", "B"})))
    store.commit([DeleteDevice(serial)])
    assert look.run("SELECT serial FROM fleet_group_member") == [({"A": "B", "B": "A"}[serial],)]
