from __future__ import annotations

from functools import partial

import msgspec

from actors.enrolment.rules import Enrolment
from actors.messages import (
    DeleteDevice,
    StoreDeadLetter,
    StoreDevice,
    StoreEvent,
    StoreLastSeen,
    StorePresence,
    StoreSensors,
)
from actors.storage.administration import load_dead_letter, load_devices, mark_replayed
from actors.storage.enrolment import put_enrolment, put_record
from actors.storage.purge import SLICE
from actors.storage.tokens import create_token
from tests.storage.build import NOON, device, digest, reading, snapshot

PACKET = (3 << 16) | 77  # connection 3, packet id 77


def letter(**fields) -> StoreDeadLetter:
    values = {"reason": "not_json", "detail": "offset 3", "link": "a.data", "topic": "p/gateway/7/input"}
    return StoreDeadLetter(**(values | {"payload": b"\xff\x00{", "rx_us": NOON} | fields))


def load(store, after="", limit=1000):
    return store.run(lambda database: load_devices(database, after, limit))


def test_a_committed_batch_is_visible_to_another_connection(store, look):
    result = store.commit([device(), reading(body='{"t":21.5}', link="a.data", token=PACKET)])
    assert result.settled == {"a.data": [PACKET]}
    assert look.run(
        "SELECT device.serial, ts_us, measures FROM reading JOIN device ON device.id = reading.device_id"
    ) == [("A1", NOON, '{"t":21.5}')]


def test_every_column_of_a_reading_is_kept(store, look):
    store.commit([device(), reading(at=5, body="{}", rx_us=NOON + 9, clock="ntp", source="http", channel="output")])
    ((ts_us, stored, *rest),) = look.run("SELECT ts_us, digest, rx_us, clock, source, channel, measures FROM reading")
    assert (ts_us, bytes(stored)) == (NOON + 5, digest("{}"))
    assert rest == [NOON + 9, "ntp", "http", "output", "{}"]


def test_a_reading_that_comes_again_is_a_duplicate_and_settled(store, look):
    first = reading(link="a.data", token=PACKET)
    assert store.commit([device(), first]).new == [first]
    again = reading(link="a.data", token=PACKET + (1 << 16), dup=True)
    result = store.commit([again, reading(at=1)])
    assert [new.ts_us for new in result.new] == [NOON + 1]
    assert result.duplicates == 1
    assert result.settled == {"a.data": [again.token]}
    assert look.column("SELECT COUNT(*) FROM reading") == [2]


def test_a_duplicate_within_a_batch_counts_once(store, look):
    batch = [device(), reading(), reading(at=1), reading(), reading(at=1), reading()]
    result = store.commit(batch)
    assert result.new == [batch[1], batch[2]]
    assert result.duplicates == 3
    assert look.column("SELECT COUNT(*) FROM reading") == [2]


def test_two_readings_with_one_timestamp_are_two(store, look):
    result = store.commit([device(), reading(body='{"t":1}'), reading(body='{"t":2}')])
    assert (len(result.new), result.duplicates) == (2, 0)
    assert sorted(look.column("SELECT measures FROM reading")) == ['{"t":1}', '{"t":2}']


def test_one_message_of_two_devices_is_two(store):
    result = store.commit([device("A1"), device("a1"), reading("A1"), reading("a1")])
    assert (len(result.new), result.duplicates) == (2, 0)


def test_serials_that_differ_by_case_are_two_devices(store, look):
    store.commit([device("abc"), device("ABC"), device("abc")])
    assert sorted(look.column("SELECT serial FROM device")) == ["ABC", "abc"]


def test_a_second_start_finds_everything_and_stores_nothing_twice(make_store, look):
    batch = [device(), *(reading(at=at) for at in range(10))]
    make_store().commit(batch)
    result = make_store().commit(batch)
    assert (result.new, result.duplicates) == ([], 10)
    assert look.column("SELECT COUNT(*) FROM device") == [1]


