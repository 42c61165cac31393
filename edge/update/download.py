"""A download in small steps: it goes on where an earlier run has ended, and takes no more of the line than it may."""

from __future__ import annotations

import errno
import http.client
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from edge.update.file import Offer
from edge.update.server import UnreachableError, UpdateServer

SLICE = 0.25
"""Seconds that a step reads at most, and that the rate is held over."""
_PIECE = 64 * 2**10
_AT_ONCE = 2**20
"""Bytes of a step without a rate."""


class Download:
    """One release on its way to the disk."""

    def __init__(
        self,
        server: UpdateServer,
        offer: Offer,
        path: Path,
        rate: int,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Assign.

        Args:
            server: where it comes from.
            offer: what comes.
            path: where it is kept, in a directory of its own: what else lies there is removed.
            rate: bytes in a second, 0 for any.
            now: monotonic seconds.

        """
        self._server, self._offer, self._rate, self._now = server, offer, rate, now
        self.path = path
        self._body: http.client.HTTPResponse | None = None
        self._file = -1
        self.done = 0
        """Bytes that are there."""

    def begin(self) -> None:
        """Look what is there already.

        Raises:
            OSError: the directory cannot be used, or the disk has no room for the rest.

        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        for other in self.path.parent.iterdir():
            if other != self.path:
                other.unlink()
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self.done = os.lseek(self._file, 0, os.SEEK_END)
        if self.done > self._offer.size:
            self._start_over()
        left = self._offer.size - self.done
        if shutil.disk_usage(self.path.parent).free < left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @property
    def is_complete(self) -> bool:
        """Whether all of it is there."""
        return self.done >= self._offer.size

    @property
    def progress(self) -> float:
        """0 to 1."""
        return round(self.done / self._offer.size, 3)

    def step(self) -> float:
        """Take some more; return the seconds until the next step.

        Raises:
            UnreachableError: the server does not give it now; what is there stays.
            edge.update.server.GoneError: it never will.
            OSError: the disk.

        """
        if self.is_complete:
            os.fsync(self._file)
            self.close()
            return 0.0
        began, taken = self._now(), 0
        most = max(1, int(self._rate * SLICE)) if self._rate else _AT_ONCE
        body = self._body or self._open()
        while taken < most and self._now() - began < SLICE and not self.is_complete:
            piece = self._read(body, min(_PIECE, most - taken, self._offer.size - self.done))
            self._write(piece)
            taken += len(piece)
        return max(0.0, taken / self._rate - (self._now() - began)) if self._rate else 0.0

    def close(self) -> None:
        """End it for now; harmless when repeated."""
        self._body = None
        self._server.close()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> http.client.HTTPResponse:
        body, first = self._server.open(self._offer.release, self.done)
        if first != self.done:
            self._start_over()
            if first != 0:
                raise UnreachableError("the server does not go on where we are")
        self._body = body
        return body

    def _read(self, body: http.client.HTTPResponse, most: int) -> bytes:
        try:
            piece = body.read1(most)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._body = None
            raise UnreachableError(f"the download broke off: {error or type(error).__name__}") from None
        if not piece:
            self._body = None
            raise UnreachableError("the download broke off")
        return piece

    def _write(self, piece: bytes) -> None:
        """Append; what a full disk has not taken is not counted."""
        written = os.pwrite(self._file, piece, self.done)
        self.done += written
        if written < len(piece):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _start_over(self) -> None:
        os.ftruncate(self._file, 0)
        self.done = 0
