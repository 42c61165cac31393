"""Scans in the database: each once, found again by device, code and time, gone when they are old or their device is."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playhouse.migrations import Runner

from actors.messages import DeleteDevice
from actors.storage.database import MIGRATIONS, migrate, open_database
from actors.storage.queries import BadCursor
from actors.storage.retention import RetentionRules
from actors.storage.rollups import DAY_US
from actors.storage.scans import KEY_LENGTH, FindScans
from tests.storage.build import NOON, ask_all, device, reading, scan

PACKET = (3 << 24) | 77  # packet id 77 of connection 3


def unnamed(at=0, **fields):
    """A scan without id and timestamp, as the decoder makes it: its id is that of one receipt."""
    told = {"stamped": True, "named": False, "scan_id": f"derived-{at}", "link": "a.data", "token": PACKET}
    return scan(at=at, **(told | fields))


def ids(items):
    return [item["scan_id"] for item in items]


# Once


def test_a_scan_is_stored_with_all_that_is_known_of_it_and_its_delivery_is_settled(store, readers):
    told = scan(clock="ntp", symbology="EAN-13", valid=False, scanner="Zebra DS2208", link="a.data", token=PACKET)
    result = store.commit([device(), told])
    assert (result.scans, result.known_scans, result.settled) == ([told], [], {"a.data": [PACKET]})
    (item,) = readers.ask(FindScans()).items
    item.pop("id")
    assert item == {
        "device_id": "A1",
        "scan_id": "s0",
        "code": "4006381333931",
        "symbology": "EAN-13",
        "valid": False,
        "scanner": "Zebra DS2208",
        "clock": "ntp",
        "source": "mqtt",
        "ts_us": NOON,
        "rx_us": NOON,
    }


def test_a_scan_that_comes_again_is_known_and_settled_whatever_else_it_says(store, readers):
    store.commit([device(), scan()])
    again = scan(rx_us=NOON + 9, source="http", code="another", link="a.data", token=PACKET)
    result = store.commit([again])
    assert (result.scans, result.known_scans) == ([], [again])
    assert result.settled == {"a.data": [PACKET]}
    assert [item["code"] for item in readers.ask(FindScans()).items] == ["4006381333931"]


def test_a_scan_twice_in_a_batch_counts_once(store):
    result = store.commit([device(), scan(), scan(at=1), scan()])
    assert (ids_of(result.scans), ids_of(result.known_scans)) == (["s0", "s1"], ["s0"])


def ids_of(scans):
    return [each.scan_id for each in scans]


def test_one_id_of_two_devices_is_two_scans(store):
    assert len(store.commit([device("A1"), device("B2"), scan("A1"), scan("B2")]).scans) == 2


def test_ids_that_differ_by_case_are_two_scans(store):
    assert len(store.commit([device(), scan(scan_id="a"), scan(scan_id="A")]).scans) == 2


def test_of_a_large_batch_with_known_scans_exactly_the_new_ones_are_told(store):
    store.commit([device(), *(scan(at=at) for at in range(0, 900, 3))])
    result = store.commit([scan(at=at) for at in range(900)])
    assert [each.ts_us - NOON for each in result.scans] == [at for at in range(900) if at % 3]
    assert len(result.known_scans) == 300


def test_a_redelivery_of_a_scan_without_id_and_time_is_recognised_by_its_packet_id(make_store, look):
    make_store().commit([device(), unnamed()])
    again = unnamed(at=900, token=(4 << 24) | 77, dup=True)
    result = make_store().commit([again])
    assert (result.scans, result.known_scans) == ([], [again])
    assert look.column("SELECT scan_id FROM scan") == ["derived-0"]


def test_a_scan_without_id_and_time_that_is_no_redelivery_is_new(store):
    store.commit([device("A1"), device("B2"), unnamed()])
    others = [
        unnamed(at=1, token=PACKET + 1, dup=True),  # another packet id
        unnamed(at=2, code="another", dup=True),
        unnamed(at=3, link="b.data", dup=True),
        unnamed(at=4, dup=False),  # the same code scanned once more
    ]
    assert store.commit(others).scans == others


def test_a_packet_id_that_a_reading_had_is_no_scan(store):
    store.commit([device(), reading(stamped=True, link="a.data", token=PACKET)])
    again = unnamed(dup=True)
    assert store.commit([again]).scans == [again]


# What the database refuses


def test_scans_of_a_device_without_a_record_are_dead_letters(store):
    lost = scan("GONE", link="a.data", token=PACKET, topic="devices/GONE/scans", payload=b"{}")
    result = store.commit([device(), scan(), lost])
    assert (len(result.scans), [letter.reason for letter in result.dead]) == (1, ["unknown_device"])
    assert (result.dead[0].topic, result.dead[0].token) == ("devices/GONE/scans", PACKET)
    assert result.settled == {"a.data": [PACKET]}


def test_a_scan_that_the_database_refuses_is_a_dead_letter_and_the_others_are_stored(store, look):
    look.refuse("scan", "scan_id", "s1")
    result = store.commit([device(), *(scan(at=at) for at in range(3))])
    assert ids_of(result.scans) == ["s0", "s2"]
    (letter,) = result.dead
    assert (letter.reason, letter.serial, letter.payload) == ("refused_by_database", "A1", b"4006381333931")
    assert "s1" in letter.detail


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=300))
def test_any_code_comes_back_as_it_was_and_is_found_by_itself(store, readers, code):
    store.commit([device(), DeleteDevice("A1"), device(), scan(code=code), scan(at=1, code=f"{code} ")])
    while store.purge():
        pass
    (item,) = readers.ask(FindScans(code=code)).items
    assert (item["code"], item["scan_id"]) == (code, "s0")


# Finding


@pytest.fixture
def filled(store):
    """Two devices, twelve scans each, of two codes in turn; B2's clock is an hour ahead."""
    store.commit([device("A1"), device("B2")])
    store.commit([scan("A1", at=at, code="even" if at % 2 == 0 else "odd") for at in range(12)])
    ahead = 3_600_000_000
    store.commit([scan("B2", at=ahead + at, code="even" if at % 2 == 0 else "odd") for at in range(12)])
    return store