def test_large_batches_with_some_known_rows_tell_exactly_which_were_new(store):
    store.commit([device(), *(reading(at=at) for at in range(0, 3000, 3))])
    result = store.commit([reading(at=at) for at in range(3000)])
    assert [new.ts_us - NOON for new in result.new] == [at for at in range(3000) if at % 3]
    assert result.duplicates == 1000


def test_a_stamped_redelivery_is_recognised_by_packet_id_and_digest(make_store, look):
    first = reading(stamped=True, link="a.data", token=PACKET)
    make_store().commit([device(), first])
    later = reading(at=900, stamped=True, link="a.data", token=(4 << 16) | 77, dup=True)
    result = make_store().commit([later])
    assert (result.new, result.duplicates) == ([], 1)
    assert result.settled == {"a.data": [later.token]}
    assert look.column("SELECT ts_us FROM reading") == [NOON]


def test_a_stamped_reading_that_is_no_redelivery_is_new(store):
    store.commit([device("A1"), device("B2"), reading(stamped=True, link="a.data", token=PACKET)])
    others = [
        reading(at=1, stamped=True, link="a.data", token=PACKET + 1, dup=True),  # another packet id
        reading(at=2, stamped=True, link="a.data", token=PACKET, dup=True, body='{"t":2}'),  # another body
        reading(at=3, stamped=True, link="b.data", token=PACKET, dup=True),  # another link
        reading("B2", at=4, stamped=True, link="b.data", token=PACKET, dup=True),  # another device
        reading(at=5, stamped=True, link="a.data", token=PACKET, dup=False, body='{"t":2}'),  # no redelivery at all
        reading(at=6, stamped=True),  # nothing to acknowledge
    ]
    assert store.commit(others).new == others


def test_a_stamped_redelivery_within_one_batch_is_recognised(store):
    first = reading(stamped=True, link="a.data", token=PACKET)
    again = reading(at=7, stamped=True, link="a.data", token=PACKET, dup=True)
    result = store.commit([device(), first, again])
    assert (result.new, result.duplicates) == ([first], 1)


def test_only_stamped_readings_leave_receipts(store, look):
    store.commit([device(), reading(link="a.data", token=PACKET), reading(at=1, stamped=True)])
    assert look.column("SELECT COUNT(*) FROM receipt") == [0]
    for at in (2, 3):  # a packet id is used again and again
        store.commit([reading(at=at, stamped=True, link="a.data", token=PACKET)])
    assert look.run("SELECT link, mid, ts_us FROM receipt") == [("a.data", 77, NOON + 3)]


def test_the_last_snapshot_of_a_serial_wins(store):
    store.commit([device("B"), device("A", site="one"), reading("A"), device("A", site="two", label="x")])
    store.commit([device("B", site="three")])
    assert [(found.serial, found.site, found.label) for found in load(store)] == [("A", "two", "x"), ("B", "three", "")]


def test_updates_use_up_no_ids(store, look):
    for count in range(20):
        store.commit([device("A", hostname=f"h{count}")])
    store.commit([device("B")])
    ids = look.column("SELECT id FROM device ORDER BY id")
    assert ids[1] - ids[0] == 1


def test_a_device_comes_back_from_the_database_as_it_was(store):
    whole = snapshot(
        type="monstro", device_id="1", site="plant", label="monstro/1", group="g", presence="online", reason="data",
        since_us=NOON, ip_address="10.0.0.1", hostname="höst", mac_address="2c:cf:67:6c:45:f2", first_seen_us=NOON - 1,
        last_seen_us=NOON - 5, offline_after=12.5, quarantined=True, pinned=True, services=b'{"ssh":{"port":22}}',
        system_info='{"n":"\N{GRINNING FACE}"}'.encode(), metadata=b"{}", device_token="t" * 4000, session="s",
        broker="local",
    )  # fmt: skip
    store.commit([device("other"), StoreDevice(whole)])
    assert load(store)[0] == whole


def test_devices_are_loaded_in_slices(store):
    serials = [f"S{number:03}" for number in range(25)]
    store.commit([device(serial) for serial in reversed(serials)])
    found: list[str] = []
    while part := load(store, found[-1] if found else "", 10):
        found += [one.serial for one in part]
    assert found == serials


