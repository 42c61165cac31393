"""The end of a process, which may be asked for from anywhere: by any thread, and by a signal handler."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue


class ProcessEnd:
    """Waits until somebody asks for the end, and knows the exit code.

    Not a `threading.Event`: its `set` takes a lock, and a signal handler runs in the main thread, between any two of
    its instructions, also while that thread holds the very lock. `SimpleQueue.put` is made for that: it is reentrant.
    """

    def __init__(self) -> None:
        self._asked: SimpleQueue[int] = SimpleQueue()
        self._codes: list[int] = []

    def ask(self, code: int = 0) -> None:
        """Let `wait` return; harmless when repeated."""
        self._asked.put(code)

    def wait(self, timeout: float | None = None) -> bool:
        """Block the main thread until the end is asked for; False if it was not within `timeout` seconds."""
        if not self._codes:
            with suppress(Empty):
                self._codes.append(self._asked.get(timeout=timeout))
        return bool(self._codes)

    @property
    def code(self) -> int:
        """The exit code: the first that says that something is wrong, else 0."""
        with suppress(Empty):
            while True:
                self._codes.append(self._asked.get_nowait())
        return next(filter(None, self._codes), 0)
