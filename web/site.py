"""What all requests of one running server share."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from web.downloads import Downloads
from web.face import Face
from web.limits import Limits, Rates
from web.proxies import Proxies
from web.static import Assets


class Slots:
    """Counts what holds a thread of the server for long, open event streams or downloads; thread-safe."""

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


@dataclass(frozen=True, kw_only=True)
class Site:
    """The face, and the state that belongs to the HTTP server itself."""

    face: Face
    assets: Assets = field(default_factory=Assets)
    limits: Limits = field(default_factory=lambda: Limits(Rates()))
    streams: Slots = field(default_factory=lambda: Slots(64))
    downloads: Downloads = field(default_factory=lambda: Downloads(Slots(16), None))
    proxies: Proxies = field(default_factory=Proxies)
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when the server stops: streams end at their next look."""
