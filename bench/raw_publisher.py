"""A publisher that is no bottleneck: packets encoded beforehand, written to a raw socket, PUBACKs counted.

Run as a process of its own: `python -m bench.raw_publisher PORT COUNT SENSORS QOS KIND RATE FIRST CA`; it prints the
wall clock of the first write, in seconds. CA is the file of an authority, for TLS; empty for none.
"""

from __future__ import annotations

import json
import select
import socket
import ssl
import struct
import sys
import time

BASE_US, STEP_US = 1_760_000_000_000_000, 1_000
"""The time of the first message, and between two; by it each row tells its number."""
WINDOW = 15_000
"""QoS 1 packets under way; packet ids have 16 bits and brokers have limits."""


def encode_length(length: int) -> bytes:
    out = bytearray()
    while True:
        length, digit = divmod(length, 128)
        out.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(out)


def connect(port: int, client_id: str, ca: str = "") -> socket.socket:
    """MQTT 3.1.1 CONNECT with a clean session."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if ca:
        sock = ssl.create_default_context(cafile=ca).wrap_socket(sock, server_hostname="127.0.0.1")
    encoded = client_id.encode()
    body = b"\0\4MQTT\4\2\0\0" + struct.pack("!H", len(encoded)) + encoded
    sock.sendall(b"\x10" + encode_length(len(body)) + body)
    assert sock.recv(4)[3] == 0, "the broker refused"
    return sock


def publish_packet(topic: str, payload: bytes, qos: int, packet_id: int) -> bytes:
    encoded = topic.encode()
    body = struct.pack("!H", len(encoded)) + encoded + (struct.pack("!H", packet_id) if qos else b"") + payload
    return bytes([0x30 | qos << 1]) + encode_length(len(body)) + body


def message(number: int, sensors: int, kind: str) -> tuple[str, bytes]:
    """The message of a number: devices in turn, a timestamp of its own each."""
    sensor = number % sensors
    micros = BASE_US + number * STEP_US
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(micros // 1_000_000)) + f".{micros % 1_000_000:06d}Z"
    if kind == "heartbeat":
        body = {"device_id": f"dev-{sensor:06d}", "ip_address": "192.168.1.100", "timestamp": stamp, "status": "online"}
        return "devices/heartbeat", json.dumps(body).encode()
    if kind == "status":
        return f"devices/dev-{sensor:06d}/status", (b"offline", b"online")[number // sensors % 2]
    if kind == "soil":
        readings = {
            "N": 40 + number % 7,
            "P": 22.5,
            "K": 180 + number % 11,
            "CO2": 420 + number % 50,
            "Temperature": 20 + number % 100 / 10,
            "Moisture": 31.5 + number % 13 / 10,
            "pH": 6.4,
        }
        body = {"timestamp": stamp, "publisher_id": f"soil-{sensor:06d}", "sensor_readings": readings}
        return "harit-samarth/sensor/data", json.dumps(body).encode()
    body = {
        "serial_number": f"dl-{sensor:06d}",
        "timestamp": stamp,
        "n": number,
        "temperature": 20 + number % 100 / 10,
        "moisture": 31.5,
        "ph": 6.8,
        "battery": 3.61,
    }
    return f"plant/datalogger/monstro/{sensor}/input", json.dumps(body).encode()


def main(  # noqa: PLR0917
    port: int, count: int, sensors: int, qos: int, kind: str, rate: float, first: int, ca: str
) -> None:
    numbers = range(first, first + count)
    packets = [publish_packet(*message(number, sensors, kind), qos, number % WINDOW + 1) for number in numbers]
    sock = connect(port, f"bench-{kind}-{time.monotonic_ns()}", ca)
    print(f"{time.time():.6f}", flush=True)
    if rate:
        paced(sock, packets, rate)
    else:
        flat_out(sock, packets, qos)


def paced(sock: socket.socket, packets: list[bytes], rate: float) -> None:
    started = time.monotonic()
    for number, packet in enumerate(packets):
        delay = started + number / rate - time.monotonic()
        if delay > 0:
            time.sleep(delay)
        sock.sendall(packet)
        print(f"{time.time():.6f}")
        drain(sock, 0)
    sys.stdout.flush()
    time.sleep(1)


def drain(sock: socket.socket, timeout: float) -> int:
    ready, _, _ = select.select([sock], [], [], timeout)
    return len(sock.recv(65536)) // 4 if ready else 0


def flat_out(sock: socket.socket, packets: list[bytes], qos: int) -> None:
    sent = acked = 0
    while sent < len(packets):
        room = WINDOW // 2 - (sent - acked) if qos else 500
        if room > 0:
            batch = packets[sent : sent + min(room, 500)]
            sock.sendall(b"".join(batch))
            sent += len(batch)
        if qos:
            acked += drain(sock, 0 if room > 0 else 5)
    while qos and acked < sent:
        acked += drain(sock, 5)
    sock.close()


if __name__ == "__main__":
    port, count, sensors, qos, kind, rate, first, ca = sys.argv[1:]
    main(int(port), int(count), int(sensors), int(qos), kind, float(rate), int(first), ca)
