"""Publish to row visible at 200 messages/s; `/api/health` while ingest runs flat out."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time

from bench.support import broker, first_write, muster, percentile, start_publisher, wait_rows

RATE = 200
SECONDS = 10
FLOOD = 60_000


def visible_times(path, count: int) -> dict[int, float]:
    """Poll a connection of its own for new rows; returns the wall clock at which each `n` was first seen."""
    seen: dict[int, float] = {}
    last = 0
    deadline = time.monotonic() + SECONDS + 20
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        while len(seen) < count and time.monotonic() < deadline:
            rows = database.execute(
                "SELECT id, json_extract(measures, '$.n') FROM reading WHERE id > ? ORDER BY id", (last,)
            ).fetchall()
            now = time.time()
            for row_id, number in rows:
                last = row_id
                seen[number] = now
            time.sleep(0.0005)
    return seen


def row_latency() -> None:
    count = RATE * SECONDS
    with broker() as mosquitto, muster(mosquitto.url) as server:
        publisher = start_publisher(mosquitto.port, count=count, sensors=100, qos=1, kind="input", rate=RATE)
        first_write(publisher)
        seen = visible_times(server.database, count)
        assert publisher.stdout is not None
        sent = [float(line) for line in publisher.stdout.read().split()]
    # The first messages create their devices; that is start-up, not the steady state.
    delays = [(seen[n] - sent[n]) * 1000 for n in range(RATE, count) if n in seen]
    print(f"publish to row visible at {RATE}/s: p50 {percentile(delays, 0.5):.1f} ms, "
          f"p99 {percentile(delays, 0.99):.1f} ms (budget 4 and 15), {len(delays)} messages", flush=True)  # fmt: skip


def health_latency() -> None:
    with broker() as mosquitto, muster(mosquitto.url) as server:
        publisher = start_publisher(mosquitto.port, count=FLOOD, sensors=1_000, qos=1, kind="input")
        first_write(publisher)
        done = threading.Event()
        threading.Thread(target=lambda: (wait_rows(server.database, FLOOD), done.set())).start()
        delays = []
        while not done.is_set():
            started = time.perf_counter()
            server.get("/api/health")
            delays.append((time.perf_counter() - started) * 1000)
            time.sleep(0.01)
        publisher.wait()
    print(f"/api/health under full ingest: p50 {percentile(delays, 0.5):.1f} ms, p99 {percentile(delays, 0.99):.1f} ms "
          f"(budget 100), {len(delays)} requests", flush=True)  # fmt: skip


def run() -> None:
    row_latency()
    health_latency()
