"""A device as it is installed: factory, launcher, slots, and an init that starts it again; and the server it asks."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psutil

from supervisor.release.keys import PrivateKey
from tests.support.processes import Process
from tests.support.registrar import KEY, Registrar
from tests.support.started import Started
from tests.support.wait import eventually
from tests.update.launching import LAUNCHER

SERIAL = "pi-ota"
PATIENCE = 90.0
"""Seconds for an update of a real process on a busy machine."""


class UpdateServer(Registrar):
    """A registrar that has releases, too."""

    def __init__(self) -> None:
        super().__init__(key=KEY)
        self.serve = self._serve
        self.offer: dict[str, Any] | None = None
        self.release = b""
        self.told: list[dict[str, Any]] = []
        self.ranges: list[str] = []
        self.commits = self.is_there = True
        self.askers: list[str] = []
        """The versions that have asked whether there is something for them."""
        self.cut_after = 0
        """Bytes after which a download is cut off, once; 0 for never."""
        self.on_state = lambda _state: None
        """Called with each state that is told, before it is answered."""

    def put(self, release: Path, version: str, **changes: Any) -> None:
        """Offer a release."""
        self.release = release.read_bytes()
        facts = {
            "size": len(self.release),
            "sha256": hashlib.sha256(self.release).hexdigest(),
            "url": "",
            "deadline": 60,
        }
        self.told.clear()
        self.offer = {
            "update": True,
            "version": version,
            "release": f"r-{version}",
            "rollout": "ro-1",
            "force": False,
            **facts,
            **changes,
        }

    @property
    def told_states(self) -> list[str]:
        """What was told, repetitions left out."""
        return [state for state, _ in groupby(body["state"] for body in list(self.told))]

    @property
    def last(self) -> dict[str, Any]:
        return self.told[-1] if self.told else {"state": ""}

    def _serve(self, request) -> bool:
        parts = urlsplit(request.path)
        if not parts.path.startswith("/api/ota/"):
            return False
        if request.headers.get("Authorization") != f"Bearer {self.tokens.get(SERIAL)}":
            self._answer(request, 401, {"error": {"code": "unauthorized", "message": "no"}})
        elif not self.is_there:
            self._answer(request, 503, {"error": {"code": "busy", "message": "later"}})
        elif parts.path == "/api/ota/check_update":
            running = parse_qs(parts.query)["version"][0]
            self.askers.append(running)
            is_news = self.offer is not None and self.offer["version"] != running
            self._answer(request, 200, self.offer if is_news else {"update": False, "reason": "none"})
        elif parts.path == "/api/ota/update_status":
            body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
            self.on_state(body["state"])
            self.told.append(body)
            if body["state"] in ("refused", "failed", "rolled_back"):
                self.offer = None
            self._answer(request, 200, {"commit": body["state"] == "confirming" and self.commits})
        else:
            self._send_release(request)
        return True

    def _send_release(self, request) -> None:
        self.ranges.append(request.headers.get("Range", ""))
        first = int(re.match(r"bytes=(\d+)-", self.ranges[-1])[1]) if self.ranges[-1] else 0
        content = self.release[first:]
        request.send_response(206 if first else 200)
        request.send_header("Content-Length", str(len(content)))
        if first:
            total = len(self.release)
            request.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
        request.end_headers()
        cut, self.cut_after = self.cut_after, 0
        request.wfile.write(content[:cut] if cut else content)
        request.close_connection = True

    @staticmethod
    def _answer(request, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        request.send_response(status)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)


def make_factory(directory: Path, wheel: Path) -> Path:
    """Make the environment of the version that an installer brings; return its Python."""
    subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True, timeout=100)
    python = directory / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*pip, str(wheel)], check=True, timeout=100)
    return python


class Pi(Started):
    """One device; `power_cut` is SIGKILL to all of it."""

    def __init__(self, factory: Path, server_url: str, *keys: PrivateKey, disk_mb: int = 0, **env: str) -> None:
        """Prepare it; with `disk_mb` its data is on a disk of this size, which nobody else sees but by `disk`."""
        self.directory = Path(tempfile.mkdtemp(prefix="muster-pi-"))
        self.home = self.directory / "data" / "update"
        (self.directory / "keys").mkdir()
        for key in keys:
            (self.directory / "keys" / f"{key.public.key_id}.pub").write_text(key.public.line)
        (self.directory / "edge.toml").write_text(
            "[edge.find]\nmdns = false\nscan = false\n[edge.updates]\ninterval = 1\nrate = 0\n"
            f'keys = "{self.directory / "keys"}"\n'
        )
        blank = {name: "" for name in os.environ if name.startswith(("MUSTER_", "MQTT_"))}
        self._env = {
            **blank,
            "MUSTER_CONFIG": str(self.directory / "edge.toml"),
            "MUSTER_DATA_DIR": str(self.directory / "data"),
            "MUSTER_RUNTIME_DIR": str(self.directory / "run"),
            "MUSTER_DEVICE_ID": SERIAL,
            "MUSTER_SERVER_URL": server_url,
            "MUSTER_ENROLMENT_KEY": KEY,
            **env,
        }
        self._factory = factory
        self._launch = [sys.executable, "-I", str(LAUNCHER), "--home", str(self.home), "--factory", str(factory)]
        self._prefix: list[str] = []
        if disk_mb:
            (self.directory / "data").mkdir()
            mount = f'mount -t tmpfs -o size={disk_mb}m tmpfs "{self.directory}/data" && exec "$@"'
            self._prefix = ["unshare", "--mount", "sh", "-c", mount, "sh"]
        self._init: Process | None = None

    @property
    def disk(self) -> Path:
        """The data of the device that runs, as it sees it."""
        return Path(f"/proc/{self._init.pid}/root{self.directory}/data")

    def start(self) -> Pi:
        init = [*self._prefix, sys.executable, Path(__file__).with_name("init.py"), self.directory / "starts"]
        command = [*self._launch, "run", "--", "run"]
        self._init = Process(*init, *command, env=self._env, cwd=self.directory, log=self.directory / "log")
        return self

    def power_cut(self) -> None:
        """Kill the edge with all that it has started; its init starts it again."""
        for edge in psutil.Process(self._init.pid).children():
            for process in (*edge.children(recursive=True), edge):
                try:
                    process.send_signal(signal.SIGKILL)
                except psutil.NoSuchProcess:
                    continue

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run `muster-edge` as its owner does."""
        command = [str(self._factory), "-P", "-m", "edge", *arguments]
        done = subprocess.run(
            command, env={**os.environ, **self._env}, cwd=self.directory, capture_output=True, timeout=60, check=False
        )
        return done.returncode, done.stdout.decode() + done.stderr.decode()

    @property
    def launcher(self) -> dict[str, Any]:
        """What the launcher knows."""
        return json.loads(subprocess.run([*self._launch, "status"], capture_output=True, timeout=60, check=True).stdout)

    @property
    def status(self) -> dict[str, Any]:
        """What `muster-edge status` knows."""
        code, text = self.run("status", "--json")
        return json.loads(text) if code == 0 else {"version": "", "updates": {}}

    @property
    def starts(self) -> int:
        return (self.directory / "starts").read_text().count("start")

    @property
    def log(self) -> str:
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_running(self, version: str, timeout: float = PATIENCE) -> None:
        """Wait until a version runs, and not on trial."""

        def runs() -> bool:
            status = self.status
            return status["version"] == version and not status["updates"]["trial"]

        eventually(runs, timeout, f"version {version} runs")

    def close(self) -> None:
        if self._init is not None:
            self.power_cut()
            self._init.close()
        print(f"--- log of the device\n{self.log[-12_000:]}")
        shutil.rmtree(self.directory, ignore_errors=True)
