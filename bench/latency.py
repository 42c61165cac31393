"""Publish to row visible at 200 messages/s; `/api/health` while ingest runs flat out."""

from __future__ import annotations

import threading
import time

from bench.rows import visible_times, wait_rows
from bench.support import broker, databases, first_write, muster, percentile, start_publisher

RATE = 200
SECONDS = 10
FLOOD = 60_000


def row_latency(name: str, **environment: str) -> None:
    count = RATE * SECONDS
    with broker() as mosquitto, muster(mosquitto.url, **environment) as server:
        publisher = start_publisher(mosquitto.port, count=count, sensors=100, qos=1, kind="soil", rate=RATE)
        first_write(publisher)
        seen = visible_times(server.database_url, count, SECONDS + 20)
        assert publisher.stdout is not None
        sent = [float(line) for line in publisher.stdout.read().split()]
    # The first messages create their devices; that is start-up, not the steady state.
    delays = [(seen[n] - sent[n]) * 1000 for n in range(RATE, count) if n in seen]
    print(f"publish to row visible at {RATE}/s on {name}: p50 {percentile(delays, 0.5):.1f} ms, "
          f"p99 {percentile(delays, 0.99):.1f} ms (budget 4 and 15), {len(delays)} messages", flush=True)  # fmt: skip


def health_latency() -> None:
    with broker() as mosquitto, muster(mosquitto.url) as server:
        publisher = start_publisher(mosquitto.port, count=FLOOD, sensors=1_000, qos=1, kind="soil")
        first_write(publisher)
        done = threading.Event()
        threading.Thread(target=lambda: (wait_rows(server.database_url, FLOOD), done.set())).start()
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
    row_latency("SQLite")
    with databases() as urls:
        for name, url in urls.items():
            row_latency(name, MUSTER_DATABASE_URL=url)
    health_latency()
