"""An edge: how soon it is online, known elsewhere, missed; at rest its memory and its share of a core."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as mqtt

from bench.support import broker, muster
from edge.update import launcher
from tests.support.edge import Edge as DeviceUnderTest
from tests.support.muster import MusterUp
from tests.support.network import Network

KEY = "a-fleet-key-for-the-bench"
SETTLED = 20.0
"""Seconds after which an edge is at rest."""
REST = 60.0
"""Seconds over which its CPU time is measured: two heartbeats."""


class Edge:
    """`muster-edge run` against a broker and a server; by the launcher, as installed, it has an updater, too."""

    def __init__(
        self, broker_url: str, server_url: str, directory: str, *, launched: bool, environment: dict[str, str]
    ) -> None:
        environ = os.environ | {
            "MUSTER_BROKER_URL": broker_url,
            "MUSTER_SERVER_URL": server_url,
            "MUSTER_ENROLMENT_KEY": KEY,
            "MUSTER_DEVICE_ID": "edge-1",
            "MUSTER_DATA_DIR": directory,
            "MUSTER_RUNTIME_DIR": f"{directory}/run",
            **environment,
        }
        command = [sys.executable, "-m", "edge", "run"]
        if launched:
            slots = ["--home", f"{directory}/update", "--factory", sys.executable]
            command = [sys.executable, "-I", launcher.__file__, *slots, "run", "--", "run"]
        self.started_at = time.monotonic()
        with Path(directory, "edge.log").open("w") as log:
            self._process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)

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


def measure(name: str, *, launched: bool = False, **environment: str) -> None:
    heard = threading.Event()
    with (
        tempfile.TemporaryDirectory() as directory,
        broker() as mosquitto,
        muster(mosquitto.url, MUSTER_ENROLMENT_KEY=KEY) as server,
    ):
        listener = first_announcement(mosquitto.port, heard)
        edge = Edge(
            mosquitto.url, f"http://127.0.0.1:{server.port}", directory, launched=launched, environment=environment
        )
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


def seconds_until(condition: Callable[[], object], timeout: float = 60.0) -> float:
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > timeout:
            raise TimeoutError
        time.sleep(0.01)
    return time.monotonic() - started


def contact() -> None:
    """From nothing configured to online; from a SIGKILL to offline."""
    with MusterUp() as up:
        pi = DeviceUnderTest("pi-7", runtime_dir=up.directory / "run")
        try:
            pi.start()
            online = seconds_until(lambda: up.presence("pi-7") == "online")
            time.sleep(1)
            pi.kill()
            offline = seconds_until(lambda: up.presence("pi-7") == "offline")
            pi.start()
            seconds_until(lambda: up.presence("pi-7") == "online")
            time.sleep(1)
            pi.process.send(signal.SIGINT)
            goodbye = seconds_until(lambda: up.presence("pi-7") == "offline")
        finally:
            pi.close()
    print(f"nothing configured: online {online:.2f} s after its start (budget 3); offline {offline:.2f} s after "
          f"SIGKILL, {goodbye:.2f} s after Ctrl-C", flush=True)  # fmt: skip


def moves() -> None:
    """Two hosts: the edge's address changes, then the server's."""
    with Network() as network:
        address = network.add_host("srv", "192.168.77.2/24")
        network.add_host("pi", "192.168.77.5/24")
        up = MusterUp("--lan", env={"MUSTER_HTTP": "0.0.0.0:5000", "MUSTER_ENROLMENT_KEY": KEY})
        up.address, up.prefix = f"{address}:5000", network.on("srv")
        pi = DeviceUnderTest("pi-7", env={"MUSTER_ENROLMENT_KEY": KEY}, prefix=network.on("pi"))
        with up:
            try:
                pi.start()
                found = seconds_until(lambda: up.presence("pi-7") == "online")
                time.sleep(2)
                network.move("pi", "192.168.77.5/24", "192.168.77.99/24")
                known = seconds_until(lambda: up.device("pi-7")["ip_address"] == "192.168.77.99")
                time.sleep(2)
                network.move("srv", "192.168.77.2/24", "192.168.77.200/24")
                pi.run("scan", "40063813")
                again = seconds_until(lambda: up.items("/api/scans"), 180)
            finally:
                pi.close()
    print(f"two hosts: found by mDNS and online {found:.2f} s after its start; its new address known {known:.2f} s "
          f"after the change (budget 2); a scan {again:.0f} s after the server moved", flush=True)  # fmt: skip


def run() -> None:
    contact()
    moves()
    measure("as started by hand")
    measure("as its systemd unit starts it, by the launcher", launched=True, MALLOC_ARENA_MAX="1")
