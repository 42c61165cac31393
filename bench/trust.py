"""What safety costs: ingest over TLS and with permissions at the broker, a backup, a fleet that fetches a release."""

from __future__ import annotations

import concurrent.futures
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from bench.ingest import COUNT, SENSORS, stream
from bench.rows import wait_rows
from bench.support import TOKEN, MusterServer, broker, first_write, median, muster, percentile, start_publisher
from supervisor.release.keys import PrivateKey
from tests.release.support import make_release, make_wheel
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port
from tests.support.releasing import trust

ROUNDS = 3
HELD = 200_000
"""Readings in the database that is backed up."""
CLIENTS = 50
RELEASE_BYTES = 8 * 2**20


def over(*, tls: bool) -> float:
    """Return the rate of the flood, readings per second; with `tls` publisher and server speak TLS to the broker."""
    with tempfile.TemporaryDirectory() as directory, Mosquitto(tls=tls) as mosquitto:
        ca = str(mosquitto.authority.ca_file) if mosquitto.authority else ""
        config = Path(directory) / "muster.toml"
        config.write_text(f'[[brokers]]\nname = "local"\nurl = "{mosquitto.url}"\ntls = {{ ca = "{ca}" }}\n')
        with muster("", MUSTER_CONFIG=str(config)) as server:
            return stream(mosquitto.port, server.database_url, ca)[1]


def with_access(mechanism: str) -> float:
    """Return the same with the broker of `muster up`, whose users and permissions a mechanism keeps."""
    with tempfile.TemporaryDirectory() as directory:
        config, data, port = Path(directory) / "muster.toml", Path(directory) / "data", free_port()
        where = f'directory = "{data}/broker"\n' if mechanism == "files" else ""
        config.write_text(f'[broker_access]\nmechanism = "{mechanism}"\n{where}')
        places = {"MUSTER_CONFIG": str(config), "MUSTER_DATA_DIR": str(data), "MUSTER_BROKER_PORT": str(port)}
        with muster("", "up", **places) as server:
            return stream(port, server.database_url)[1]


def compare(what: str, base: Callable[[], float], others: dict[str, Callable[[], float]]) -> None:
    """Print how fast each is, and its ratio to the base of the same round."""
    ratios: dict[str, list[float]] = {name: [] for name in others}
    for number in range(ROUNDS):
        plain = base()
        told = [f"{what} {plain:6.0f}/s"]
        for name, measure in others.items():
            rate = measure()
            ratios[name].append(rate / plain)
            told.append(f"{name} {rate:6.0f}/s ({rate / plain:.2f})")
        print(f"round {number + 1}: {'   '.join(told)}", flush=True)
    for name, values in ratios.items():
        print(f"{name}: median ratio {median(values):.2f}", flush=True)


def command(*words: str, **environ: str) -> str:
    """Run `muster`; return what it printed."""
    line = [sys.executable, "-m", "supervisor.cli", *words]
    return subprocess.run(line, env=os.environ | environ, check=True, stdout=subprocess.PIPE, text=True).stdout


# -- backup -----------------------------------------------------------------------------------------------------------


def back_up(server: MusterServer, key: Path) -> float:
    """Run `muster backup` as a timer does; return the seconds that it took."""
    target = server.directory / f"{time.monotonic_ns()}.backup"
    environ = {"MUSTER_DATA_DIR": str(server.directory), "MUSTER_DATABASE_URL": server.database_url}
    started = time.monotonic()
    command("backup", str(target), "--key-file", str(key), **environ)
    took = time.monotonic() - started
    target.unlink()
    return took


def plain_copy(server: MusterServer) -> float:
    """Copy the database's file to the disk; return the seconds."""
    target = server.directory / "plain-copy"
    started = time.monotonic()
    with (server.directory / "muster.db").open("rb") as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)
        os.fsync(copy.fileno())
    took = time.monotonic() - started
    target.unlink()
    return took


