"""A real `muster-edge run` in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.support.processes import Process
from tests.support.started import Started
from tests.support.wait import eventually


class Edge(Started):
    """`muster-edge run` with a directory of its own; a context manager that leaves nothing behind.

    `prefix` is put before each command: `ip netns exec pi` lets it live on another host.
    """

    def __init__(
        self,
        device_id: str = "",
        *,
        runtime_dir: Path | None = None,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="muster-edge-"))
        self.home = self.directory / "data" / "edge"
        self.process: Process | None = None
        self._prefix = tuple(prefix)
        blank = {name: "" for name in os.environ if name.startswith(("MUSTER_", "MQTT_"))}
        self.env = {
            **blank,
            "MUSTER_DATA_DIR": str(self.directory / "data"),
            "MUSTER_RUNTIME_DIR": str(runtime_dir or self.directory / "run"),
            "MUSTER_DEVICE_ID": device_id,
            **(env or {}),
        }

    @property
    def log(self) -> str:
        """Everything it has said, over all its starts."""
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def status(self) -> dict[str, Any]:
        """What `muster-edge status --json` says."""
        return json.loads(self.run("status", "--json")[1])

    def start(self) -> Self:
        """Start it and return at once."""
        assert self.process is None or not self.process.running
        self.process = self._launch("run", log=self.directory / "log")
        return self

    def run(self, *arguments: str, timeout: float = 20.0) -> tuple[int, str]:
        """Run another `muster-edge` command of the same user; its exit code and what it printed."""
        with self._launch(*arguments) as process:
            code = process.wait(timeout)
            return code, process.output

    def kill(self) -> None:
        """SIGKILL, as a power cut."""
        self.process.kill()
        self.process.close()

    def stop(self, timeout: float = 20.0) -> None:
        """Ctrl-C; it must end in order."""
        self.process.send(signal.SIGINT)
        assert self.process.wait(timeout) == 0, self.process.describe()
        assert "Traceback" not in self.log, self.log[-6000:]
        self.process.close()

    def wait_log(self, text: str, timeout: float = 20.0) -> None:
        """Wait until it has said something."""
        eventually(lambda: text in self.log, timeout, f"the edge says {text!r}")

    def close(self) -> None:
        """Kill what is left, show the log, remove the directory."""
        if self.process is not None:
            self.process.close()
        print(f"--- log of {type(self).__name__}\n{self.log[-12_000:]}")
        shutil.rmtree(self.directory, ignore_errors=True)

    def _launch(self, *arguments: str, log: Path | None = None) -> Process:
        command = (*self._prefix, sys.executable, "-m", "edge", *arguments)
        return Process(*command, env=self.env, cwd=self.directory, log=log)
