"""Twins in the database: what devices report, what is desired of them, and what is left of a deleted device."""

from __future__ import annotations

import threading

import pytest

from actors.messages import DeleteDevice, StoreTwinReport
from actors.storage.database import open_database
from actors.storage.errors import StoreUnavailable
from actors.storage.store import Store
from actors.storage.twins import FindPublished, FindTwins, drop_cleared, find_floor, find_twin
from actors.twins.messages import Changed, Twin, TwinError
from actors.twins.steps import change_desired
from tests.storage.build import NOON, device

TOKEN = (3 << 24) | 77


def report(serial="A1", version=1, reported='{"heartbeat":15}', at=0, **fields):
    return StoreTwinReport(serial=serial, version=version, reported=reported, rx_us=NOON + at, **fields)


def change(store, serial="A1", version=0, **patch):
    return store.run(
        lambda database: change_desired(
            database, serial, patch, version, by="operate joe", address="10.0.0.7", now_us=NOON
        )
    )


def twin(readers, serial="A1"):
    found = readers.ask(FindTwins((serial,)))
    return found[0] if found else None


def published(readers, after="", limit=100):
    return [each.serial for each in readers.ask(FindPublished(after, limit))]


# Reports


def test_a_report_is_stored_and_its_delivery_is_settled(store, readers):
    told = report(link="a.data", token=TOKEN)
    result = store.commit([device(), told])
    assert (result.twin_reports, result.settled) == ([told], {"a.data": [TOKEN]})
    assert twin(readers) == Twin(serial="A1", reported={"heartbeat": 15}, reported_version=1, reported_us=NOON)


def test_of_several_reports_the_last_counts_and_every_delivery_is_settled(store, readers):
    told = [report(version=n, reported=f'{{"n":{n}}}', at=n, link="a.data", token=TOKEN + n) for n in range(5)]
    result = store.commit([device(), *told])
    assert (len(result.twin_reports), len(result.settled["a.data"])) == (5, 5)
    assert twin(readers).reported == {"n": 4}
    store.commit([report(version=4, reported='{"n":5}', at=9)])
    assert (twin(readers).reported, twin(readers).reported_us) == ({"n": 5}, NOON + 9)


def test_a_report_leaves_what_is_desired_alone(store, readers):
    store.commit([device()])
    change(store, heartbeat=15, name="pümp \N{ROCKET}")
    before = twin(readers)
    store.commit([report(reported='{"name":"pümp \N{ROCKET}"}')])
    after = twin(readers)
    assert (after.desired, after.desired_version) == (before.desired, 1)
    assert (after.desired_us, after.changed_by) == (NOON, "operate joe")
    assert after.reported["name"] == after.desired["name"]


def test_a_report_of_a_device_without_a_record_is_a_dead_letter(store, readers):
    lost = report("GONE", link="a.data", token=TOKEN, topic="devices/GONE/twin/reported", payload=b"{}")
    result = store.commit([device(), report(), lost])
    assert [each.serial for each in result.twin_reports] == ["A1"]
    assert [(letter.reason, letter.topic) for letter in result.dead] == [("unknown_device", lost.topic)]
    assert result.settled == {"a.data": [TOKEN]}
    assert twin(readers, "GONE") is None


def test_a_report_that_the_database_refuses_is_a_dead_letter_and_the_others_are_stored(store, readers, look):
    look.refuse("twin", "serial", "B2")
    bad = report("B2", link="a.data", token=TOKEN, topic="devices/B2/twin/reported")
    result = store.commit([device("A1"), device("B2"), report("A1"), bad])
    assert [each.serial for each in result.twin_reports] == ["A1"]
    assert [(letter.reason, letter.payload) for letter in result.dead] == [("refused_by_database", b'{"heartbeat":15}')]
    assert (twin(readers, "A1").reported_version, twin(readers, "B2")) == (1, None)


def test_serials_that_differ_by_case_have_twins_of_their_own(store, readers):
    store.commit([device("a"), device("A"), report("a", version=1), report("A", version=2)])
    assert (twin(readers, "a").reported_version, twin(readers, "A").reported_version) == (1, 2)


# Changes


def test_a_change_at_the_right_version_is_kept_with_its_record(store, readers, look):
    store.commit([device()])
    assert change(store, a=1).twin.desired_version == 1
    assert change(store, version=1, b={"c": [True, None, 1.5]}).twin.desired_version == 2
    assert twin(readers).desired == {"a": 1, "b": {"c": [True, None, 1.5]}}
    assert look.column("SELECT COUNT(*) FROM event WHERE kind = 'twin' AND serial = 'A1'") == [2]


