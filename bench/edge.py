"""An edge at rest: its memory, its share of a core, the time from its start to its first announcement."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import paho.mqtt.client as mqtt

from bench.support import broker, muster

KEY = "a-fleet-key-for-the-bench"
SETTLED = 20.0
"""Seconds after which an edge is at rest."""
REST = 60.0
"""Seconds over which its CPU time is measured: two heartbeats."""


class Edge:
    """`muster-edge run` against a broker and a server."""

    def __init__(self, broker_url: str, server_url: str, directory: str, **environment: str) -> None:
        environ = os.environ | {
            "MUSTER_BROKER_URL": broker_url,
            "MUSTER_SERVER_URL": server_url,
            "MUSTER_ENROLMENT_KEY": KEY,
            "MUSTER_DEVICE_ID": "edge-1",
            "MUSTER_DATA_DIR": directory,
            "MUSTER_RUNTIME_DIR": f"{directory}/run",
            **environment,
        }
        self.started_at = time.monotonic()
        with Path(directory, "edge.log").open("w") as log:
            self._process = subprocess.Popen([sys.executable, "-m", "edge", "run"], env=environ, stdout=log, stderr=log)

    def memory_mb(self) -> tuple[float, float]:
        """PSS as if it were the only Python on its machine, as on a Pi, and RSS.

        What the broker and the server of this benchmark share with it of the interpreter's files counts in full.
        """
        pss, rss, is_python = 0, 0, False
        for line in Path(f"/proc/{self._process.pid}/smaps").read_text().splitlines():
            fields = line.split()
            if not fields[0].endswith(":"):
                is_python = fields[-1].startswith((sys.base_prefix, sys.prefix))
            elif fields[0] == "Rss:":
                rss += int(fields[1])
                pss += int(fields[1]) if is_python else 0
            elif fields[0] == "Pss:":
                pss += 0 if is_python else int(fields[1])
        return pss / 1024, rss / 1024

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self._process.pid}/task").iterdir()))

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)


def first_announcement(port: int, heard: threading.Event) -> mqtt.Client:
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.on_message = lambda *_: heard.set()
    client.connect("127.0.0.1", port)
    client.subscribe("devices/edge-1/announce")
    client.loop_start()
    return client


def measure(name: str, **environment: str) -> None:
    heard = threading.Event()
    with (
        tempfile.TemporaryDirectory() as directory,
        broker() as mosquitto,
        muster(mosquitto.url, MUSTER_ENROLMENT_KEY=KEY) as server,
    ):
        listener = first_announcement(mosquitto.port, heard)
        edge = Edge(mosquitto.url, f"http://127.0.0.1:{server.port}", directory, **environment)
        heard.wait(30)
        announced = time.monotonic() - edge.started_at
        time.sleep(SETTLED)
        before = edge.cpu_seconds()
        time.sleep(REST)
        used = edge.cpu_seconds() - before
        pss, rss = edge.memory_mb()
        threads = edge.threads()
        edge.stop()
        listener.disconnect()
        listener.loop_stop()
    print(f"{name}: PSS {pss:.1f} MB (budget 32), RSS {rss:.1f} MB, {threads} threads, {100 * used / REST:.2f} % of a "
          f"core (budget 1), first announcement {announced:.2f} s after its start (budget 2)", flush=True)  # fmt: skip


def run() -> None:
    measure("as started by hand")
    measure("as its systemd unit starts it", MALLOC_ARENA_MAX="1")
