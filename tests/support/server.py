"""What the servers of the tests have in common: a free port, a directory, start, stop, kill, start again."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
from pathlib import Path

import psutil

from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.started import Started
from tests.support.wait import eventually


class Server(Started):
    """A server as a child process; a context manager that starts it, and in the end removes all of it."""

    host = "127.0.0.1"
    ready_within = 10.0  # seconds
    stop_signal = signal.SIGTERM
    user: str | None = None
    """Whom to run as; None is ourselves."""

    def __init__(self) -> None:
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix=f"muster-{type(self).__name__.lower()}-"))
        if self.user is not None:
            shutil.chown(self.directory, self.user, self.user)
        self.process: Process | None = None
        self._prepared = False

    def prepare(self) -> None:
        """What the first start needs: configuration, an empty data directory."""
        raise NotImplementedError

    def command(self) -> list[str | Path]:
        raise NotImplementedError

    def is_ready(self) -> bool:
        """One attempt to use the server; OSError means not yet."""
        raise NotImplementedError

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.running

    @property
    def log(self) -> str:
        """Everything it has logged, over all its starts."""
        return (self.directory / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start it, on the same port and data as before; returns when it answers."""
        assert not self.running
        if not self._prepared:
            self.prepare()
            self._prepared = True
        self.process = self.spawn(*self.command(), log=self.directory / "log")
        eventually(self._answers, self.ready_within, f"{type(self).__name__} answers on port {self.port}")

    def stop(self, timeout: float = 30.0) -> None:
        """An orderly shutdown, within `timeout` seconds."""
        self.process.send(self.stop_signal)
        self.process.wait(timeout)
        self.process.close()

    def kill(self) -> None:
        """SIGKILL, to its workers too: PostgreSQL's leave its process group and hold its shared memory."""
        self.process.send(signal.SIGSTOP)  # from here on it starts no more of them
        workers = self.process.descendants()
        self.process.kill()
        for worker in workers:
            with contextlib.suppress(psutil.NoSuchProcess):  # they also go by themselves when their parent has gone
                worker.kill()
        psutil.wait_procs(workers, timeout=10)
        self.process.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        """Kill it if it still runs, and remove its directory."""
        if self.running:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def spawn(self, *command: str | Path, log: Path | None = None) -> Process:
        """Start a program as the server's user, in its directory."""
        return Process(*command, cwd=self.directory, log=log, user=self.user)

    def run(self, *command: str | Path, timeout: float = 60.0) -> None:
        """Run a program of the server to its end, which must be good."""
        with self.spawn(*command) as process:
            assert process.wait(timeout) == 0, process.describe()

    def _answers(self) -> bool:
        assert self.process.running, self.process.describe()
        try:
            return self.is_ready()
        except OSError:
            return False
