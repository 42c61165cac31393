"""The tables of the ledger, on each kind of database."""

from __future__ import annotations

import json

import msgspec
import pytest

from actors.messages import DeleteDevice
from actors.notifications.messages import Change, Entered, Recipient
from actors.notifications.rules import SOURCES, STATES
from actors.storage import notifications
from actors.storage.models import Delivery, Notification
from actors.storage.notifications import (
    FindNotification,
    FindNotifications,
    HasExpired,
    NextDeliveries,
    NotificationTotals,
    adopt,
    enter,
    expire,
    mark,
    note_receipt,
)
from actors.storage.queries import BadCursor
from actors.storage.retention import RetentionRules
from actors.storage.rollups import DAY_US
from tests.notifications.build import LINK, NOON_US, entry, order
from tests.storage.build import device

PAIR = (("pi-1", "devices/pi-1/notifications"), ("pi-2", "devices/pi-2/notifications"))


@pytest.fixture
def put(store):
    return lambda *entries, batch="b1": store.run(lambda db: enter(db, order(*entries, batch=batch), NOON_US))


@pytest.fixture
def ask(store):
    return lambda query: store.run(query.run)


def waiting(ask, rank=1, after=0, limit=100, link=LINK):
    return ask(NextDeliveries(link=link, rank=rank, after=after, limit=limit))


def to_state(store, delivery, state, reason=""):
    changes = [Change(delivery, "n1", "pi-1", "t", state, reason)]
    store.run(lambda db: mark(db, changes, NOON_US + 1))


def states(look):
    return dict(look.run("SELECT id, state FROM delivery"))


def receipt(store, serial="pi-1", key="n1", state="received", reason=""):
    return store.run(
        lambda db: note_receipt(db, serial=serial, notification_id=key, state=state, reason=reason, now_us=NOON_US + 2)
    )


def test_what_is_kept_waits_with_all_that_is_needed_to_send_it(put, ask, look):
    assert put(entry(to=PAIR, retain=True, expires_us=NOON_US + 9)) == Entered(("n1",), is_new=True)
    first, second = waiting(ask)
    assert (first.notification_id, first.device, first.topic) == ("n1", "pi-1", "devices/pi-1/notifications")
    assert (first.link, first.qos, first.retain, first.expires_us) == (LINK, 1, True, NOON_US + 9)
    assert json.loads(first.payload) == {"title": "Hot", "id": "n1"}
    assert second.device == "pi-2"
    ((kind, serial, data),) = look.run("SELECT kind, serial, data FROM event")
    told = json.loads(data)
    assert (kind, serial, told["action"], told["by"], told["recipients"]) == ("notification", "", "send", "admin", 2)


def test_one_that_nothing_can_be_sent_to_has_failed_from_the_start(put, ask, look):
    put(entry(recipients=(Recipient("pi-1", "a/b", LINK), Recipient("pi-2", "a/+", LINK, "no topic"))))
    assert [row.device for row in waiting(ask)] == ["pi-1"]
    assert look.run("SELECT device, state, reason FROM delivery ORDER BY id") == [
        ("pi-1", "queued", ""),
        ("pi-2", "failed", "no topic"),
    ]


def test_the_record_of_one_to_one_device_is_in_its_timeline(put, look):
    put()
    assert look.run("SELECT serial FROM event") == [("pi-1",)]


def test_the_same_batch_is_kept_once(put, look):
    entries = [entry("b1-0"), entry("b1-2", seq=2)]
    assert put(*entries).is_new
    assert put(*entries) == Entered(("b1-0", "b1-2"), is_new=False)
    assert look.run("SELECT COUNT(*) FROM delivery") == [(2,)]
    assert look.run("SELECT COUNT(*) FROM event") == [(1,)]


def test_a_batch_of_the_same_name_is_the_same_only_with_the_same_contents(put, look):
    said = '{"title": "Hot", "timestamp": "%s"}'
    put(entry(payload=said % "noon"))
    assert put(entry(payload=said % "later")).is_same
    assert not put(entry(payload='{"title": "Cold"}')).is_same
    assert not put(entry(payload=said % "noon", to=(("", "elsewhere"),))).is_same
    assert not put(entry("b1-0", payload=said % "noon")).is_same
    assert not put(entry(payload=said % "noon"), entry("n2", seq=1)).is_same
    assert look.run("SELECT COUNT(*) FROM delivery") == [(1,)]


