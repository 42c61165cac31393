"""A broker that sends whatever comes to its mind: the links stay up or connect anew, and the server goes on."""

from __future__ import annotations

import os
import random
import socket
import threading
from contextlib import suppress

import pytest

from tests.fuzz.mqtt import packet, publish_packet, text
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import Device
from tests.support.muster import Muster
from tests.support.wait import eventually

MESSAGES = int(os.environ.get("TEST_FUZZ_MESSAGES", "20000"))
SEED = 20_251_017


def said(chance):
    """Something that a broker says, most often wrong."""
    topic = chance.choice(("devices/announce", "devices/a/readings", "", "#", "a\0b", b"\xff\xfe", "x" * 3_000))
    properties = chance.choice(
        (b"\0", b"\x03\x23\0\x05", b"\x03\x23\xff\xff", chance.randbytes(6), b"\xff\xff\xff\xff")
    )
    body = chance.choice((b"", b"{}", chance.randbytes(50), b'{"device_id": "x"}'))
    whole = chance.choice(
        (
            publish_packet(topic, body, chance.randrange(4), chance.randrange(65_536), level=5, properties=properties),
            packet(9, 0, chance.randbytes(2) + b"\0" + chance.randbytes(chance.randrange(8))),
            packet(4, 0, chance.randbytes(chance.randrange(6))),
            packet(14, 0, chance.randbytes(chance.randrange(6))),
            packet(13, 0, b""),
            packet(chance.randrange(16), chance.randrange(16), chance.randbytes(chance.randrange(30))),
            b"\x30\xff\xff\xff\x7f" + text("devices/announce"),
            b"\x30\xff\xff\xff\xff\xff",
        )
    )
    return whole[: chance.randrange(len(whole) + 1)] if chance.random() < 0.3 else whole


class HostileBroker:
    """Welcomes everybody, and then talks; counts whom it has welcomed."""

    def __init__(self, port):
        self._chance = random.Random(SEED)
        self._socket = socket.create_server(("127.0.0.1", port))
        self._socket.settimeout(0.2)
        self._stop = threading.Event()
        self.welcomed = 0
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(20)
        self._socket.close()

    def _serve(self):
        while not self._stop.is_set():
            with suppress(OSError):
                client, _ = self._socket.accept()
                with client:
                    client.settimeout(0.2)
                    self._talk(client)

    def _talk(self, client):
        client.recv(1_000)
        chance = self._chance
        client.sendall(
            packet(2, 0, chance.choice((b"\0\0\0", b"\x01\0\0", b"\0\0\x05", b"\0\0", b"\0\0\x03\x21\0\x01")))
        )
        self.welcomed += 1
        for _ in range(chance.randrange(30)):
            client.sendall(said(chance))
            if chance.random() < 0.3:
                client.recv(10_000)


@pytest.mark.timeout(120 + MESSAGES / 200)
def test_whatever_a_broker_says_the_server_goes_on_and_works_with_the_next_one():
    wanted = max(10, MESSAGES // 2_000)
    with Mosquitto() as broker, Muster(broker.url) as site:
        broker.stop()
        with HostileBroker(broker.port) as hostile:
            eventually(lambda: hostile.welcomed >= wanted, 60 + MESSAGES / 200, "the links come again and again")
            assert site.health()["status"] in ("ok", "degraded")
        broker.start()
        eventually(lambda: site.health()["broker"]["connected"], 60, "the links are with the real broker")
        with Device(broker.url) as wire:
            wire.publish("plant/gateway/after/heartbeat", {"serial_number": "after"})
        eventually(lambda: site.device("after"), what="a message in order after all that")
        actors = site.health()["actors"]
        assert (actors["restarts"], actors["quarantined"]) == (0, 0), site.log[-8_000:]
        assert "Traceback" not in site.log, site.log[-8_000:]
