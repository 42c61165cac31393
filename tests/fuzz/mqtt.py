"""Messages and packets that nobody in his senses sends, from a seed; and a client that sends bytes as they are."""

from __future__ import annotations

import json
import random
import socket
import threading
from contextlib import suppress

from tests.e2e.payloads import announcement, heartbeat, site_beat

SERIALS = [f"fuzz-{n}" for n in range(20)]
SOIL = {"N": 41, "P": 22, "K": 180, "CO2": 420, "Temperature": 21.5, "Moisture": 33, "pH": 6.5}
ODD = [
    *(None, True, [], {}, "", "\0", "x" * 300, "\ud800", "ß\u202e", [[[[]]]], {"a": {"b": {}}}),
    *(0, -1, 2**31, 2**63, -(2**70), 0.1, -1e308, 1e-320, float("nan"), float("inf"), "NaN", "1"),
    *("2025-02-30T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01", -62135596800, 4e18, "../../etc/passwd", "<b>"),
]


def bases(serial):
    """Topic and body of what devices really send."""
    return [
        ("devices/announce", announcement(serial)),
        ("devices/heartbeat", heartbeat(serial)),
        ("devices/status", heartbeat(serial)),
        (f"devices/{serial}/announce", announcement(serial)),
        (f"devices/{serial}/status", "online"),
        (f"devices/{serial}/readings", {"serial_number": serial, "temperature": 21.5, "id": "r1"}),
        (f"devices/{serial}/scans", {"scan_id": "s", "device_id": serial, "code": "4006381333931"}),
        (f"devices/{serial}/responses", {"id": "0643a9d1c2f80011", "state": "succeeded", "result": {}}),
        (f"devices/{serial}/receipts", {"id": "x", "ids": ["a"]}),
        (f"devices/{serial}/twin/reported", {"version": 1, "reported": {"a": 1}}),
        (f"plant/gateway/{serial}/heartbeat", site_beat(serial)),
        (f"plant/datalogger/m/{serial}/input", {**site_beat(serial), "value": 1.5}),
        (f"plant/datalogger/m/{serial}/output", {**site_beat(serial), "value": 1.5}),
        ("harit-samarth/sensor/data", {"publisher_id": serial, "sensor_readings": SOIL}),
    ]


class Messages:
    """Topics and payloads without an end, the same for the same seed."""

    def __init__(self, seed):
        self._random = random.Random(seed)

    def next(self):
        """(topic, payload, QoS)"""
        chance = self._random
        topic, body = chance.choice(bases(chance.choice(SERIALS)))
        for _ in range(chance.randrange(4)):
            body = self._changed(body)
        raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else json.dumps(body).encode()
        if chance.random() < 0.4:
            raw = self._broken(raw)
        return topic, raw, chance.choice((0, 1, 1, 2))

    def _changed(self, body):
        """Change, add or take away something somewhere in a value."""
        chance = self._random
        if not isinstance(body, dict) or not body or chance.random() < 0.05:
            return chance.choice(ODD)
        changed = dict(body)
        name = chance.choice(sorted(changed))
        match chance.randrange(4):
            case 0:
                del changed[name]
            case 1:
                changed[chance.choice(("x", "", "a.b", "$", "\0", "n" * 200, "id", "timestamp"))] = chance.choice(ODD)
            case 2:
                changed[name] = self._changed(changed[name])
            case _:
                changed[name] = chance.choice(ODD)
        return changed

    def _broken(self, raw):
        """Cut, repeat, turn and replace bytes."""
        chance = self._random
        at = chance.randrange(len(raw) + 1)
        match chance.randrange(6):
            case 0:
                return raw[:at]
            case 1:
                return raw[:at] + chance.randbytes(chance.randrange(1, 9)) + raw[at:]
            case 2:
                return chance.randbytes(chance.randrange(200))
            case 3:
                return raw * chance.randrange(2, 5)
            case 4:
                return b"[" * chance.randrange(1, 3000) + raw
            case _:
                broken = bytearray(raw or b"\0")
                broken[at % len(broken)] ^= 1 << chance.randrange(8)
                return bytes(broken)


def packet(kind, flags, body):
    """An MQTT control packet."""
    size, length = len(body), bytearray()
    while True:
        size, digit = divmod(size, 128)
        length.append(digit | (0x80 if size else 0))
        if not size:
            return bytes([kind << 4 | flags]) + bytes(length) + body


def text(value):
    raw = value if isinstance(value, bytes) else value.encode()
    return len(raw).to_bytes(2, "big") + raw


def connect_packet(client_id, level=4):
    return packet(1, 0, text("MQTT") + bytes([level, 2, 0, 60]) + (b"\0" if level == 5 else b"") + text(client_id))


def publish_packet(topic, payload, qos=0, packet_id=1, *, level=4, properties=b"\0"):
    number = packet_id.to_bytes(2, "big") if qos else b""
    return packet(3, qos << 1, text(topic) + number + (properties if level == 5 else b"") + payload)


class RawClient:
    """A connection to a broker that sends bytes; what comes back is read away, PUBREC answered."""

    def __init__(self, host, port, client_id, level=4):
        self._socket = socket.create_connection((host, port), timeout=20)
        self._socket.sendall(connect_packet(client_id, level))
        assert self._socket.recv(4)[:1] == b"\x20"
        self._acked = 0
        self._sent = 0
        self._news = threading.Condition()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def publish(self, topic, payload, qos):
        """Send a message; waits while too many are not acknowledged."""
        if qos:
            with self._news:
                self._sent += 1
                assert self._news.wait_for(lambda: self._sent - self._acked < 500, 20), (
                    "the broker does not acknowledge"
                )
        self._socket.sendall(publish_packet(topic, payload, qos, self._sent % 60_000 + 1))

    def flush(self):
        """Wait until the broker has acknowledged everything."""
        with self._news:
            assert self._news.wait_for(lambda: self._acked >= self._sent, 30), "the broker does not acknowledge"

    def close(self):
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._reading.join(5)

    def _read(self):
        kept = b""
        with suppress(OSError):
            while received := self._socket.recv(65536):
                kept += received
                while len(kept) >= 4:
                    kind, number, kept = kept[0] >> 4, kept[2:4], kept[4:]
                    if kind == 5:
                        self._socket.sendall(b"\x62\x02" + number)
                    else:
                        with self._news:
                            self._acked += 1
                            self._news.notify_all()
