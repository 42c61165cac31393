"""`/api/health` while floods and slow clients are at the server, from another address."""

from __future__ import annotations

import contextlib
import http.client
import multiprocessing
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Event

from bench.support import broker, muster, percentile

REQUESTS = 300
ATTACKER = ("127.0.0.2", 0)
FLOODS = 20
CONNECTIONS = 3_000
HEAD = b"POST /api/login HTTP/1.1\r\nHost: x\r\n" + b"X-%d: y\r\n" * 1_000 % tuple(range(1_000))


def flood(address: tuple[str, int], authorization: Callable[[], dict[str, str]]) -> None:
    """Ask as fast as it goes, for ever."""
    while True:
        connection = http.client.HTTPConnection(*address, timeout=20, source_address=ATTACKER)
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                connection.request("GET", "/api/devices", headers=authorization())
                connection.getresponse().read()
        connection.close()


def floods(address: tuple[str, int], ready: Event, authorization: Callable[[], dict[str, str]]) -> None:
    """Twenty of them."""
    for _ in range(FLOODS):
        threading.Thread(target=flood, args=(address, authorization), daemon=True).start()
    ready.set()
    time.sleep(600)


def without_token(address: tuple[str, int], ready: Event) -> None:
    floods(address, ready, dict)


def with_new_tokens(address: tuple[str, int], ready: Event) -> None:
    floods(address, ready, lambda: {"Authorization": f"Bearer {secrets.token_hex(16)}"})


def crowd(address: tuple[str, int], beginning: bytes) -> Iterator[socket.socket]:
    for _ in range(CONNECTIONS):
        client = socket.create_connection(address, timeout=20, source_address=ATTACKER)
        client.sendall(beginning)
        yield client


def half_the_headers(address: tuple[str, int], ready: Event) -> None:
    kept = list(crowd(address, HEAD))
    ready.set()
    time.sleep(600)
    kept.clear()


def dripping(address: tuple[str, int], ready: Event) -> None:
    """Bodies that come byte by byte, a thousand bytes a second; who is cut begins anew."""
    clients = list(crowd(address, HEAD + b"Content-Length: 16000\r\n\r\n"))
    ready.set()
    while True:
        at = random.randrange(len(clients))
        try:
            clients[at].sendall(b"x")
        except OSError:
            clients[at].close()
            clients[at] = next(crowd(address, HEAD + b"Content-Length: 16000\r\n\r\n"))
        time.sleep(0.001)


def health(address: tuple[str, int]) -> list[float]:
    """How long each of the requests took, in milliseconds; each on a connection of its own, as a probe's."""
    delays = []
    for _ in range(REQUESTS):
        started = time.perf_counter()
        connection = http.client.HTTPConnection(*address, timeout=20)
        connection.request("GET", "/api/health")
        answer = connection.getresponse()
        answer.read()
        connection.close()
        delays.append((time.perf_counter() - started) * 1000)
        assert answer.status == 200, answer.status
        time.sleep(0.01)
    return delays


ATTACKS = (without_token, with_new_tokens, half_the_headers, dripping)


def tell(name: str, delays: list[float]) -> None:
    print(f"/api/health, {name}: p50 {percentile(delays, 0.5):.1f} ms, p99 {percentile(delays, 0.99):.1f} ms "
          f"(budget 100)", flush=True)  # fmt: skip


def run() -> None:
    with broker() as mosquitto, muster(mosquitto.url) as server:
        address = ("127.0.0.1", server.port)
        tell("quiet", health(address))
        for attack in ATTACKS:
            ready = multiprocessing.Event()
            process = multiprocessing.Process(target=attack, args=(address, ready), daemon=True)
            process.start()
            try:
                ready.wait(60)
                tell(attack.__name__.replace("_", " "), health(address))
            finally:
                process.terminate()
                process.join()
