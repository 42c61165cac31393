"""Durable QoS 1 ingest: 20,000 readings of 1,000 publishers, flat out, first write to last row visible."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from bench.support import broker, first_write, median, muster, start_publisher, wait_rows

COUNT = 20_000
SENSORS = 1_000
ROUNDS = 5


def bare() -> float:
    with broker() as mosquitto, tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "bare.db"
        loop = subprocess.Popen(
            [sys.executable, "-m", "bench.bare_ingest", str(mosquitto.port), str(path), str(COUNT)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert loop.stdout is not None
        assert loop.stdout.readline().strip() == "ready"
        publisher = start_publisher(mosquitto.port, count=COUNT, sensors=SENSORS, qos=1, kind="input")
        started = first_write(publisher)
        seconds = wait_rows(path, COUNT) - started
        publisher.wait()
        loop.wait()
        return COUNT / seconds


def ours() -> float:
    with broker() as mosquitto, muster(mosquitto.url) as server:
        publisher = start_publisher(mosquitto.port, count=COUNT, sensors=SENSORS, qos=1, kind="input")
        started = first_write(publisher)
        seconds = wait_rows(server.database, COUNT) - started
        publisher.wait()
        return COUNT / seconds


def run() -> None:
    ratios = []
    for number in range(ROUNDS):
        theirs, mine = bare(), ours()
        ratios.append(mine / theirs)
        print(
            f"round {number + 1}: bare {theirs:8.0f}/s   muster {mine:8.0f}/s   ratio {mine / theirs:.2f}", flush=True
        )
    print(f"median ratio {median(ratios):.2f} (budget: at least 2.0)")
