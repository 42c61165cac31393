"""The short-lived process that checks and installs a release, seen from the edge: started, asked, and ended with it.

It ends when its stdin does, with all that it has started: however the edge ends, nothing goes on behind its back.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from edge.inbox.programs import foreign_environment

_PIECE = 65_536
_LONGEST_LINE = 65_536


class Ended(NamedTuple):
    """How it has ended."""

    version: str
    """What is installed; empty if nothing is."""
    code: str
    """Why not; empty for a process that was killed before it could say."""
    reason: str


class Child:
    """`python -m edge.update.install ...`, never waited for."""

    def __init__(self, arguments: Sequence[str]) -> None:
        """Start it.

        Raises:
            OSError: it cannot be started.

        """
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", "edge.update.install", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=foreign_environment(),
            start_new_session=True,
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._rest = b""
        self._last: dict[str, Any] = {}

    def poll(self) -> tuple[list[dict[str, Any]], Ended | None]:
        """Return the states that it has told since the last time, and how it has ended if it has."""
        ended = self._process.poll() is not None
        told = self._read()
        states = [line for line in told if "state" in line]
        for line in told:
            if "state" not in line:
                self._last = line
        if not ended:
            return states, None
        self.close()
        last = self._last
        if not last:
            return states, Ended("", "", f"it ended with exit code {self._process.returncode} and said nothing")
        return states, Ended(*(str(last.get(key, ""))[:500] for key in ("version", "code", "reason")))

    def close(self) -> None:
        """Kill it, with all that it has started; harmless when repeated."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> list[dict[str, Any]]:
        assert self._process.stdout is not None
        while not self._process.stdout.closed:
            try:
                piece = os.read(self._process.stdout.fileno(), _PIECE)
            except BlockingIOError:
                break
            if not piece:
                break
            self._rest = (self._rest + piece)[-_LONGEST_LINE:]
        *lines, self._rest = self._rest.split(b"\n")
        read = []
        for line in lines:
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                value = msgspec.json.decode(line)
                if isinstance(value, dict):
                    read.append(value)
        return read
