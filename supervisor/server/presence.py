"""The server's own presence: what it publishes when it comes, and what is published when it goes."""

from __future__ import annotations

import msgspec

from actors.fleet import Fleet
from actors.link.messages import Announcement
from actors.pipeline import PipelineState
from actors.runtime import Clock
from actors.timestamps import rfc3339
from actors.version import __version__

DISCOVERY = "server/discovery"
REQUESTS = "server/requests"
DEVICES_PER_SECOND = 500
"""Announcements that a fleet-wide request asks for per second; its `spread` follows from it."""


class ServerPresence:
    """Makes the messages of `server/discovery` (retained) and `server/requests` (never retained)."""

    def __init__(self, server_id: str, clock: Clock, fleet: Fleet, pipeline: PipelineState) -> None:
        self._pipeline = pipeline
        self._server_id = server_id
        self._clock = clock
        self._fleet = fleet
        self.url = ""
        """Where the page is, once it listens."""

    def will(self) -> Announcement:
        """Return what the broker says when we are gone without a word."""
        return (DISCOVERY, self._state("offline"), 1, True)

    def greet(self, first: bool) -> list[Announcement]:  # noqa: ARG002 - the link's signature; both greet alike
        """Return what is published on every connection: that we are here, and the question who else is."""
        spread = max(1, len(self._fleet) // DEVICES_PER_SECOND)
        request = msgspec.json.encode({"request": "announce", "spread": spread})
        return [
            (DISCOVERY, self._state("online"), 1, True),
            (REQUESTS, request, 0, False),
            *self._pipeline.announcements("online"),
        ]

    def farewell(self) -> list[Announcement]:
        """Return what is published before an orderly end."""
        return [(DISCOVERY, self._state("offline"), 1, True), *self._pipeline.announcements("offline")]

    def _state(self, status: str) -> bytes:
        return msgspec.json.encode(
            {
                "server_id": self._server_id,
                "status": status,
                "url": self.url,
                "version": __version__,
                "timestamp": rfc3339(int(self._clock.time() * 1_000_000)),
            }
        )