def test_a_change_at_another_version_is_a_conflict_and_leaves_no_trace(store, readers, look):
    store.commit([device()])
    change(store, a=1)
    outcome = change(store, version=0, a=2)
    assert isinstance(outcome, TwinError)
    assert (outcome.code, outcome.details["desired_version"]) == ("conflict", 1)
    assert twin(readers).desired == {"a": 1}
    assert look.column("SELECT COUNT(*) FROM event WHERE kind = 'twin'") == [1]


def test_of_many_operators_at_once_with_the_same_version_one_wins_each_round(store, readers, database_url):
    """There is one writer; this holds even with several."""
    store.commit([device()])
    change(store, start=True)
    outcomes = []

    def operate(number):
        own = Store(open_database(database_url))
        for version in range(1, 9):
            while (outcome := attempt(own, version, number)) is None:
                pass
            outcomes.append(outcome)
        own.close()

    operators = [threading.Thread(target=operate, args=(number,)) for number in range(4)]
    for operator in operators:
        operator.start()
    for operator in operators:
        operator.join(60)
    won = [each for each in outcomes if isinstance(each, Changed)]
    assert len(outcomes) == 32
    assert sorted(each.twin.desired_version for each in won) == list(range(2, len(won) + 2))
    kept = twin(readers)
    assert kept.desired_version == len(won) + 1
    latest = max(won, key=lambda each: each.twin.desired_version)
    assert kept.desired == latest.twin.desired


def attempt(store, version, number):
    """The outcome of a change; None where the database was busy with another."""
    try:
        return change(store, version=version, **{f"op{number}": version})
    except StoreUnavailable:
        return None


def test_the_largest_document_fits(store, readers):
    store.commit([device(), report(reported='{"a":"' + "\N{ROCKET}" * 8_000 + '"}')])
    change(store, a="x" * 32_000)
    kept = twin(readers)
    assert (len(kept.desired["a"]), len(kept.reported["a"])) == (32_000, 8_000)


# What is published, and what is left of a deleted device


def test_what_brokers_retain_is_found_a_page_at_a_time_by_serial(store, readers):
    store.commit([device(f"d{number}") for number in range(5)])
    for number in (3, 1, 4):
        change(store, f"d{number}", a=1)
    store.commit([report("d2")])
    assert published(readers, limit=2) == ["d1", "d3"]
    assert published(readers, after="d3") == ["d4"]


def test_the_twin_of_a_deleted_device_is_emptied_and_kept_until_brokers_have_forgotten_it(store, readers):
    store.commit([device(), report()])
    change(store, secret="x")
    assert store.commit([DeleteDevice("A1")]).deleted == ["A1"]
    assert twin(readers) == Twin(serial="A1", to_clear=True)
    assert published(readers) == ["A1"]
    store.run(lambda database: drop_cleared(database, "A1"))
    assert twin(readers) is None


def test_a_device_without_a_twin_leaves_none_behind(store, readers):
    store.commit([device()])
    store.commit([DeleteDevice("A1"), DeleteDevice("NEVER")])
    assert twin(readers) is None


def test_a_device_that_has_come_back_keeps_what_it_reported_since(store, readers):
    store.commit([device()])
    change(store, a=1)
    store.commit([DeleteDevice("A1"), device(), report(version=1)])
    store.run(lambda database: drop_cleared(database, "A1"))
    kept = twin(readers)
    assert (kept.reported_version, kept.desired_version, kept.to_clear) == (1, 0, False)
    assert change(store, a=1).twin.desired_version == 2


def test_the_versions_of_new_twins_begin_above_those_of_deleted_devices(store):
    store.commit([device("A1"), device("B2"), device("C3")])
    for version in range(4):
        change(store, "A1", version, number=version)
    change(store, "B2", a=1)
    store.commit([DeleteDevice("A1")])
    store.commit([DeleteDevice("B2")])
    assert store.run(find_floor) == 4
    assert change(store, "C3", a=1).twin.desired_version == 5


def test_a_device_that_has_come_back_with_something_desired_is_not_cleared(store, readers):
    store.commit([device()])
    change(store, a=1)
    store.commit([DeleteDevice("A1"), device()])
    change(store, b=2)
    store.run(lambda database: drop_cleared(database, "A1"))
    assert (twin(readers).desired, twin(readers).to_clear) == ({"b": 2}, False)


@pytest.mark.parametrize("commits", [1, 2])
def test_a_batch_that_is_committed_twice_changes_nothing_more(store, readers, commits):
    for _ in range(commits):
        store.commit([device(), report()])
    assert twin(readers).reported_version == 1
    assert store.run(lambda database: find_twin(database, "A1")) == twin(readers)
