"""Locks on files and directories: the kernel's (`flock`), so that they end with their process, however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

AGAIN_AFTER = 0.02
"""Seconds between two attempts."""


class LockHeldError(Exception):
    """Another process holds the lock."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(f"{path} is held by process {holder}")
        self.holder = holder
        """Its process id, as far as the file tells."""


class Held(ABC):
    """What is held until `close`, or to the end of a `with`."""

    @abstractmethod
    def close(self) -> None:
        """Give it free; harmless when repeated."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class FileLock(Held):
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

    def _try(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class LockedDirectory(Held):
    """A directory that one process at a time holds."""

    refusal: ClassVar[type[Exception]]
    """Raised where another process holds the directory, or it cannot be used; its message is one sentence."""
    taken: ClassVar[str]
    """That sentence where another process holds it, with `{path}` and `{holder}`, the id of that process."""

    def __init__(self, path: Path, lock: str, *, mode: int = 0o700, patience: float = 0.0) -> None:
        """Make the directory where it is missing, and take its lock.

        Args:
            path: the directory.
            lock: name of the file in it that is locked.
            mode: of the directory, if it is made.
            patience: seconds for which a lock that is held is tried again.

        Raises:
            Exception: `refusal`.

        """
        self.path = path
        try:
            path.mkdir(mode=mode, parents=True, exist_ok=True)
            self._lock = FileLock(path / lock, patience=patience)
        except OSError as error:
            raise self.refusal(f"The data directory {path} cannot be used: {error.strerror}.") from None
        except LockHeldError as held:
            raise self.refusal(self.taken.format(path=path, holder=held.holder)) from None

    def close(self) -> None:
        """Give the directory free; harmless when repeated."""
        self._lock.close()


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
