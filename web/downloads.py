"""Downloads: few at a time, at a bounded pace, and each ends as soon as its release may not go any more.

Each holds a thread of the server, beside those of the API, as the event streams do. A device has one download: the next
one that it begins ends the one before, which may be stuck in a dead connection.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from web.releases import OpenRelease, Outcome

if TYPE_CHECKING:
    from web.site import Slots

CHUNK: Final = 64 * 1024
"""Bytes written at a time."""
SLOW_AFTER: Final = 60.0
"""Seconds after which a download must have been at least so fast on average:"""
SLOWEST: Final = 1_024
"""Bytes a second."""


class Pace:
    """How fast all downloads may be together; thread-safe."""

    def __init__(self, rate: float | None) -> None:
        """Take the bytes a second, None for any."""
        self._rate = rate
        self._lock = threading.Lock()
        self._free_at = 0.0

    def wait(self, count: int, now: float) -> float:
        """Return how many seconds to wait before so many bytes are sent (monotonic `now`)."""
        if self._rate is None:
            return 0.0
        with self._lock:
            start = max(self._free_at, now)
            self._free_at = start + count / self._rate
        return start - now


class Downloads:
    """Who downloads now; thread-safe."""

    def __init__(self, places: Slots, rate: float | None) -> None:
        self.places = places
        self.pace = Pace(rate)
        self._lock = threading.Lock()
        self._current: dict[str, Download] = {}

    def begin(self, download: Download) -> bool:
        """Take a place, and end what the same device has begun before; False where no place is free."""
        if not self.places.take():
            return False
        if download.serial:
            with self._lock:
                before = self._current.get(download.serial)
                self._current[download.serial] = download
            if before is not None:
                before.replaced = True
        return True

    def end(self, download: Download) -> None:
        """Give the place back."""
        with self._lock:
            if self._current.get(download.serial) is download:
                del self._current[download.serial]
        self.places.give_back()


class Download:
    """The body of one answer; the server closes it however it ends."""

    def __init__(
        self,
        downloads: Downloads,
        release: OpenRelease,
        wanted: range,
        *,
        serial: str,
        may_go: Callable[[], bool],
        count: Callable[[Outcome, int], None],
        now: Callable[[], float],
        stop: threading.Event,
    ) -> None:
        """Assign; the caller begins it at `downloads`.

        Args:
            downloads: where it has its place.
            release: closed at the end.
            wanted: which bytes.
            serial: the device; empty for who is none.
            may_go: whether the release may still be given away.
            count: told at the end.
            now: monotonic time.
            stop: set when the server stops.

        """
        self.serial = serial
        self.replaced = False
        """Set when the same device has begun another one."""
        self._downloads = downloads
        self._release = release
        self._wanted = wanted
        self._may_go = may_go
        self._count = count
        self._now = now
        self._stop = stop
        self._sent = 0
        self._outcome: Outcome | None = None
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        file, left = self._release.file, len(self._wanted)
        file.seek(self._wanted.start)
        began = self._now()
        while left:
            self._outcome = self._verdict(began)
            chunk = b"" if self._outcome else file.read(min(CHUNK, left))
            if not chunk:
                return
            if self._stop.wait(self._downloads.pace.wait(len(chunk), self._now())):
                self._outcome = "stopped"
                return
            yield chunk
            self._sent += len(chunk)
            left -= len(chunk)
        self._outcome = "whole" if self._sent == self._release.size else "part"

    def close(self) -> None:
        """Give everything back; called by the server, even if nothing was read."""
        if self._open:
            self._open = False
            self._release.file.close()
            self._downloads.end(self)
            self._count(self._outcome or "broken", self._sent)

    def _verdict(self, began: float) -> Outcome | None:
        """Return why it ends before its time."""
        took = self._now() - began
        if self.replaced:
            return "replaced"
        if took > SLOW_AFTER and self._sent < took * SLOWEST:
            return "slow"
        return None if self._may_go() else "revoked"
