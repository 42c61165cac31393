"""A command on a terminal of its own, as somebody would see it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from typing import Self

from tests.support.wait import eventually

_UNSEEN = re.compile(r"\x1b\[[0-9;]*m|\x07")
_HOME = "\x1b[H"
CTRL_C = "\x03"


class Terminal:
    """A process whose input and output are a terminal of `columns` times `lines`; a context manager."""

    def __init__(
        self, *command: str, env: Mapping[str, str] | None = None, columns: int = 100, lines: int = 30, cwd: str = "."
    ) -> None:
        self._command: Sequence[str] = command
        self._env = {**os.environ, "TERM": "xterm-256color", **(env or {})}
        for name in {"COLUMNS", "LINES", "NO_COLOR"} - set(env or ()):
            self._env.pop(name, None)
        self._size = struct.pack("HHHH", lines, columns, 0, 0)
        self._cwd = cwd
        self.raw = ""
        """All that was written."""

    def __enter__(self) -> Self:
        self._fd, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, self._size)
        self.process = subprocess.Popen(
            self._command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=self._env,
            cwd=self._cwd,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - so that Ctrl-C is a signal
        )
        os.close(theirs)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._fd)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._fd, keys.encode())

    def read(self) -> str:
        """Take what was written until now; return all of it."""
        with contextlib.suppress(OSError):  # nobody has the other end any more
            while select.select([self._fd], [], [], 0)[0] and (data := os.read(self._fd, 65536)):
                self.raw += data.decode(errors="replace")
        return self.raw

    @property
    def text(self) -> str:
        """All that was written, without colours and bells."""
        return _UNSEEN.sub("", self.read())

    @property
    def screen(self) -> str:
        """What the screen shows: what has come of the newest drawing of it, over the one before."""
        before, now = ([""] + [drawing.splitlines() for drawing in self.text.split(_HOME)])[-2:]
        return "\n".join([*now, *before[len(now) :]])

    def wait_for(self, words: str, timeout: float = 20.0) -> str:
        """Return the screen once it shows these words."""
        return eventually(lambda: words in (seen := self.screen) and seen, timeout, f"the screen shows {words!r}")

    def end(self, timeout: float = 10.0) -> int:
        """Wait for the process to end; return its exit code."""

        def ended() -> bool:
            self.read()  # or it would wait for a reader
            return self.process.poll() is not None

        eventually(ended, timeout, "the command has ended")
        self.read()
        return int(self.process.returncode)

    def interrupt(self) -> int:
        """Press Ctrl-C; return the exit code."""
        self.type(CTRL_C)
        return self.end()

    def terminate(self) -> int:
        """End it as an operator would; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.end()
