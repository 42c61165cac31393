"""Runs one command and never lets it outlive the process that asked for it.

Started as a script, with the standard library only: `python -I -S trampoline.py FD GRACE -- command ...`. FD is the
read end of a pipe whose write end the server holds. When the server ends, in whatever way, the kernel closes the pipe
and the command is ended: SIGTERM, and SIGKILL after GRACE seconds. A SIGHUP is handed on, for it to read its files
anew. (`PR_SET_PDEATHSIG` in the server would not do: it belongs to the thread that forked, and the server's threads
come and go. This process has only one thread, so for its own end it can be used.)
"""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from types import FrameType

#: Seconds between SIGTERM and SIGKILL, unless somebody says otherwise.
GRACE = 3.0
_PR_SET_PDEATHSIG = 1


def _die_with_this_process() -> Callable[[], None] | None:
    """Return what the child calls between fork and exec, so that a SIGKILL of the trampoline ends it too."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def set_death_signal() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        # Killed between fork and prctl, the trampoline would send no signal any more.
        if os.getppid() != parent:
            os._exit(1)

    return set_death_signal


class Trampoline:
    """One child, and three reasons to look at it: it ended, we are told to stop, the server is gone."""

    def __init__(self, pipe: int, grace: float, command: list[str]) -> None:
        self._pipe = pipe
        self._grace = grace
        self._stop_asked = self._reload_asked = False
        self._wake_read, wake_write = os.pipe()
        for end in (self._wake_read, wake_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, self._note)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask_stop)
        signal.signal(signal.SIGHUP, self._ask_reload)
        # A thread-free process may run code between fork and exec.
        self._child = subprocess.Popen(  # noqa: S603 - the server composes the command
            command,
            stdin=subprocess.DEVNULL,
            preexec_fn=_die_with_this_process(),  # noqa: PLW1509
        )

    def run(self) -> int:
        """Wait for the child's end; return its exit code, 128 + number for a signal."""
        kill_at: float | None = None
        with selectors.DefaultSelector() as selector:
            pipe = selector.register(self._pipe, selectors.EVENT_READ)
            selector.register(self._wake_read, selectors.EVENT_READ)
            while (code := self._child.poll()) is None:
                timeout = None if kill_at is None else max(0.0, kill_at - time.monotonic())
                ready = [key for key, _ in selector.select(timeout)]
                self._drain()
                if self._reload_asked:
                    self._reload_asked = False
                    self._child.send_signal(signal.SIGHUP)
                if pipe in ready:
                    selector.unregister(self._pipe)
                    self._stop_asked = True
                if self._stop_asked and kill_at is None:
                    self._child.terminate()
                    kill_at = time.monotonic() + self._grace
                elif kill_at is not None and time.monotonic() >= kill_at:
                    self._child.kill()
                    kill_at += self._grace
        return code if code >= 0 else 128 - code

    def _drain(self) -> None:
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            return

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        """Let the wake-up pipe do the work: the signal only has to have a Python handler."""

    def _ask_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stop_asked = True

    def _ask_reload(self, _number: int, _frame: FrameType | None) -> None:
        self._reload_asked = True


def main(arguments: list[str]) -> int:
    """Run `FD GRACE -- command ...`."""
    if len(arguments) < 4 or arguments[2] != "--":
        sys.stderr.write("usage: trampoline.py FD GRACE -- command ...\n")
        return 2
    try:
        trampoline = Trampoline(int(arguments[0]), float(arguments[1]), arguments[3:])
    except OSError as error:
        sys.stderr.write(f"{arguments[3]} cannot be started: {error.strerror}\n")
        return 127
    return trampoline.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