def backup() -> None:
    with broker() as mosquitto, muster(mosquitto.url) as server, tempfile.TemporaryDirectory() as directory:
        key = Path(directory) / "key"
        command("backup", "--new-key", str(key))
        first = flood(mosquitto.port, server, 0, HELD)[0]
        size = (server.directory / "muster.db").stat().st_size / 2**20
        for _ in range(ROUNDS):
            copied, kept = plain_copy(server), back_up(server, key)
            print(f"{size:.0f} MB: plain copy {copied:.2f} s, backup {kept:.2f} s, encrypted and read again: "
                  f"{kept / copied:.0f} times", flush=True)  # fmt: skip
        ratios = []
        for number in range(ROUNDS):
            first, alone = flood(mosquitto.port, server, first, COUNT)
            ended, done = threading.Event(), []
            thread = threading.Thread(target=lambda: backups_until(ended, server, key, done))  # noqa: B023
            thread.start()
            first, beside = flood(mosquitto.port, server, first, COUNT)
            ended.set()
            thread.join()
            ratios.append(beside / alone)
            print(f"round {number + 1}: ingest {alone:6.0f}/s, while backups run {beside:6.0f}/s   "
                  f"ratio {beside / alone:.2f}", flush=True)  # fmt: skip
        print(f"ingest beside a backup: median ratio {median(ratios):.2f}", flush=True)


def backups_until(ended: threading.Event, server: MusterServer, key: Path, done: list[float]) -> None:
    while not ended.is_set():
        done.append(back_up(server, key))


def flood(port: int, server: MusterServer, first: int, count: int) -> tuple[int, float]:
    """Publish `count` readings flat out; return the number after the last, and readings per second."""
    publisher = start_publisher(port, first=first, count=count, sensors=SENSORS, qos=1, kind="soil")
    started = first_write(publisher)
    seen = wait_rows(server.database_url, first + count)
    publisher.wait()
    return first + count, count / (seen - started)


# -- downloads ---------------------------------------------------------------------------------------------------------


def downloads() -> None:
    with broker() as mosquitto, tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "muster.toml"
        config.write_text(f"[updates]\ndownloads = {CLIENTS}\ndownload_rate = 10_000_000_000\n")
        with muster(mosquitto.url, MUSTER_CONFIG=str(config)) as server:
            key = PrivateKey.generate("the benchmark")
            trust(server.directory, key)
            wheel = make_wheel(Path(directory), extra={"blob.bin": os.urandom(RELEASE_BYTES)})
            path = make_release(Path(directory), key, wheels=[wheel])
            base = f"http://127.0.0.1:{server.port}"
            release = json.loads(
                command("release", "upload", str(path), "--json", "--url", base, MUSTER_API_TOKEN=TOKEN)
            )
            url = f"{base}/api/ota/download_update?release={release['id']}"
            idle = health_while(server, lambda: time.sleep(5))
            alone = pace(url, 1)
            rates: list[float] = []
            busy = health_while(server, lambda: rates.extend(pace(url, CLIENTS) for _ in range(ROUNDS)))
    together = statistics.median(rates)
    print(f"one download {alone:.0f} MB/s, {CLIENTS} at once {together:.0f} MB/s in all: {together / alone:.2f} times")
    for name, delays in (("idle", idle), (f"{CLIENTS} downloads", busy)):
        print(f"/api/health, {name}: p50 {percentile(delays, 0.5):.1f} ms, p99 {percentile(delays, 0.99):.1f} ms, "
              f"{len(delays)} requests", flush=True)  # fmt: skip


def pace(url: str, clients: int) -> float:
    """Fetch a release by so many at once; return MB/s of all together."""
    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        sizes = list(pool.map(fetch, [url] * clients))
    return sum(sizes) / 2**20 / (time.monotonic() - started)


def fetch(url: str) -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    size = 0
    with urllib.request.urlopen(request, timeout=60) as answer:
        while part := answer.read(1 << 18):
            size += len(part)
    return size


def health_while(server: MusterServer, work: Callable[[], object]) -> list[float]:
    """Return how long `/api/health` takes, in milliseconds, as long as something is done."""
    done, delays = threading.Event(), []
    thread = threading.Thread(target=lambda: (work(), done.set()))
    thread.start()
    while not done.is_set():
        started = time.perf_counter()
        server.get("/api/health")
        delays.append((time.perf_counter() - started) * 1000)
        time.sleep(0.01)
    thread.join()
    return delays


def run() -> None:
    compare("plain", lambda: over(tls=False), {"TLS": lambda: over(tls=True)})
    mechanisms = {name: lambda name=name: with_access(name) for name in ("files", "dynsec")}
    compare("nobody is asked", lambda: with_access("none"), mechanisms)
    backup()
    downloads()