def test_a_batch_is_the_same_when_its_recipients_have_changed_a_little(put, look):
    put(entry(to=PAIR))
    assert put(entry(to=PAIR[1:])).is_same
    look.run("DELETE FROM delivery")
    assert put(entry(to=PAIR)).is_same


def test_what_waits_comes_by_priority_and_in_order(put, ask):
    put(*[entry(f"n{number}", seq=number) for number in range(5)], batch="b1")
    put(entry("urgent", priority="urgent"), batch="b2")
    assert [row.notification_id for row in waiting(ask, rank=3)] == ["urgent"]
    first = waiting(ask, limit=2)
    rest = waiting(ask, after=first[-1].id)
    assert [row.notification_id for row in first + rest] == ["n0", "n1", "n2", "n3", "n4"]
    assert waiting(ask, link="other.control") == []


def test_every_state_is_reached_from_its_sources_and_from_no_other(put, store, look, ask):
    put(*[entry(f"n{number}", seq=number) for number in range(len(STATES) ** 2)])
    numbers = [row.id for row in waiting(ask, limit=1000)]
    expected = {}
    pairs = [(before, after) for before in STATES for after in SOURCES]
    for number, (before, after) in zip(numbers, pairs, strict=False):
        store.run(lambda db, n=number, s=before: Delivery.update(state=s).where(Delivery.id == n).execute(db))
        to_state(store, number, after)
        expected[number] = after if before in SOURCES[after] else before
    found = states(look)
    assert {number: found[number] for number in expected} == expected


def test_a_receipt_takes_a_delivery_on_and_a_late_one_changes_nothing(put, store, look):
    put(entry(to=PAIR))
    shown, late = receipt(store, state="displayed"), receipt(store, state="received")
    assert (shown.state, shown.is_news) == ("displayed", True)
    assert (late.state, late.is_news) == ("displayed", False)
    assert look.run("SELECT device, state FROM delivery ORDER BY id") == [("pi-1", "displayed"), ("pi-2", "queued")]


def test_a_receipt_of_one_who_never_got_it_is_none(put, store):
    put()
    assert receipt(store, serial="pi-9") is None
    assert receipt(store, key="none") is None


def test_whoever_answers_to_a_topic_becomes_a_recipient(put, store, look):
    put(entry(to=(("", "emergency/all"),)))
    for state in ("received", "displayed"):
        assert receipt(store, serial="pi-9", state=state).state == state
    assert receipt(store, serial="pi-8", state="failed", reason="no screen").reason == "no screen"
    rows = look.run("SELECT device, topic, state FROM delivery ORDER BY id")
    assert rows == [
        ("", "emergency/all", "queued"),
        ("pi-9", "emergency/all", "displayed"),
        ("pi-8", "emergency/all", "failed"),
    ]


def test_what_nobody_wants_any_more_expires(put, store, ask, look):
    put(entry("n1", expires_us=NOON_US + 5), entry("n2", seq=1))
    assert not ask(HasExpired(NOON_US + 5))
    assert ask(HasExpired(NOON_US + 6))
    (change,) = store.run(lambda db: expire(db, NOON_US + 6))
    assert (change.notification_id, change.device, change.state) == ("n1", "pi-1", "expired")
    assert [state for _, state in sorted(states(look).items())] == ["expired", "queued"]
    assert not ask(HasExpired(NOON_US + 6))


def test_many_expire_a_part_at_a_time(put, store, monkeypatch):
    monkeypatch.setattr(notifications, "EXPIRED_AT_ONCE", 2)
    put(*[entry(f"n{number}", seq=number, expires_us=NOON_US + 5) for number in range(3)])
    parts = [store.run(lambda db: expire(db, NOON_US + 6)) for _ in range(3)]
    assert [len(part) for part in parts] == [2, 1, 0]


def test_what_waits_for_a_link_that_is_gone_goes_through_another(put, store, ask):
    put()
    assert store.run(lambda db: adopt(db, ("new.control",), "new.control")) == 1
    assert [row.link for row in waiting(ask, link="new.control")] == ["new.control"]
    assert store.run(lambda db: adopt(db, ("new.control",), "new.control")) == 0


