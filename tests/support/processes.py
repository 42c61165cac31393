"""Programs that a test starts: in a process group of their own, output in a file, reaped whatever happens."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import psutil

from tests.support.wait import eventually


def environment(env: Mapping[str, str], cwd: str | Path | None = None) -> dict[str, str]:
    """Our environment with `env` over it, for a program that starts in `cwd` (ours if None).

    Without a configuration of its own it would read that of the machine: `/etc/muster`.
    """
    whole = {**os.environ, "PYTHONUNBUFFERED": "1", **env}
    if not whole.get("MUSTER_CONFIG") and not (Path(cwd or ".") / "muster.toml").exists():
        whole["MUSTER_CONFIG"] = os.devnull
    return whole


class Process:
    """A running command. It leads a session and a process group of its own; stdout and stderr go to one file.

    Where it can be arranged, the kernel kills it when the tests die, so that a test run cut short leaves no servers.
    """

    def __init__(
        self,
        *command: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        log: Path | None = None,
        user: str | None = None,
    ) -> None:
        """Start `command`; `env` is laid over ours; `user` needs root and switches to that user and group."""
        self._own_log = log is None
        self.log = log or Path(tempfile.mkstemp(prefix="muster-test-", suffix=".log")[1])
        self.command = [str(word) for word in command]
        identity = {"user": user, "group": user, "extra_groups": []} if user else {}
        with self.log.open("ab") as output:
            self._popen = subprocess.Popen(
                [*_dying_with_us(), *self.command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment(env or {}, cwd),
                cwd=cwd,
                start_new_session=True,
                **identity,
            )

    @classmethod
    def module(cls, name: str, *arguments: str | Path, **options) -> Process:
        """Start `python -m name arguments...` with the interpreter of the tests."""
        return cls(sys.executable, "-m", name, *arguments, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    @property
    def returncode(self) -> int | None:
        """The exit code, -N after signal N, None while it runs."""
        return self._popen.poll()

    @property
    def output(self) -> str:
        """Everything printed so far, stdout and stderr in the order of writing."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def descendants(self) -> list[psutil.Process]:
        """Its children, their children, and so on."""
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def wait_for_line(self, pattern: str, timeout: float = 10.0) -> re.Match[str]:
        """The first match of `pattern` within a complete line of output; AssertionError after `timeout` seconds."""
        wanted = re.compile(pattern)

        def look() -> re.Match[str] | bool:
            ended = not self.running
            text = self.output
            lines = (text if ended else text[: text.rfind("\n") + 1]).splitlines()
            return next((match for line in lines if (match := wanted.search(line))), ended)

        try:
            found = eventually(look, timeout, f"a line matching {pattern!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.describe()}") from None
        if found is True:
            raise AssertionError(f"ended without a line matching {pattern!r}; {self.describe()}")
        return found

    def describe(self) -> str:
        """The command, how it stands and the end of its output, for messages."""
        return f"{' '.join(self.command)} (exit code {self.returncode}) printed:\n{self.output[-4000:]}"

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone, not to its group."""
        self._popen.send_signal(number)

    def interrupt_group(self) -> None:
        """SIGINT to the whole group: what Ctrl-C in a terminal does."""
        os.killpg(self.pid, signal.SIGINT)

    def wait(self, timeout: float = 10.0) -> int:
        """The exit code; AssertionError when it still runs after `timeout` seconds."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout:g} s; {self.describe()}") from None

    def terminate(self, timeout: float = 10.0) -> int:
        """SIGTERM, then `wait`."""
        self.send(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self) -> None:
        """SIGKILL to the process alone; what it had started is left as such a death leaves it, until `close`."""
        self._popen.kill()
        self._popen.wait()

    def close(self) -> None:
        """SIGKILL to whatever is left of the process and its group; reap it; remove the log if it is ours."""
        # Before reaping: until then its id, which is the group's, cannot belong to anybody else.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        if self._own_log:
            self.log.unlink(missing_ok=True)


def _dying_with_us() -> list[str]:
    """Command prefix that ties a child to the life of this thread; only the main thread lives as long as the tests."""
    setpriv = shutil.which("setpriv")
    if setpriv is None or threading.current_thread() is not threading.main_thread():
        return []
    return [setpriv, "--pdeathsig", "KILL", "--"]
