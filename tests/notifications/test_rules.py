"""What a notification may be, and what may become of it."""

from __future__ import annotations

import msgspec
import pytest

from actors.notifications.rules import (
    LARGEST_PAYLOAD,
    SOURCES,
    STATES,
    Message,
    NotificationError,
    check_message,
    check_topic,
    encode,
    status_of,
    warning_of,
)


@pytest.mark.parametrize(
    "topic",
    [
        "factory/floor-3/alerts",
        "emergency/building-a/all",
        "a",
        "1/2/3/4/5/6/7",
        "devices/pi-1/notifications",
        "größe/°C",
    ],
)
def test_topics_that_may_be_published_on(topic):
    check_topic(topic)


@pytest.mark.parametrize(
    ("topic", "why"),
    [
        ("", "is empty"),
        ("a/+/b", "wildcard"),
        ("a/#", "wildcard"),
        ("a\0b", "NUL"),
        ("1/2/3/4/5/6/7/8", "8 levels"),
        ("a//b", "empty level"),
        ("/a", "empty level"),
        ("a/", "empty level"),
        ("x" * 1025, "bytes"),
        ("é" * 513, "bytes"),
        ("\ud800", "not Unicode"),
        ("$SYS/broker", "belongs to the broker"),
        ("server/requests", "Muster itself"),
        ("muster/a/devices/b/availability", "Muster itself"),
        ("devices/pi-1/commands", "no topic of notifications"),
        ("devices/notifications", "no topic of notifications"),
        ("devices/a b/notifications", "no topic of notifications"),
    ],
)
def test_topics_that_may_not(topic, why):
    with pytest.raises(NotificationError, match=why) as refused:
        check_topic(topic)
    assert (refused.value.code, refused.value.field) == ("bad_topic", "topic")


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (Message(), "title"),
        (Message(title="x" * 1001), "title"),
        (Message(title="a\0b"), "title"),
        (Message(body="a\0b"), "body"),
        (Message(title="x", qos=3), "qos"),
        (Message(title="x", ttl=0), "ttl"),
        (Message(title="x", ttl=float("nan")), "ttl"),
    ],
)
def test_a_message_that_says_nothing_or_too_much_is_refused(message, field):
    with pytest.raises(NotificationError) as refused:
        check_message(message)
    assert (refused.value.code, refused.value.field) == ("bad_field", field)


@pytest.mark.parametrize("message", [Message(title="x"), Message(body="x"), Message(data={"a": 1})])
def test_one_of_title_body_and_data_is_enough(message):
    check_message(message)


@pytest.mark.parametrize(("priority", "qos"), [("low", 0), ("normal", 1), ("high", 1), ("urgent", 2)])
def test_the_priority_gives_the_qos_unless_it_is_given(priority, qos):
    assert Message(title="x", priority=priority).level == qos
    assert Message(title="x", priority=priority, qos=0).level == 0


def test_what_is_sent_has_the_fields_that_devices_know():
    said = encode(
        Message(title="Hot", body="85 °C", data={"a": [1]}, priority="high"), "n1", "2026-01-31T12:00:00.000Z"
    )
    assert msgspec.json.decode(said) == {
        "title": "Hot",
        "body": "85 °C",
        "data": {"a": [1]},
        "priority": "high",
        "timestamp": "2026-01-31T12:00:00.000Z",
        "id": "n1",
    }


def test_a_payload_has_at_most_256_kb_with_all_that_is_in_it():
    frame = len(encode(Message(body="x"), "n1", "t")) - 1
    encode(Message(body="x" * (LARGEST_PAYLOAD - frame)), "n1", "t")
    with pytest.raises(NotificationError) as refused:
        encode(Message(body="x" * (LARGEST_PAYLOAD - frame + 1)), "n1", "t")
    assert refused.value.code == "too_large"


def test_data_that_json_cannot_carry_is_refused():
    deep = {}
    for _ in range(5_000):
        deep = {"a": deep}
    for data in (deep, {"a": object()}):
        with pytest.raises(NotificationError) as refused:
            encode(Message(data=data), "n1", "t")
        assert (refused.value.code, refused.value.field) == ("bad_field", "data")


@pytest.mark.parametrize(
    ("kind", "size", "warns"),
    [
        ("sensor", 10_240, False),
        ("sensor", 10_241, True),
        ("controller", 102_400, False),
        ("controller", 102_401, True),
        ("raspberry_pi", 262_144, False),
    ],
)
def test_large_payloads_are_warned_of_by_the_kind_of_device(kind, size, warns):
    assert ("x-1" in warning_of(size, kind, "x-1")) is warns


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        ({}, "queued"),
        ({"queued": 1, "accepted": 9}, "queued"),
        ({"sent": 1, "displayed": 9}, "sent"),
        ({"accepted": 1, "failed": 9}, "accepted"),
        ({"received": 1, "displayed": 2}, "received"),
        ({"failed": 2}, "failed"),
        ({"failed": 2, "expired": 1}, "expired"),
    ],
)
def test_a_notification_is_where_the_last_of_its_recipients_is(counts, status):
    assert status_of(counts) == status


def test_a_delivery_never_goes_back():
    order = {state: rank for rank, state in enumerate(("queued", "sent", "accepted", "received", "displayed"))}
    for state, sources in SOURCES.items():
        assert set(sources) <= set(STATES) - {state}
        for source in sources:
            assert order.get(source, -1) < order.get(state, 9)
