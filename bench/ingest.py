"""Durable QoS 1 ingest: 20,000 soil readings of 1,000 publishers, flat out, first write to last row visible.

Everything is on: each reading is analysed, analyses are published, the audit trail is written.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.rows import wait_rows
from bench.support import MusterServer, broker, databases, first_write, median, muster, start_publisher

COUNT = 20_000
SENSORS = 1_000
ROUNDS = 5


def bare() -> float:
    with broker() as mosquitto, tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "bare.db"
        loop = subprocess.Popen(
            [sys.executable, "-m", "bench.bare_ingest", str(mosquitto.port), str(path), str(SENSORS + COUNT)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert loop.stdout is not None
        assert loop.stdout.readline().strip() == "ready"
        rate = stream(mosquitto.port, f"sqlite:///{path}")[1]
        loop.wait()
        return rate


def ours(**environment: str) -> tuple[float, float]:
    with broker() as mosquitto, muster(mosquitto.url, **environment) as server:
        rates = stream(mosquitto.port, server.database_url)
        audited = wait_audited(server, SENSORS + COUNT)
    print(f"          the audit trail was complete {audited:.1f} s after the last row", flush=True)
    return rates


def wait_audited(server: MusterServer, count: int) -> float:
    started = time.monotonic()
    while (audit := server.follower("audit"))["written"] < count:
        if time.monotonic() - started > 60:
            raise TimeoutError(f"the audit trail is not complete: {audit}")
        time.sleep(0.05)
    return time.monotonic() - started


def stream(port: int, database_url: str, ca: str = "") -> tuple[float, float]:
    """Publish one reading of each station, then the flood; return both rates, readings per second."""
    rates = []
    for first, count in ((0, SENSORS), (SENSORS, COUNT)):
        publisher = start_publisher(port, first=first, count=count, sensors=SENSORS, qos=1, kind="soil", ca=ca)
        started = first_write(publisher)
        rates.append(count / (wait_rows(database_url, first + count) - started))
        publisher.wait()
    return rates[0], rates[1]


def run() -> None:
    ratios = []
    for number in range(ROUNDS):
        theirs = bare()
        discovery, mine = ours()
        ratios.append(mine / theirs)
        print(f"round {number + 1}: bare {theirs:6.0f}/s   muster {mine:6.0f}/s   ratio {mine / theirs:.2f}   "
              f"(1,000 stations discovered at {discovery:.0f}/s before)", flush=True)  # fmt: skip
    print(f"median ratio {median(ratios):.2f} (budget: at least 2.0)", flush=True)
    with databases() as urls:
        for name, url in urls.items():
            discovery, mine = ours(MUSTER_DATABASE_URL=url)
            print(f"on {name}: muster {mine:6.0f}/s   (discovered at {discovery:.0f}/s)", flush=True)
