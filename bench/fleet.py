"""100,000 known devices: start-up, memory of each, pages of the list, lateness of the verdicts when all fall silent."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path
from typing import get_args

from actors.fleet_pages import Sort
from actors.messages import DeviceSnapshot, StoreDevice
from actors.storage.database import open_database
from actors.storage.store import Store
from bench.support import MusterServer, broker, percentile, start_publisher

DEVICES = 100_000
OFFLINE_AFTER = 40.0
PAGES = 20
QUESTIONS = (
    *(f"/api/devices?limit=50&sort={sort}&order={order}" for sort in get_args(Sort) for order in ("asc", "desc")),
    "/api/devices?limit=50&presence=offline",
    "/api/devices?limit=50&site=plant-7&sort=since",
    "/api/devices?limit=50&q=pi-99",
    "/api/devices?limit=50&q=nobody",
    "/api/devices?limit=50&flapping=true",
    "/api/sites",
)
"""What a page of the list asks."""


def fill(path: Path, devices: int = DEVICES) -> None:
    store = Store(open_database(f"sqlite:///{path}"))
    store.open()
    for start in range(0, devices, 2_000):
        store.commit([
            StoreDevice(DeviceSnapshot(
                serial=f"dev-{number:06d}", kind="raspberry_pi", family="pi", type="raspberry_pi",
                device_id=f"dev-{number:06d}", label=f"pi-{number}", hostname=f"pi-{number}",
                site=f"plant-{number % 300}", ip_address="192.168.1.100",
                mac_address="2c:cf:67:6c:45:f2", presence="online",
                reason="heartbeat", since_us=1_760_000_000_000_000, first_seen_us=1_760_000_000_000_000,
            )) for number in range(start, min(start + 2_000, devices))
        ])  # fmt: skip
    store.close()


def wait_counts(server: MusterServer, key: str, at_least: int, timeout: float) -> tuple[float, list[tuple[float, int]]]:
    started, trace = time.time(), []
    while time.time() - started < timeout:
        value = server.get("/api/health")["devices"][key]
        trace.append((time.time(), value))
        if value >= at_least:
            return time.time(), trace
        time.sleep(0.02)
    raise TimeoutError(f"{key}: {value} of {at_least} after {timeout} s")


def run() -> None:
    with tempfile.TemporaryDirectory() as name, broker() as mosquitto:
        directory = Path(name)
        fill(directory / "muster.db")
        started = time.time()
        server = MusterServer(mosquitto.url, directory, MUSTER_OFFLINE_AFTER=str(OFFLINE_AFTER))
        try:
            server.wait_ready(120)
            print(f"start-up with {DEVICES} devices: {time.time() - started:.1f} s (budget 10)", flush=True)
            empty = empty_rss(mosquitto.url)
            print(f"memory: {(server.rss_mb() - empty) * 1024 / DEVICES:.2f} KiB per device beyond an empty server's "
                  f"{empty:.0f} MB (budget 4)", flush=True)  # fmt: skip
            pages(server)
            publisher = start_publisher(mosquitto.port, count=DEVICES, sensors=DEVICES, qos=0, kind="heartbeat")
            publisher.wait()
            reached, _ = wait_counts(server, "online", DEVICES * 99 // 100, 60)
            print(f"one heartbeat of each, {reached - started:.1f} s after the start", flush=True)
            wait_counts(server, "offline", DEVICES * 99 // 100, OFFLINE_AFTER + 60)
            time.sleep(3)
            lateness(directory / "muster.db")
        finally:
            server.stop()


def pages(server: MusterServer) -> None:
    for question in QUESTIONS:
        server.get(question)  # a search reads the words of each device once
        took, cpu = [], server.cpu_seconds()
        for _ in range(PAGES):
            started = time.perf_counter()
            server.get(question)
            took.append((time.perf_counter() - started) * 1e3)
        used = (server.cpu_seconds() - cpu) / PAGES * 1e3
        print(f"{question}: p50 {percentile(took, 0.5):.1f} ms, p99 {percentile(took, 0.99):.1f} ms, "
              f"{used:.1f} ms of CPU (budget 50)", flush=True)  # fmt: skip


def empty_rss(broker_url: str) -> float:
    with tempfile.TemporaryDirectory() as name:
        server = MusterServer(broker_url, Path(name))
        try:
            server.wait_ready()
            return server.rss_mb()
        finally:
            server.stop()


def lateness(path: Path) -> None:
    """Compare each verdict's time with the device's last heartbeat, both as stored by the server's clock."""
    database = sqlite3.connect(path)
    rows = database.execute(
        "SELECT d.since_us - s.ts_us FROM device d JOIN last_seen s ON s.device_id = d.id"
        " WHERE d.presence = 'offline' AND d.reason = 'timeout'"
    ).fetchall()
    late = [row[0] / 1e6 - OFFLINE_AFTER for row in rows]
    early = sum(1 for value in late if value < 0)
    print(f"verdicts: {len(late)}, lateness p50 {percentile(late, 0.5):.2f} s, p99 {percentile(late, 0.99):.2f} s "
          f"(budget 1), most {max(late):.2f} s, early {early}", flush=True)  # fmt: skip
