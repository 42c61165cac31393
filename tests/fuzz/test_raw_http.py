"""Bytes that are hardly HTTP, against a real server: a request line, headers and a body, turned, cut and repeated.

`TEST_FUZZ_REQUESTS` is how many requests are sent (3,000 without it). What schemathesis sends is always well-formed.
"""

from __future__ import annotations

import os
import random
import re
import socket
from collections import Counter
from contextlib import suppress

import psutil
import pytest

from tests.support.muster import MusterUp

REQUESTS = int(os.environ.get("TEST_FUZZ_REQUESTS", "3000"))
SEED = 20_261_121
MOST_GROWTH = 40
"""MB, whatever is sent."""
TARGETS = [
    *("/api/health", "/api/devices", "/api/devices/pi-1", "/api/devices/%00%ff%F0%9F", "/login?key=x", "/", "*", ""),
    *("//[", "http://[::1", "http://x/", "/api/devices?cursor=%00&limit=%D9%A1", "/%2e%2e/%2e%2e/etc/passwd", "/api/"),
    *("/api/devices?" + "a=b&" * 60, "/" + "x" * 9_000, "/static/..%2f..%2fapp.py", "/api/tokens/999999999999999999"),
    *("/api/devices?since=0001-01-01T00:00:00%2B14:00", "/alarms?a=%ED%A0%80", "/api/events?kinds=%00", "/api/\xff"),
]
METHODS = [
    "GET",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "HEAD",
    "OPTIONS",
    "CONNECT",
    "TRACE",
    "get",
    "G\xffT",
    "",
    "A" * 300,
]
VERSIONS = [*["HTTP/1.1"] * 20, "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/-1.-1", "HTTP/1.1.1", "FTP/1.1", ""]
HEADERS = [
    *(
        "Content-Length: 2",
        "Content-Length: 0",
        "Content-Length: -1",
        "Content-Length: 99999999999999999999",
        "Host: x",
    ),
    *("Transfer-Encoding: chunked", "Expect: 100-continue", "Expect: x", "Range: bytes=-", "Last-Event-ID: \xff-\xb2"),
    *(
        "Authorization: Bearer \xff",
        "Authorization: Basic",
        'Cookie: muster_5000="\\777;;=',
        "Cookie: \x01",
        "X-Y: \x00",
    ),
    *(
        "X-Forwarded-For: 1.2.3.4, [::",
        'Forwarded: for="\\',
        "Sec-Fetch-Site: \xe9",
        'If-Match: "',
        "Upload-Offset: \xb2",
    ),
    *(
        "Connection: upgrade",
        "Upgrade: websocket",
        "Content-Type: text/\xff",
        "Idempotency-Key: \xff",
        " folded",
        "no colon",
    ),
]
BODIES = [
    b"",
    b"{}",
    b'{"token": "\xff"}',
    b"[" * 5_000,
    b'{"a":' * 3_000,
    b"\0" * 300,
    b"1e999",
    b'{"token": "\\ud800"}',
]
STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")


def request(chance, token):
    """A request, right or wrong, as bytes."""
    lines = [
        f"{chance.choice(METHODS[: chance.choice((5, 5, 5, 20))])} {chance.choice(TARGETS)} {chance.choice(VERSIONS)}"
    ]
    lines += chance.sample(HEADERS, chance.choice((0, 1, 1, 3)))
    if chance.random() < 0.5:
        lines.append(f"Authorization: Bearer {token}")
    body = chance.choice(BODIES)
    if chance.random() < 0.5:
        lines.append(f"Content-Length: {len(body)}")
    raw = "\r\n".join([*lines, "", ""]).encode("latin-1") + body
    if chance.random() < 0.6:
        return raw
    turned = bytearray(raw)
    for _ in range(chance.randrange(1, 4)):
        turned[chance.randrange(len(turned))] = chance.randrange(256)
    return bytes(turned[: chance.randrange(len(turned))] if chance.random() < 0.3 else turned)


def answer(address, raw):
    """What is answered until the server closes, or begins a stream; it is told that nothing more will come."""
    found = b""
    with suppress(ConnectionError), socket.create_connection(address, timeout=20) as client:
        client.sendall(raw)
        client.shutdown(socket.SHUT_WR)
        while b"text/event-stream" not in found and (received := client.recv(65_536)):
            found += received
    return found


def resident(server):
    """MB."""
    return psutil.Process(server.process.pid).memory_info().rss / 2**20


@pytest.mark.timeout(120 + REQUESTS / 50)
def test_whatever_bytes_come_they_are_answered_or_refused_and_nothing_breaks():
    chance, answered = random.Random(SEED), Counter()
    with MusterUp() as up:
        host, port = up.address.split(":")
        before = resident(up)
        for _ in range(REQUESTS):
            raw = request(chance, up.token if chance.random() < 0.5 else "none of ours")
            for status in STATUS.findall(answer((host, int(port)), raw)):
                answered[int(status)] += 1
                # Not spoken are this transfer coding (501) and version (505); 503: there is no place for a stream.
                assert int(status) < 500 or int(status) in (501, 503, 505), raw
        grown = resident(up) - before
        print(f"{REQUESTS} requests: {dict(sorted(answered.items()))}; {grown:.0f} MB more")
        assert up.health()["status"] == "ok"
        assert "Traceback" not in up.log, up.log[-6_000:]
        assert grown < MOST_GROWTH
