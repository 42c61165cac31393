"""Rollouts in each database: pages, what goes with a device, and what goes with time."""

from __future__ import annotations

import msgspec
import pytest

from actors.messages import DeleteDevice
from actors.storage import updates
from actors.storage.queries import BadCursor
from actors.storage.retention import RetentionRules
from actors.storage.updates import FindRollout, FindRolloutDevices, FindRollouts, StoredEntry
from actors.updates.entry import Entry
from actors.updates.header import Header, encode
from actors.updates.plan import Plan
from actors.updates.windows import Window
from tests.storage.build import NOON, ask_all, device
from tests.storage.test_retention import DAYS, expire

NIGHT = (Window(begin="22:00", end="04:00", timezone="Europe/Rome"),)


def header(number=1, **fields):
    known = {
        "id": f"{number:032x}",
        "release_id": "abc",
        "version": "2.0",
        "target": "all devices · alle Geräte",
        "plan": encode(Plan(deadlines={"offered": 5.0})),
        "windows": encode(NIGHT),
        "counts": encode([{"offered": 2}, {}, {}]),
        "created_us": NOON,
        "changed_us": NOON,
        "by": "ops",
    }
    return Header(**known | fields)


def put(store, row, *entries):
    def work(database):
        if entries:
            updates.insert_entries(database, row.id, map(StoredEntry.of, entries))
        updates.insert_rollout(database, row)

    store.run(work)
    return row


def test_a_rollout_comes_back_as_it_was_put(store, readers):
    row = put(store, header())
    found = readers.ask(FindRollout(row.id))
    assert found == row
    assert (found.read_plan().deadlines, found.read_windows()) == ({"offered": 5.0}, NIGHT)
    assert found.read_counts()[0] == {"offered": 2}
    assert readers.ask(FindRollout("f" * 32)) is None
    assert readers.ask(FindRollout("made\0up")) is None


def test_rollouts_come_in_pages_newest_first(store, readers):
    for number in range(5):
        put(store, header(number, status="halted" if number % 2 else "running"))
    ids = [item["id"] for item in ask_all(readers, FindRollouts(limit=2))]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 5
    assert len(ask_all(readers, FindRollouts(status="halted", limit=1))) == 2
    with pytest.raises(BadCursor):
        readers.ask(FindRollouts(after="made up"))


def test_devices_come_in_pages_by_serial_and_change_as_they_are_told(store, readers):
    entries = [Entry(f"d{number}", number % 2, since=NOON / 1e6) for number in range(5)]
    row = put(store, header(), *entries)
    entries[3].state, entries[3].reason, entries[3].progress, entries[3].forced = "failed", "naïve 🌾", 0.5, True
    entries[3].attempts = 2
    store.run(lambda database: updates.update_entries(database, row.id, [StoredEntry.of(entries[3])]))
    found = ask_all(readers, FindRolloutDevices(rollout_id=row.id, limit=2))
    assert [item["serial"] for item in found] == ["d0", "d1", "d2", "d3", "d4"]
    (failed,) = ask_all(readers, FindRolloutDevices(rollout_id=row.id, state="failed", limit=2))
    assert (failed["reason"], failed["progress"], bool(failed["forced"])) == ("naïve 🌾", 0.5, True)
    loaded = store.run(lambda database: updates.load_entries(database, row.id, "d2", 10))
    assert loaded == entries[3:]


def test_what_may_still_change_is_found_oldest_first(store):
    put(store, header(1, status="completed"), Entry("a", 0, "succeeded"))
    put(store, header(2, status="cancelled"), Entry("b", 0, "restarting"))
    put(store, header(3, status="paused"), Entry("c", 0, "offered"))
    assert [row.id[-1] for row in store.run(updates.find_live)] == ["2", "3"]


def test_devices_of_a_rollout_that_never_began_are_swept(store, look):
    put(store, header(1), Entry("a", 0))
    store.run(lambda database: updates.insert_entries(database, "f" * 32, [StoredEntry.of(Entry("b", 0))]))
    assert store.run(updates.delete_orphans) == 1
    assert look.column("SELECT serial FROM rollout_device") == ["a"]


def test_the_newest_rollout_of_a_version_on_a_device_is_found(store):
    put(store, header(1), Entry("a", 0))
    put(store, header(2), Entry("a", 0))
    put(store, header(3, version="3.0"), Entry("a", 0))
    find = updates.find_rollout_of
    assert store.run(lambda database: find(database, "a", "2.0")) == f"{2:032x}"
    assert store.run(lambda database: find(database, "a", "9.0")) is None


def test_a_version_that_was_rolled_back_is_known_until_it_succeeds(store):
    serials = [f"d{number}" for number in range(1200)]

    def work(database):
        for serial in ("d1", "d1", "d1199", "other"):
            updates.put_rolled_back(database, serial, "2.0", NOON, "starts")
        updates.put_rolled_back(database, "d2", "3.0", NOON, "starts")
        updates.forget_rolled_back(database, "other", "2.0")

    store.run(work)
    assert store.run(lambda database: updates.find_rolled_back(database, "2.0", serials)) == {"d1", "d1199"}


def test_maintenance_windows_are_set_and_cleared(store):
    store.run(lambda database: updates.put_windows(database, "plant-1", NIGHT, NOON, "ops"))
    store.run(lambda database: updates.put_windows(database, "plant-1", NIGHT * 2, NOON, "ops"))
    assert store.run(updates.load_windows) == {"plant-1": NIGHT * 2}
    store.run(lambda database: updates.put_windows(database, "plant-1", (), NOON, "ops"))
    assert store.run(updates.load_windows) == {}


def test_a_deleted_device_is_in_no_rollout_and_has_rolled_nothing_back(store, look):
    store.commit([device("A"), device("B")])
    put(store, header(), Entry("A", 0), Entry("B", 0))
    store.run(lambda database: updates.put_rolled_back(database, "A", "2.0", NOON, ""))
    store.commit([DeleteDevice("A")])
    assert look.column("SELECT serial FROM rollout_device") == ["B"]
    assert look.column("SELECT serial FROM rolled_back") == []


def test_only_rollouts_that_are_over_go_with_time(make_store, look, monkeypatch):
    monkeypatch.setattr("actors.storage.retention.STEP", 2)
    store = make_store(rules=RetentionRules(rollouts_days=1))
    old = {"changed_us": NOON - 2 * DAYS}
    put(store, header(1, status="completed", **old), *(Entry(f"d{number}", 0) for number in range(3)))
    put(store, header(2, status="halted", **old), Entry("d0", 0))
    put(store, header(3, status="cancelled"), Entry("d1", 0))
    assert expire(store) == [("rollout", 2), ("rollout", 1), ("rollout", 1)]
    assert sorted(row[-1] for row in look.column("SELECT id FROM rollout")) == ["2", "3"]
    assert sorted(look.column("SELECT serial FROM rollout_device")) == ["d0", "d1"]


def test_a_change_of_a_rollout_is_written(store):
    row = put(store, header())
    changed = msgspec.structs.replace(row, status="halted", reason="too many", wave=1, reached_us=NOON, counts="[]")
    store.run(lambda database: updates.update_rollout(database, changed))
    assert store.run(lambda database: updates.find_rollout(database, row.id)) == changed