def test_a_notification_is_found_with_pages_of_its_deliveries(put, ask, store):
    put(entry(to=PAIR))
    number = waiting(ask)[0].id
    to_state(store, number, "accepted", "no_subscribers")
    found = ask(FindNotification(id="n1", limit=1))
    assert (found["status"], found["recipients"], found["waiting"]) == ("queued", 2, 1)
    assert found["counts"] == {"accepted": 1, "queued": 1}
    assert msgspec.json.decode(msgspec.json.encode(found["payload"]))["id"] == "n1"
    assert [row["reason"] for row in found["deliveries"]] == ["no_subscribers"]
    rest = ask(FindNotification(id="n1", limit=10, after=found["cursor"]))
    assert [row["device"] for row in rest["deliveries"]] == ["pi-2"]
    assert rest["cursor"] is None
    assert ask(FindNotification(id="none")) is None
    with pytest.raises(BadCursor):
        ask(FindNotification(id="n1", after="made-up"))


def test_a_bulk_is_found_by_its_id(put, ask):
    put(entry("b1-0"), entry("b1-1", seq=1))
    found = ask(FindNotification(id="b1"))
    assert (found["id"], found["notifications"], found["payload"], found["waiting"]) == ("b1", 2, None, 2)
    assert [row["notification_id"] for row in found["deliveries"]] == ["b1-0", "b1-1"]


def test_the_list_is_newest_first_in_pages_and_of_one_device(put, ask):
    for number in range(3):
        put(entry(f"n{number}", created_us=NOON_US + number // 2, to=PAIR[: 1 + number % 2]), batch=f"b{number}")
    first = ask(FindNotifications(limit=2))
    rest = ask(FindNotifications(limit=2, after=first.cursor))
    assert [item["id"] for item in first.items + rest.items] == ["n2", "n1", "n0"]
    assert rest.cursor is None
    assert first.items[1]["counts"] == {"queued": 2}
    (only,) = ask(FindNotifications(serial="pi-2")).items
    assert (only["id"], only["counts"]) == ("n1", {"queued": 1})
    with pytest.raises(BadCursor):
        ask(FindNotifications(after="made-up"))


def test_the_totals_are_by_state_priority_and_qos(put, ask, store):
    put(entry("n1"), entry("n2", seq=1), entry("n3", seq=2, priority="urgent"))
    to_state(store, waiting(ask)[0].id, "accepted")
    totals = {(state, rank, qos): (count, last) for state, rank, qos, count, last in ask(NotificationTotals())}
    assert totals == {
        ("accepted", 1, 1): (1, NOON_US + 1),
        ("queued", 1, 1): (1, NOON_US),
        ("queued", 3, 2): (1, NOON_US),
    }


def test_the_retention_deletes_the_old_with_their_deliveries(make_store, look):
    store = make_store(rules=RetentionRules(notifications_days=1))
    old = [entry(f"old-{number}", seq=number, to=PAIR) for number in range(3)]
    store.run(lambda db: enter(db, order(*old, batch="b1"), NOON_US))
    young = entry("young", created_us=NOON_US + DAY_US)
    store.run(lambda db: enter(db, order(young, batch="b2"), NOON_US))
    store.begin_expiry()
    deleted = {}
    while store.is_expiry_due:
        name, count = store.expire(NOON_US + DAY_US + 1)
        deleted[name] = deleted.get(name, 0) + count
    assert deleted["notification"] == 9
    assert look.run("SELECT id FROM notification") == [("young",)]
    assert look.run("SELECT notification_id FROM delivery") == [("young",)]


def test_the_models_have_what_the_migration_makes(store):
    for model in (Notification, Delivery):
        store.run(lambda db, table=model: list(table.select().execute(db)))


def test_with_a_device_goes_what_was_sent_to_it(store, put, look):
    store.commit([device("pi-1"), device("pi-2")])
    put(entry(to=PAIR))
    store.commit([DeleteDevice("pi-1")])
    assert look.run("SELECT device FROM delivery") == [("pi-2",)]
