"""An upload that goes on: over broken connections, restarts of the server, and kills of this process.

The server names an upload by the SHA-256 of its file, and says which byte is next: nothing is remembered here.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from web.releases import CHUNK

from .client import ApiClient, ApiError, NoServerError

Advance = Callable[[int], None]
"""Is told how many bytes have arrived."""

SMALLEST: Final = 16 * 1024
"""Bytes of a piece on the slowest line: a server waits some 20 s for one."""
FIRST: Final = 256 * 1024
"""Bytes of the first piece."""
QUICK: Final = 1.0
"""Seconds; a piece that took less is followed by a larger one."""
LONGEST_WAIT: Final = 10.0
"""Seconds between two attempts."""
_PASSING: Final = (0, 429, 500, 502, 503, 504)
"""Statuses after which it is tried again; 0 is a server that cannot be reached."""


class Upload:
    """One file on its way."""

    def __init__(
        self,
        path: Path,
        connect: Callable[[], ApiClient],
        patience: float,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look at the file.

        Args:
            path: the release.
            connect: finds the server, anew after each failure: its address and its token may be others.
            patience: seconds without any progress after which it is given up.
            sleep: waits.
            monotonic: the time.

        Raises:
            OSError: the file cannot be read.

        """
        self.path = path
        self.size = path.stat().st_size
        self._connect = connect
        self._patience = patience
        self._sleep = sleep
        self._monotonic = monotonic
        self._client: ApiClient | None = None
        self._upload = ""
        self._has_begun = False
        self._offset = 0
        self._piece = FIRST

    def run(self, advance: Advance) -> str:
        """Upload; return the version once the server has verified it.

        Raises:
            ApiError: the server refuses it, or is not to be reached for too long.

        """
        with self.path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            failures, moved_at = 0, self._monotonic()
            while True:
                before = self._offset
                try:
                    version = self._begin(sha256) if not self._upload else self._send(file.fileno())
                except (ApiError, NoServerError) as error:
                    failures += 1
                    self._recover(error, failures, moved_at)
                    continue
                advance(self._offset)
                if version:
                    self._close()
                    return version
                if self._offset > before:
                    failures, moved_at = 0, self._monotonic()

    def _begin(self, sha256: str) -> str | None:
        """Ask how far the upload is; return the version if all of it is there already."""
        body = {"size": self.size, "sha256": sha256, "name": self.path.name[:200]}
        if self._client is None:
            self._client = self._connect()
        answer = self._client.post("/api/releases/uploads", body)
        self._upload, self._offset, self._has_begun = answer["id"], answer["offset"], True
        release: str | None = answer["release"]
        return release

    def _send(self, descriptor: int) -> str | None:
        """Send the next piece; return the version after the last one."""
        assert self._client is not None
        began = self._monotonic()
        piece = os.pread(descriptor, self._piece, self._offset)
        headers = {"Upload-Offset": str(self._offset)}
        answer = self._client.send(f"/api/releases/uploads/{self._upload}", piece, headers)
        self._offset = answer["offset"]
        if self._monotonic() - began < QUICK:
            self._piece = min(CHUNK, 2 * self._piece)
        release: str | None = answer["release"]
        return release

    def _recover(self, error: ApiError | NoServerError, failures: int, moved_at: float) -> None:
        """Wait and begin anew, unless it is hopeless."""
        status = error.status if isinstance(error, ApiError) else 0
        code = error.code if isinstance(error, ApiError) else ""
        # A server that was started anew may have another token, which is found with it.
        anew = self._has_begun and (status == 401 or (status == 404 and bool(self._upload)))
        passing = status in _PASSING or anew or code == "wrong_offset"
        if not passing or self._monotonic() - moved_at > self._patience:
            self._close()
            raise error
        self._close()
        self._upload = ""
        self._piece = max(SMALLEST, self._piece // 2)
        self._sleep(min(LONGEST_WAIT, 0.25 * 2 ** min(failures, 10)))

    def _close(self) -> None:
        if self._client is not None:
            self._client.__exit__()
            self._client = None
