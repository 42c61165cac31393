"""A child process that is gone when the server is gone, and the actor that restarts with it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pykka

from actors.installation import HOME
from actors.runtime import ThreadedActor

from . import trampoline

logger = logging.getLogger(__name__)


class ChildError(Exception):
    """A child process could not be started or ended by itself; the message is one sentence."""


class ChildProcess:
    """One command under the trampoline; `start` and `stop` may alternate."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path | None = None,
        env: Mapping[str, str] | None = None,
        grace: float = trampoline.GRACE,
    ) -> None:
        """Remember what to run.

        Args:
            name: What people call it.
            command: Program and arguments; no secrets, they would show in the process list.
            log: Where its output goes, begun anew at each start; None lets it share ours.
            env: Variables added to our environment.
            grace: Seconds between SIGTERM and SIGKILL; a command with such children needs more than they have.

        """
        self.name = name
        self._command = list(command)
        self._log = log
        self._env = dict(env or {})
        self._grace = grace
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe = -1

    @property
    def pid(self) -> int:
        """Return the trampoline's process id, 0 before the first start."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the command unless it runs; a session of its own keeps the terminal's Ctrl-C from it: we stop it."""
        if self.running:
            return
        self._close_pipe()
        read_end, self._pipe = os.pipe()
        runner = [sys.executable, "-I", "-S", trampoline.__file__, str(read_end), str(self._grace), "--"]
        try:
            with contextlib.ExitStack() as stack:
                output = stack.enter_context(_open_log(self._log)) if self._log else None
                self._process = subprocess.Popen(  # noqa: S603 - our own command
                    [*runner, *self._command],
                    pass_fds=(read_end,),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env={**os.environ, **self._env},
                    start_new_session=True,
                )
        finally:
            os.close(read_end)

    def wait(self) -> int:
        """Block until it has ended; return the command's exit code, 128 + number for a signal."""
        assert self._process is not None, "start() first"
        code = self._process.wait()
        # A trampoline that had not begun yet ends by the signal itself.
        return code if code >= 0 else 128 - code

    def reload(self) -> None:
        """Send it SIGHUP, if it runs: for commands that read their files anew then, and for no others."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGHUP)

    def ask_stop(self) -> None:
        """Send SIGTERM and do not wait: to stop several at a time, before `stop`."""
        if self._process is not None:
            self._process.terminate()

    def stop(self) -> None:
        """End it: SIGTERM, SIGKILL after the trampoline's grace; harmless when it does not run."""
        self.ask_stop()
        if self._process is not None:
            try:
                self._process.wait(self._grace + 2.0)
            except subprocess.TimeoutExpired:
                self.kill()
                self._process.wait()
        self._close_pipe()

    def kill(self) -> None:
        """End it and everything that it started, at once."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _close_pipe(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


def python_module(module: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Return command and added environment that run one of our modules, whatever the working directory holds."""
    path = os.pathsep.join(filter(None, (str(HOME), os.environ.get("PYTHONPATH"))))
    return [sys.executable, "-P", "-m", module, *arguments], {"PYTHONPATH": path}


def _open_log(path: Path) -> Any:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


class Service(Protocol):
    """What `ProcessActor` looks after."""

    name: str
    """What people call it, in a sentence: `embedded broker`."""

    @property
    def pid(self) -> int:
        """Return the process id of the current run."""

    def start(self) -> None:
        """Start it and return when it serves; return at once when it does already."""

    def wait(self) -> int:
        """Block until it has ended; return its exit code."""

    def stop(self) -> None:
        """End it in order."""

    def kill(self) -> None:
        """End it at once."""


class ProcessEnded(msgspec.Struct, frozen=True):
    """From the watching thread to its actor."""

    pid: int
    """Which run ended: the message outlives its actor, and the next one has another process."""
    code: int


class ProcessActor(ThreadedActor):
    """Lives as long as its process: crashes when the process ends, so that the supervisor starts both again.

    A process that outlived its actor (an injected exception, a killed thread) is kept and goes on undisturbed.
    """

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service = service

    def on_start(self) -> None:
        """Start the process and a thread that waits for its end."""
        self._service.start()
        watcher = threading.Thread(
            target=_report_end,
            args=(self._service, self._service.pid, self.actor_ref),
            name=f"{self._service.name}-watcher",
            daemon=True,
        )
        watcher.start()

    def on_receive(self, message: Any) -> None:
        """Crash when the process of this incarnation has ended."""
        if isinstance(message, ProcessEnded):
            if message.pid == self._service.pid:
                raise ChildError(f"The {self._service.name} ended by itself with exit code {message.code}.")
        else:
            logger.warning("%s: unexpected message %r", self._service.name, message)

    def on_stop(self) -> None:
        """End the process in order."""
        self._service.stop()

    def sever(self) -> None:
        """End the process at once, which ends whatever waits for it."""
        self._service.kill()


def _report_end(service: Service, pid: int, ref: pykka.ActorRef[Any]) -> None:
    code = service.wait()
    with contextlib.suppress(pykka.ActorDeadError):
        ref.tell(ProcessEnded(pid, code))