def test_last_seen_has_a_table_of_its_own(store, look):
    store.commit([device("A", last_seen_us=NOON), device("B")])
    assert [one.last_seen_us for one in load(store)] == [NOON, 0]
    store.commit([StoreLastSeen([("A", NOON + 1), ("B", NOON + 2), ("unknown", 1), ("A", NOON + 3)])])
    store.commit([device("A", last_seen_us=NOON + 9)])
    assert [one.last_seen_us for one in load(store)] == [NOON + 3, NOON + 2]
    assert look.column("SELECT COUNT(*) FROM last_seen") == [2]


def test_a_transition_updates_the_device_and_leaves_an_event(store, look):
    store.commit([device("A"), StorePresence("A", "online", "heartbeat", NOON)])
    (found,) = load(store)
    assert (found.presence, found.reason, found.since_us) == ("online", "heartbeat", NOON)
    ((kind, serial, ts_us, data),) = look.run("SELECT kind, serial, ts_us, data FROM event")
    assert (kind, serial, ts_us) == ("presence", "A", NOON)
    assert msgspec.json.decode(data) == {"presence": "online", "reason": "heartbeat"}


def test_of_transitions_and_snapshots_in_one_batch_the_last_one_counts(store, look):
    went = StorePresence("A", "offline", "timeout", NOON + 1)
    store.commit([device("A", presence="online", since_us=NOON), went])
    assert load(store)[0].presence == "offline"
    store.commit([went, device("A", presence="online", since_us=NOON + 2)])
    assert load(store)[0].presence == "online"
    store.commit([StorePresence("A", "online", "data", NOON + 3), StorePresence("A", "offline", "will", NOON + 4)])
    assert load(store)[0].reason == "will"
    assert look.column("SELECT COUNT(*) FROM event") == [4]


def test_a_sensor_keeps_the_time_of_its_first_reading(store, look):
    store.commit([device(), StoreSensors("A1", ["t", "h", "T"], NOON), StoreSensors("nobody", ["t"], NOON)])
    store.commit([StoreSensors("A1", ["t", "p"], NOON + 1)])
    rows = look.run("SELECT name, first_seen_us FROM sensor ORDER BY first_seen_us, name")
    assert sorted(rows) == [("T", NOON), ("h", NOON), ("p", NOON + 1), ("t", NOON)]


def test_a_dead_letter_keeps_its_bytes_and_is_settled(store):
    result = store.commit([letter(token=PACKET, serial="A1", qos=1)])
    assert result.settled == {"a.data": [PACKET]}
    assert result.dead == [letter(token=PACKET, serial="A1", qos=1)]
    assert store.run(lambda database: load_dead_letter(database, 1)) == letter(serial="A1", qos=1)
    assert store.run(lambda database: load_dead_letter(database, 2)) is None


def test_a_replayed_dead_letter_is_marked(store, look):
    store.commit([letter()])
    assert store.run(lambda database: mark_replayed(database, 1, NOON)) is True
    assert store.run(lambda database: mark_replayed(database, 9, NOON)) is False
    assert look.column("SELECT replayed_us FROM dead_letter") == [NOON]


def test_events_are_kept_in_order(store, look):
    store.commit([StoreEvent("blind", "", NOON, "{}"), StoreEvent("sight", "", NOON, '{"s":1}')])
    assert look.column("SELECT kind FROM event ORDER BY id") == ["blind", "sight"]


def test_a_deleted_device_is_gone_with_all_it_had(store, look):
    store.commit([device("A"), reading("A"), StoreSensors("A", ["t"], NOON), StoreLastSeen([("A", NOON)])])
    store.commit([reading("A", at=1, stamped=True, link="a", token=5), StoreEvent("x", "A", NOON, "{}"), device("B")])
    store.commit([DeleteDevice("A"), DeleteDevice("unknown")])
    assert [one.serial for one in load(store)] == ["B"]
    store.commit([reading("B")])
    while store.purge():
        pass
    assert not store.is_purge_due
    assert look.column("SELECT COUNT(*) FROM reading") == [1]
    for table in ("sensor", "last_seen", "receipt", "event"):
        assert look.column(f"SELECT COUNT(*) FROM {table}") == [0], table
    assert look.column("SELECT serial FROM device") == ["B"]