def test_scans_come_newest_first_page_after_page_each_once(filled, readers):
    items = ask_all(readers, FindScans(limit=5))
    assert [item["ts_us"] for item in items] == sorted((item["ts_us"] for item in items), reverse=True)
    assert len(items) == len({(item["device_id"], item["scan_id"]) for item in items}) == 24
    assert {item["device_id"] for item in items[:12]} == {"B2"}


def test_scans_of_one_moment_are_paged_without_loss(store, readers):
    store.commit([device(), *(scan(scan_id=f"x{n}") for n in range(7))])
    assert sorted(ids(ask_all(readers, FindScans(limit=2)))) == [f"x{n}" for n in range(7)]


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"serial": "A1"}, 12),
        ({"serial": "a1"}, 0),
        ({"code": "odd"}, 12),
        ({"code": "od"}, 0),
        ({"code": "odd "}, 0),
        ({"code": "ODD"}, 0),
        ({"serial": "B2", "code": "even"}, 6),
        ({"until_us": NOON + 3}, 3),
        ({"since_us": NOON + 3, "until_us": NOON + 12}, 9),
        ({"serial": "A1", "code": "odd", "since_us": NOON + 3, "until_us": NOON + 8}, 3),
    ],
)
def test_scans_are_found_by_device_code_and_time(filled, readers, wanted, count):
    items = ask_all(readers, FindScans(limit=4, **wanted))
    assert len(items) == count
    assert all(item["device_id"] == wanted.get("serial", item["device_id"]) for item in items)
    assert all(item["code"] == wanted.get("code", item["code"]) for item in items)


def test_codes_that_begin_alike_beyond_the_index_are_told_apart(store, readers):
    start = "x" * (KEY_LENGTH + 10)
    store.commit([device(), scan(code=f"{start}1"), scan(at=1, code=f"{start}2")])
    assert ids(readers.ask(FindScans(code=f"{start}2")).items) == ["s1"]


@pytest.mark.parametrize("cursor", ["", "x", "1", "1-", "-1", "1-x", "1-2-3", "9" * 30 + "-1"])
def test_a_cursor_that_no_page_gave_is_refused(readers, cursor):
    with pytest.raises(BadCursor):
        readers.ask(FindScans(after=cursor))


