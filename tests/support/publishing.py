"""`muster sensor-publisher` as a process with a data directory of its own."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3

from tests.support.processes import Process
from tests.support.wait import eventually

DEADLINE = 30.0


class Publisher:
    """The command with a data directory of its own; `start` may be called again after its end."""

    def __init__(self, directory, broker, server, token, *options):
        self.directory = directory
        self.env = {
            "MUSTER_DATA_DIR": str(directory / "data"),
            "MUSTER_RUNTIME_DIR": str(directory / "run"),
            "MUSTER_BROKER_URL": broker,
            "MUSTER_SERVER_URL": server,
            "MUSTER_API_TOKEN": token,
        }
        self.options = options
        self.process = None

    def start(self, *more):
        arguments = ("sensor-publisher", "--id", "S", *self.options, *more)
        self.process = Process.module("supervisor.cli", *arguments, env=self.env, log=self.directory / "log")
        return self

    def run(self, *arguments):
        """Run a command to its end; return its exit code and what it printed."""
        with Process.module("supervisor.cli", "sensor-publisher", *arguments, env=self.env) as process:
            code = process.wait(DEADLINE)
            return code, process.output

    @property
    def state(self):
        path = self.directory / "data" / "publisher" / "S" / "state.json"
        return json.loads(path.read_text()) if path.exists() else {}

    @property
    def kept(self):
        """Ids in the outbox."""
        path = self.directory / "data" / "publisher" / "S" / "outbox.db"
        with contextlib.closing(sqlite3.connect(path)) as db:
            return {row[0] for row in db.execute("SELECT id FROM item")}

    def until(self, *, timeout=DEADLINE, **wanted):
        """Wait until it shows this state."""

        def seen():
            assert self.process.running, self.process.describe()
            return wanted.items() <= self.state.items()

        eventually(seen, timeout, f"state {wanted} (is {self.state})")

    def stop(self, timeout=DEADLINE):
        """SIGTERM; it must end in order."""
        self.process.send(signal.SIGTERM)
        assert self.process.wait(timeout) == 0, self.process.describe()
        self.process.close()

    def close(self):
        if self.process is not None:
            self.process.close()