def test_a_deleted_device_has_no_credentials_and_the_record_of_its_enrolment_stays(store, look):
    store.commit([device("A"), device("B")])
    row = {"state": "denied", "token_id": 1, "requested_us": 1, "approved_until_us": None, "enrolled_us": None}
    for serial in ("A", "B"):
        store.run(partial(create_token, role="device", name="t", now_us=NOON, serial=serial))
        known = Enrolment(serial=serial, **row)
        store.run(lambda database, known=known: put_enrolment(database, None, known))
    store.run(partial(create_token, role="read", name="an operator", now_us=NOON, serial="A"))
    trace = {"action": "deny", "by": "ada", "from": "", "detail": ""}
    store.run(lambda database: put_record(database, "A", NOON, trace))
    assert store.commit([StoreEvent("x", "A", NOON, "{}"), DeleteDevice("A")]).deleted == ["A"]
    assert look.run("SELECT name, serial FROM api_token WHERE revoked_us IS NOT NULL") == [("t", "A")]
    assert look.column("SELECT serial FROM enrolment") == ["B"]
    assert look.column("SELECT kind FROM event WHERE serial = 'A'") == ["enrolment"]


def test_the_readings_of_a_deleted_device_go_in_slices_and_survive_a_restart(make_store, look):
    store = make_store()
    store.commit([device("A"), *(reading("A", at=at) for at in range(SLICE + 1))])
    store.commit([DeleteDevice("A")])
    assert store.purge()
    assert look.column("SELECT COUNT(*) FROM reading") == [1]
    successor = make_store()
    result = successor.commit([device("Z"), reading("Z")])
    assert len(result.new) == 1
    while successor.purge():
        pass
    assert look.column("SELECT measures FROM reading") == [reading().measures]


def test_the_newest_row_stays_until_there_is_a_newer_one_so_that_no_id_is_given_twice(store, look):
    store.commit([device("A"), reading("A"), reading("A", at=1), device("B"), DeleteDevice("A")])
    while store.purge():
        pass
    (last,) = look.column("SELECT id FROM reading")
    assert [one.serial for one in load(store)] == ["B"]
    store.commit([reading("B")])
    assert max(look.column("SELECT id FROM reading")) > last
    store.begin_expiry()  # looks again
    while store.purge():
        pass
    assert len(look.column("SELECT id FROM reading")) == 1
    assert look.column("SELECT serial FROM device") == ["B"]


def test_what_follows_a_deletion_belongs_to_a_new_device(store, look):
    store.commit([device("A", site="old"), reading("A")])
    store.commit([reading("A", at=1), DeleteDevice("A"), device("A", site="new"), reading("A", at=2)])
    while store.purge():
        pass
    assert [one.site for one in load(store)] == ["new"]
    assert look.column("SELECT ts_us FROM reading") == [NOON + 2]


def test_readings_of_a_device_without_a_record_are_dead_letters(store):
    result = store.commit([device("A"), reading("A"), reading("ghost", link="a.data", token=PACKET)])
    assert len(result.new) == 1
    assert [(dead.reason, dead.serial, dead.payload) for dead in result.dead] == [
        ("unknown_device", "ghost", b'{"t":1}')
    ]
    assert result.settled == {"a.data": [PACKET]}


def test_a_token_of_two_readings_is_settled_once_for_each_link(store):
    batch = [device(), reading(link="a", token=1), reading(at=1, link="a", token=1), reading(at=2, link="b", token=1)]
    assert store.commit(batch).settled == {"a": [1], "b": [1]}


def test_an_empty_batch_does_nothing(store):
    assert store.commit([]).settled == {}