@pytest.mark.parametrize(
    ("query", "device_id", "index"),
    [
        (FindScans(), None, "scan_ts_us_id"),
        (FindScans(since_us=1, until_us=9, after="5-3"), None, "scan_ts_us_id"),
        (FindScans(), 1, "scan_device_id_ts_us_id"),
        (FindScans(code="x"), None, "scan_code_key_ts_us_id"),
        (FindScans(code="x"), 1, "scan_code_key_ts_us_id"),
    ],
)
def test_every_question_is_answered_by_an_index_in_its_order(tmp_path, query, device_id, index):
    """Looked at in SQLite, which tells its plan in words; the others have the same indexes."""
    database = open_database(f"sqlite:///{tmp_path}/plans.db")
    database.connect()
    migrate(database)
    sql, values = database.get_sql_context().sql(query.to_query(database, device_id)).query()
    plan = [row[-1] for row in database.execute_sql(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()]
    database.close()
    assert any(f"USING INDEX {index}" in step for step in plan), plan
    assert not any("SORT" in step or "B-TREE" in step for step in plan), plan


# The end


def expire(store, now=NOON):
    store.begin_expiry()
    steps = []
    while store.is_expiry_due:
        steps.append(store.expire(now))
    return [step for step in steps if step[1]]


def test_by_default_scans_are_kept_for_ever(store):
    store.commit([device(), scan(rx_us=0)])
    assert expire(store) == []


def test_scans_go_by_the_time_of_their_receipt_step_by_step(make_store, look, monkeypatch):
    monkeypatch.setattr("actors.storage.retention.STEP", 4)
    store = make_store(rules=RetentionRules(scans_days=1))
    store.commit([device(), *(scan(at=at, rx_us=NOON - 2 * DAY_US) for at in range(6))])
    store.commit([scan(at=at - 30 * DAY_US) for at in range(10, 13)])  # its clock lies
    assert expire(store) == [("scan", 4), ("scan", 2)]
    assert len(look.column("SELECT id FROM scan")) == 3


def test_the_scans_of_a_deleted_device_are_not_found_and_go_in_slices(make_store, readers, look, monkeypatch):
    monkeypatch.setattr("actors.storage.purge.SLICE", 4)
    store = make_store()
    store.commit([device("A1"), device("B2"), scan("B2"), *(scan(at=at) for at in range(10))])
    store.commit([DeleteDevice("A1")])
    assert [item["device_id"] for item in readers.ask(FindScans()).items] == ["B2"]
    assert readers.ask(FindScans(serial="A1")).items == []
    assert store.purge()
    successor = make_store()
    while successor.purge():
        pass
    assert len(look.column("SELECT id FROM scan")) == 1
    assert look.column("SELECT serial FROM device") == ["B2"]


def test_a_device_that_comes_back_may_use_its_ids_again(store):
    store.commit([device(), scan(), DeleteDevice("A1")])
    assert len(store.commit([device(), scan()]).scans) == 1


# The table


def test_an_upgrade_that_was_killed_half_way_goes_on(database_url):
    """MariaDB commits each step of a migration by itself."""
    database = open_database(database_url)
    database.connect()
    Runner(database, str(MIGRATIONS)).up("0002_analysis")
    database.execute_sql(
        "CREATE TABLE scan (id BIGINT NOT NULL PRIMARY KEY, device_id INTEGER NOT NULL, scan_id VARCHAR(128) NOT "
        "NULL, ts_us BIGINT NOT NULL, rx_us BIGINT NOT NULL, clock VARCHAR(16) NOT NULL, source VARCHAR(16) NOT NULL, "
        "code TEXT NOT NULL, code_key VARCHAR(64) NOT NULL, symbology VARCHAR(64) NOT NULL, valid SMALLINT, "
        "scanner VARCHAR(255) NOT NULL)"
    )
    database.execute_sql("CREATE UNIQUE INDEX scan_device_id_scan_id ON scan (device_id, scan_id)")
    assert migrate(database)[0] == "0003_scans"
    found = {tuple(index.columns): index.unique for index in database.get_indexes("scan")}
    database.close()
    assert found.pop(("device_id", "scan_id"))
    assert {("device_id", "ts_us", "id"), ("code_key", "ts_us", "id"), ("ts_us", "id")} <= found.keys()
