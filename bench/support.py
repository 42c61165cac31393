"""Starting what is measured: a broker, a Muster server, a publisher; each a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.support.databases import MariaDB, Postgres
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port

TOKEN = "bench"


@contextlib.contextmanager
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as server:
        yield server


class MusterServer:
    """`muster server`, or another command that runs one, with a database of its own."""

    def __init__(self, broker_url: str, directory: Path, command: str = "server", **environment: str) -> None:
        self.directory = directory
        self.database_url = environment.get("MUSTER_DATABASE_URL") or f"sqlite:///{directory}/muster.db"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environ = os.environ | {
            "MUSTER_BROKER_URL": broker_url,
            "MUSTER_DATABASE_URL": self.database_url,
            "MUSTER_DATA_DIR": str(directory),
            "MUSTER_RUNTIME_DIR": str(directory / "run"),
            "MUSTER_HTTP": f"127.0.0.1:{self.port}",
            "MUSTER_API_TOKEN": TOKEN,
            **environment,
        }
        self.log = (directory / "server.log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.cli", command], env=environ, stdout=self.log, stderr=self.log
        )

    def get(self, path: str) -> dict:
        return json.loads(self.get_text(path))

    def get_text(self, path: str) -> str:
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read().decode()

    def follower(self, name: str) -> dict:
        return next(item for item in self.get("/api/followers")["items"] if item["name"] == name)

    def wait_ready(self, timeout: float = 60.0) -> dict:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                health = self.get("/api/health")
                if health["status"] == "ok":
                    return health
            time.sleep(0.05)
        raise TimeoutError(f"the server is not up after {timeout} s: {Path(self.log.name).read_text()[-2000:]}")

    def rss_mb(self) -> float:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


@contextlib.contextmanager
def muster(broker_url: str, command: str = "server", **environment: str) -> Iterator[MusterServer]:
    with tempfile.TemporaryDirectory() as directory:
        server = MusterServer(broker_url, Path(directory), command, **environment)
        try:
            server.wait_ready()
            yield server
        finally:
            server.stop()


def start_publisher(
    port: int, *, count: int, sensors: int, qos: int, kind: str, rate: float = 0.0, first: int = 0, ca: str = ""
) -> subprocess.Popen[str]:
    arguments = [str(value) for value in (port, count, sensors, qos, kind, rate, first, ca)]
    return subprocess.Popen(
        [sys.executable, "-m", "bench.raw_publisher", *arguments], stdout=subprocess.PIPE, text=True
    )


def first_write(publisher: subprocess.Popen[str]) -> float:
    assert publisher.stdout is not None
    return float(publisher.stdout.readline())


@contextlib.contextmanager
def databases() -> Iterator[dict[str, str]]:
    """The other two databases by name, empty and running, where they are installed."""
    with contextlib.ExitStack() as stack:
        yield {
            "PostgreSQL": stack.enter_context(Postgres(durable=True)).fresh_database(),
            "MariaDB": stack.enter_context(MariaDB(durable=True)).fresh_database(),
        }


def median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
