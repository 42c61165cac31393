"""The Python API: who gets what, on which topic, and what is refused."""

from __future__ import annotations

import pytest

from actors.fleet import Fleet
from actors.messages import DeviceSnapshot
from actors.notifications import LedgerBoard, Letter, Message, NotificationError, Notifier
from actors.notifications.messages import Entered
from actors.notifications.notifier import MOST_IN_BULK, MOST_WARNINGS
from actors.presence import OfflineAfter
from actors.runtime import ManualClock
from actors.sight import BrokerSight
from actors.targets import Target, UnknownTargetError


class Groups:
    def members(self, name):
        if name == "pumps":
            return ["plc-1", "pi-1"]
        if name == "nobody":
            return []
        raise UnknownTargetError("group", name)


@pytest.fixture
def orders():
    return []


@pytest.fixture
def board():
    return LedgerBoard()


@pytest.fixture
def notifier(orders, board):
    clock = ManualClock()
    fleet = Fleet(clock, {"local": BrokerSight("local", 0.0), "far": BrokerSight("far", 0.0)}, OfflineAfter())
    fleet.add(DeviceSnapshot(serial="pi-1", kind="raspberry_pi", family="pi", broker="far"))
    fleet.add(DeviceSnapshot(serial="plc-1", kind="controller", family="pi", device_token="factory/plc-1/alerts"))
    fleet.add(DeviceSnapshot(serial="soil-1", kind="sensor", family="sensor", device_token="a/+/b"))
    fleet.add(DeviceSnapshot(serial="soil-2", kind="sensor", family="sensor", broker="gone"))

    def enter(order):
        is_new = all(order.batch != known.batch for known in orders)
        orders.append(order)
        return Entered(tuple(entry.id for entry in order.entries), is_new=is_new)

    links = ["local.control", "far.control"]
    return Notifier(fleet=fleet, groups=Groups(), enter=enter, clock=clock, board=board, links=links)


def recipients(orders):
    return [(to.device, to.topic, to.link) for order in orders for entry in order.entries for to in entry.recipients]


def test_a_device_gets_it_on_its_topic_through_its_broker(notifier, orders):
    key = notifier.notify("Hot", "85 °C", device="pi-1", priority="high", data={"a": 1}, ttl=60.0)
    assert recipients(orders) == [("pi-1", "devices/pi-1/notifications", "far.control")]
    (entry,) = orders[0].entries
    assert (entry.id, entry.qos, entry.rank, entry.expires_us - entry.created_us) == (key, 1, 2, 60_000_000)
    assert orders[0].by == "muster"


def test_a_device_token_is_its_topic_and_a_broker_that_is_gone_is_not_asked(notifier, orders):
    notifier.notify("Hot", device="plc-1")
    notifier.notify("Hot", device="soil-2")
    assert recipients(orders) == [
        ("plc-1", "factory/plc-1/alerts", "local.control"),
        ("soil-2", "devices/soil-2/notifications", "local.control"),
    ]


def test_a_group_gets_one_notification_with_a_delivery_each(notifier, orders):
    notifier.notify("Noon", group="pumps")
    assert len(orders[0].entries) == 1
    assert [device for device, _, _ in recipients(orders)] == ["pi-1", "plc-1"]


def test_one_whose_token_is_no_topic_keeps_no_other_of_its_group_from_getting_it(notifier, orders, board):
    told = notifier.send(Letter(Message(title="Noon"), Target(devices=("pi-1", "soil-1"))))
    ((good, bad),) = [entry.recipients for entry in orders[0].entries]
    assert (good.device, good.refused, told.recipients) == ("pi-1", "", 2)
    assert (bad.device, bad.topic) == ("soil-1", "a/+/b")
    assert "wildcard" in bad.refused
    assert board.refused == {"bad_topic": 1}


def test_a_device_that_is_deleted_this_very_moment_is_unknown(notifier, monkeypatch):
    monkeypatch.setattr(Fleet, "get", lambda *_: None)
    with pytest.raises(NotificationError) as refused:
        notifier.notify("Hot", device="pi-1")
    assert (refused.value.code, refused.value.field) == ("unknown_device", "device")


