"""Runs a program: no shell, bounded in time and output, and ended with everything that it has started."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

_PIECE = 65_536
_OURS = ("MUSTER_", "MQTT_")
"""Variables with our secrets begin so; no program is given them."""


class ProgramError(Exception):
    """The program could not be started; the message is one sentence."""


class Ended(NamedTuple):
    """How a program has ended."""

    exit_code: int
    """As `subprocess` tells it: negative for a signal."""
    output: bytes
    """The last of what it has written, to stdout and stderr."""
    is_cut: bool
    """Whether it has written more."""
    timed_out: bool

    @property
    def trouble(self) -> str:
        """Why this is no success; empty for one."""
        if self.timed_out:
            return "it took too long and was killed"
        if self.exit_code < 0:
            return f"it was ended by signal {-self.exit_code}"
        return f"it ended with exit code {self.exit_code}" if self.exit_code else ""

    @property
    def text(self) -> str:
        """The output as text."""
        return self.output.decode("utf-8", errors="replace")


class Programs:
    """Runs one program at a time; `stop` may be called by another thread."""

    def __init__(self) -> None:
        self._running: subprocess.Popen[bytes] | None = None

    def run(
        self,
        command: Sequence[str],
        *,
        timeout: float,
        output: int,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        directory: str | None = None,
    ) -> Ended:
        """Run a program to its end.

        Args:
            command: the program with its absolute path, and its arguments.
            timeout: seconds after which it is killed.
            output: bytes of its output that are kept.
            stdin: what it reads.
            env: variables it is given beside ours, without those of Muster.
            directory: where it runs.

        Raises:
            ProgramError: it cannot be started.

        """
        deadline = time.monotonic() + timeout
        variables = foreign_environment()
        with _as_file(stdin) as given:
            try:
                process = subprocess.Popen(  # noqa: S603 - the owner has configured it
                    list(command),
                    stdin=given,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=variables | dict(env or {}),
                    cwd=directory or None,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                raise ProgramError(f"{command[0]} cannot be started: {reason}") from None
        self._running = process
        try:
            kept, is_cut, timed_out = _watch(process, deadline, output)
        finally:
            self._running = None
            if process.poll() is None:
                _kill(process)
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        return Ended(process.returncode, kept, is_cut, timed_out)

    def stop(self) -> bool:
        """Kill what runs; return whether anything did."""
        process = self._running
        if process is not None:
            _kill(process)
        return process is not None


def foreign_environment() -> dict[str, str]:
    """Return our environment as other programs may see it: without our secrets."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}


def _watch(process: subprocess.Popen[bytes], deadline: float, most: int) -> tuple[bytes, bool, bool]:
    """Collect the output until the program ends or its time is over: the last bytes, whether more came, which it was.

    Who has left a child behind that keeps the pipe open has ended all the same.
    """
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    os.set_blocking(pipe, False)
    kept, is_cut, is_open = b"", False, True
    ended = os.pidfd_open(process.pid)
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return kept, is_cut, True
            ready, _, _ = select.select([ended, *([pipe] if is_open else [])], [], [], left)
            while piece := _read(pipe):
                kept, is_cut = (kept + piece)[-most:] if most else b"", is_cut or len(kept) + len(piece) > most
                if time.monotonic() >= deadline:
                    break
            is_open = is_open and piece is None
            if ended in ready:
                return kept, is_cut, False
    finally:
        os.close(ended)


def _read(pipe: int) -> bytes | None:
    """Return what is there: None for nothing now, empty at the end."""
    try:
        return os.read(pipe, _PIECE)
    except BlockingIOError:
        return None


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[int]:
    """Yield a descriptor that reads the content: unlike a pipe it never fills."""
    descriptor = os.memfd_create("muster-stdin")
    try:
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)
