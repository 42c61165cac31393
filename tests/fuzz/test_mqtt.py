"""Broken messages and packets by the ten thousand, against a real server and a real broker.

`TEST_FUZZ_MESSAGES` is how many messages are sent (20,000 without it), and a tenth as many broken packets.
"""

from __future__ import annotations

import os
import random
import socket
from collections import Counter
from contextlib import suppress

import psutil
import pytest

from tests.fuzz.mqtt import Messages, RawClient, connect_packet, packet, publish_packet, text
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import Device
from tests.support.muster import Muster
from tests.support.wait import eventually

MESSAGES = int(os.environ.get("TEST_FUZZ_MESSAGES", "20000"))
SEED = 20_251_017
WITHIN = 60 + MESSAGES / 200
QUOTA = 200
MOST_GROWTH = 150
"""MB, however many messages: after a million it grows no more but for the devices that they make known."""


@pytest.fixture(scope="module")
def broker():
    with Mosquitto() as running:
        yield running


@pytest.fixture(scope="module")
def site(broker):
    with Muster(broker.url) as running:
        yield running


def handled(site):
    """How many messages came to an end, and how many the links have received."""
    lines = site.get("/metrics").splitlines()

    def total(name, *, only="", without="\0"):
        chosen = (line for line in lines if line.startswith(name + "{") and only in line and without not in line)
        return sum(float(line.rpartition(" ")[2]) for line in chosen)

    return (
        total("muster_messages_total"),
        total("muster_dead_letters_total", without='"quota"'),
        total("muster_link_messages_total", only='event="received"'),
    )


def rss(site):
    """Resident memory in MB."""
    return psutil.Process(site.process.pid).memory_info().rss / 2**20


def hold(site):
    """The server is well, nothing in it has crashed, and what it keeps is bounded."""
    health = site.health()
    assert health["status"] == "ok", health
    assert (health["actors"]["restarts"], health["actors"]["quarantined"]) == (0, 0), health
    assert "Traceback" not in site.log, site.log[-6_000:]
    kept = Counter()
    for letter in site.dead_letters():
        kept[letter["serial"] or letter["topic"]] += 1
    assert kept.most_common(1)[0][1] <= QUOTA
    assert len(site.dead_letters()) <= 100_000


@pytest.mark.timeout(WITHIN + 60)
def test_broken_messages_crash_nothing_and_each_comes_to_one_end(site, broker):
    before, (decoded, refused, received) = rss(site), handled(site)
    messages = Messages(SEED)
    with RawClient(broker.host, broker.port, "fuzz") as client:
        for _ in range(MESSAGES):
            client.publish(*messages.next())
        client.flush()

    def all_there():
        return handled(site)[2] - received >= MESSAGES

    eventually(all_there, WITHIN, "everything was received")
    site.wait_settled(WITHIN)
    hold(site)
    now = handled(site)
    devices = site.health()["devices"]["total"]
    assert rss(site) - before < MOST_GROWTH
    print(f"RSS {before:.0f} MB before, {rss(site):.0f} MB after {MESSAGES} messages and with {devices} devices; {now}")
    assert now[0] > decoded
    assert now[1] > refused
    # A response is decoded before the database is asked whether there was such a command.
    assert now[0] + now[1] - decoded - refused >= MESSAGES
    with Device(broker.url) as wire:
        wire.publish("plant/gateway/after/heartbeat", {"serial_number": "after"})
    eventually(lambda: site.device("after"), what="a message in order after all that")


def broken(chance):
    """A packet of a client, right or wrong."""
    level = chance.choice((4, 5))
    properties = chance.choice((b"\0", b"\x03\x23\0\x05", b"\x05\x26\0\0\0\0", chance.randbytes(5)))
    topic = chance.choice(("devices/announce", "a/b", "#", "", "\0", b"\xff\xfe", "devices/" + "x" * 300 + "/status"))
    whole = chance.choice(
        (
            connect_packet("fuzz-packets", level),
            publish_packet(topic, chance.randbytes(20), chance.randrange(4), chance.randrange(65536), level=level),
            publish_packet("devices/announce", b"{}", 1, 7, level=5, properties=properties),
            packet(8, 2, b"\0\x01" + text("devices/#") + b"\x01"),
            packet(8, 2, b"\0\x01" + text("server/requests") + b"\x03"),
            packet(chance.randrange(16), chance.randrange(16), chance.randbytes(chance.randrange(40))),
            packet(12, 0, b""),
            packet(14, 0, b""),
        )
    )
    if chance.random() < 0.5:
        return whole
    turned = bytearray(whole)
    turned[chance.randrange(len(turned))] ^= 1 << chance.randrange(8)
    return bytes(turned[: chance.randrange(len(turned) + 1)])


@pytest.mark.timeout(WITHIN + 60)
def test_broken_packets_of_clients_harm_nobody_else(site, broker):
    chance = random.Random(SEED)
    for _ in range(MESSAGES // 100):
        with suppress(OSError), socket.create_connection((broker.host, broker.port), timeout=5) as client:
            client.sendall(connect_packet(f"fuzz-{chance.randrange(50)}", chance.choice((4, 5))))
            client.sendall(b"".join(broken(chance) for _ in range(10)))
    assert broker.running, broker.log[-3_000:]
    with Device(broker.url) as wire:
        wire.publish("plant/gateway/still/heartbeat", {"serial_number": "still"})
    eventually(lambda: site.device("still"), what="a message in order after all that")
    site.wait_settled()
    hold(site)
