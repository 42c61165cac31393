"""A lock on a directory: the kernel's (`flock`), so that it ends with its process, however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

AGAIN_AFTER = 0.02
"""Seconds between two attempts."""


class LockHeldError(Exception):
    """Another process holds the lock."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(f"{path} is held by process {holder}")
        self.holder = holder
        """Its process id, as far as the file tells."""


class FileLock:
    """Holds a lock file, which says who holds it, until `close`."""

    def __init__(self, path: Path, *, patience: float = 0.0) -> None:
        """Take the lock.

        Args:
            path: the file, made where it is missing; its directory must exist.
            patience: seconds for which one that is held is tried again.

        Raises:
            LockHeldError: it is held still.
            OSError: the file cannot be used.

        """
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        deadline = time.monotonic() + patience
        while not self._try():
            if time.monotonic() >= deadline:
                holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
                self.close()
                raise LockHeldError(path, holder)
            time.sleep(AGAIN_AFTER)
        with contextlib.suppress(OSError):  # a full disk: who holds the lock stays unknown, and holds it
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Give the lock free; harmless when repeated."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _try(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def is_locked(path: Path) -> bool:
    """Return whether some process holds the lock; False where there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
