"""What all requests of one running server share."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from web.downloads import Downloads
from web.face import Face
from web.limits import Limits, Rates
from web.proxies import Proxies
from web.static import Assets


class Slots:
    """Counts downloads, each of which holds a thread of the server for long; thread-safe."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take a slot; False when none is free."""
        with self._lock:
            taken = self._free > 0
            self._free -= taken
        return taken

    def give_back(self) -> None:
        """Return a slot."""
        with self._lock:
            self._free += 1


class Places:
    """How many event streams are open, and whose: by token and by address. Nobody has all of them; thread-safe."""

    def __init__(self, most: int) -> None:
        """Take how many there may be; one in eight is left to others by whoever has the most."""
        self.most = most
        self.each = max(1, most - max(1, most // 8))
        self._lock = threading.Lock()
        self._taken = 0
        self._of: Counter[str] = Counter()

    def take(self, *holders: str) -> Literal["", "full", "yours"]:
        """Take a place; tell when there is none, or when one of the holders has as many as he may."""
        with self._lock:
            if self._taken >= self.most:
                return "full"
            if any(self._of[holder] >= self.each for holder in holders):
                return "yours"
            self._taken += 1
            self._of.update(holders)
        return ""

    def give_back(self, *holders: str) -> None:
        """Return a place."""
        with self._lock:
            self._taken -= 1
            self._of.subtract(holders)
            # Who has none is forgotten: tokens and addresses come and go.
            self._of = +self._of


@dataclass(frozen=True, kw_only=True)
class Site:
    """The face, and the state that belongs to the HTTP server itself."""

    face: Face
    assets: Assets = field(default_factory=Assets)
    limits: Limits = field(default_factory=lambda: Limits(Rates()))
    streams: Places = field(default_factory=lambda: Places(256))
    downloads: Downloads = field(default_factory=lambda: Downloads(Slots(16), None))
    proxies: Proxies = field(default_factory=Proxies)
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when the server stops: downloads end at their next piece."""
