"""The desk of dead letters: everything is counted, what is kept is bounded, everything is acknowledged."""

from __future__ import annotations

import pytest

from actors.dead_letters import KEPT_BYTES, LONGEST_DETAIL, MOST_SENDERS, QUOTA, QUOTA_WINDOW
from actors.messages import Settled
from tests.support.world import Server


@pytest.fixture
def server() -> Server:
    return Server()


def refuse(server, *, serial="A", topic="devices/A/readings", qos=1):
    delivery = server.delivery(topic, b"\xff", qos=qos)
    server.desk.refuse(delivery, "not_utf8", "the bytes are not UTF-8", serial)
    return delivery


def settled(server, link="local.data"):
    return [token for message in server.told[link] if isinstance(message, Settled) for token in message.tokens]


def test_a_refused_delivery_is_kept_with_all_that_is_needed_to_replay_it(server):
    delivery = refuse(server)
    server.run()

    (letter,) = server.dead_letters
    assert (letter.reason, letter.serial, letter.link, letter.topic) == (
        "not_utf8",
        "A",
        "local.data",
        "devices/A/readings",
    )
    assert (letter.payload, letter.rx_us, letter.token, letter.qos) == (b"\xff", delivery.rx_us, delivery.token, 1)
    assert settled(server) == [], "it is acknowledged when its row is committed"


def test_a_long_detail_is_cut(server):
    server.desk.refuse(server.delivery("devices/x", b""), "bad_topic", "x" * 10_000)
    server.run()

    assert len(server.dead_letters[0].detail) == LONGEST_DETAIL


def test_a_large_payload_is_kept_cut_with_its_true_size(server):
    server.desk.refuse(server.delivery("devices/x", b"x" * 10_000_000), "too_large", "x" * 10_000)
    server.run()

    (letter,) = server.dead_letters
    assert letter.payload == b"x" * KEPT_BYTES
    assert letter.detail.endswith("x (of 10000000 bytes the first 65536 are kept)")


def test_a_payload_that_just_fits_is_kept_whole_and_nothing_is_said_of_its_size(server):
    server.desk.refuse(server.delivery("devices/x", b"x" * KEPT_BYTES), "not_json", "no JSON")
    server.run()

    (letter,) = server.dead_letters
    assert (len(letter.payload), letter.detail) == (KEPT_BYTES, "no JSON")


def test_beyond_the_quota_of_a_sender_they_are_counted_and_acknowledged_and_not_kept(server):
    deliveries = [refuse(server) for _ in range(QUOTA + 3)]
    server.run()

    assert len(server.dead_letters) == QUOTA
    assert settled(server) == [delivery.token for delivery in deliveries[QUOTA:]]
    assert server.desk.by_reason == {"not_utf8": QUOTA + 3, "quota": 3}


def test_beyond_the_quota_a_message_of_qos_0_has_nothing_to_acknowledge(server):
    for _ in range(QUOTA + 1):
        refuse(server, qos=0)
    server.run()

    assert settled(server) == []


def test_one_senders_quota_is_not_anothers(server):
    for _ in range(QUOTA + 1):
        refuse(server)
    refuse(server, serial="B")
    server.run()

    assert [letter.serial for letter in server.dead_letters].count("B") == 1


def test_without_a_serial_the_topic_is_the_sender(server):
    for _ in range(QUOTA + 1):
        refuse(server, serial="", topic="plant/gateway/7/input")
    refuse(server, serial="", topic="plant/gateway/8/input")
    server.run()

    assert len(server.dead_letters) == QUOTA + 1


def test_a_new_window_is_a_new_quota(server):
    for _ in range(QUOTA + 1):
        refuse(server)
    server.clock.advance(QUOTA_WINDOW + 1)
    refuse(server)
    server.run()

    assert len(server.dead_letters) == QUOTA + 1


def test_the_count_of_senders_is_bounded(server):
    for number in range(MOST_SENDERS + 10):
        refuse(server, serial=str(number))

    assert len(server.desk._kept) <= MOST_SENDERS + 1