def test_a_topic_is_nobodys_device(notifier, orders):
    notifier.notify("Leave", topic="emergency/all", priority="urgent")
    assert recipients(orders) == [("", "emergency/all", "local.control")]


@pytest.mark.parametrize(
    ("letter", "code", "field"),
    [
        (Letter(Message(title="x"), Target(device="none")), "unknown_device", "device"),
        (Letter(Message(title="x"), Target(group="none")), "unknown_group", "group"),
        (Letter(Message(title="x"), Target(group="nobody")), "unknown_group", "group"),
        (Letter(Message(title="x"), Target(device="soil-1")), "bad_topic", "device_token of soil-1"),
        (Letter(Message(title="x"), None, "a/#"), "bad_topic", "topic"),
        (Letter(Message(), None, "a"), "bad_field", "title"),
        (Letter(Message(body="x" * 262_144), None, "a"), "too_large", "body"),
    ],
)
def test_what_cannot_be_sent_is_refused_and_counted(notifier, board, letter, code, field):
    with pytest.raises(NotificationError) as refused:
        notifier.send(letter)
    assert (refused.value.code, refused.value.field) == (code, field)
    assert board.refused == {code: 1}


def test_in_a_bulk_the_bad_keep_no_other_from_being_sent(notifier, orders, board):
    letters = [Letter(Message(title="x"), None, topic) for topic in ("a", "+", "b")]
    told = notifier.send_all(letters, by="admin", origin="10.0.0.7")
    first, second, third = told.results
    assert isinstance(second, NotificationError)
    assert [entry.id for entry in orders[0].entries] == [first, third] == [f"{told.id}-0", f"{told.id}-2"]
    assert (told.recipients, board.refused, orders[0].by, orders[0].origin) == (
        2,
        {"bad_topic": 1},
        "admin",
        "10.0.0.7",
    )


def test_a_bulk_is_bounded(notifier, board):
    for letters in ([], [Letter(Message(title="x"), None, "a")] * (MOST_IN_BULK + 1)):
        with pytest.raises(NotificationError) as refused:
            notifier.send_all(letters)
        assert refused.value.code == "too_many"
    assert board.refused["too_many"] == 2


def test_the_same_key_is_the_same_request(notifier):
    letter = Letter(Message(title="x"), None, "a")
    first, second, other = (notifier.send(letter, key=key) for key in ("k1", "k1", "k2"))
    assert (first.id, first.is_new, second.is_new) == (second.id, True, False)
    assert other.id != first.id
    assert notifier.send(letter).id != notifier.send(letter).id


def test_the_same_key_of_two_who_send_is_two_requests(notifier):
    letter = Letter(Message(title="x"), None, "a")
    assert notifier.send(letter, key="k", by="anna").id != notifier.send(letter, key="k", by="ben").id


def test_a_key_that_came_with_another_request_is_refused_and_counted(notifier, board, monkeypatch):
    other = Entered(("n1",), is_new=False, is_same=False)
    monkeypatch.setattr(notifier, "_enter", lambda _order: other)
    with pytest.raises(NotificationError) as refused:
        notifier.send(Letter(Message(title="x"), None, "a"), key="k1")
    assert (refused.value.code, refused.value.field) == ("key_reused", "Idempotency-Key")
    assert board.refused == {"key_reused": 1}


def test_large_payloads_are_warned_of_and_sent(notifier, orders, board):
    letters = [Letter(Message(body="x" * 11_000), Target(device="soil-2"))] * (MOST_WARNINGS + 5)
    told = notifier.send_all(letters)
    assert "soil-2 is a sensor" in told.warnings[0]
    assert (len(told.warnings), board.warned) == (MOST_WARNINGS, {"sensor": MOST_WARNINGS + 5})
    assert len(orders[0].entries) == MOST_WARNINGS + 5
