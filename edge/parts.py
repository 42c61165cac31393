"""What the actors of an edge share: made once, outliving every actor."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pykka import ActorRef

from actors.outbox import OutboxBoard
from actors.runtime import Directory, Runtime
from actors.sight import Sight
from actors.uplink.actor import Wake
from actors.uplink.link import LinkWatch
from edge.bearings import Bearings
from edge.facts import Boards, Facts
from edge.home import Home
from edge.identity import Board, Identity
from edge.payload_keys.keys import PayloadKeys
from edge.presence import Pace
from edge.settings import EdgeSettings, SensorSettings
from edge.vitals import Vitals
from supervisor import BounceChild, TreeView

logger = logging.getLogger(__name__)

SERVER, HUB = "server", "hub"
"""Destinations of the outbox."""


class EdgeParts:
    """All that is shared; the tree is made of it."""

    def __init__(
        self,
        settings: EdgeSettings,
        home: Home,
        runtime: Runtime,
        *,
        identity: Identity,
        rundir: Path,
        board: Board | None = None,
    ) -> None:
        """Assign, and load what an earlier run has kept.

        Args:
            settings: what is configured.
            home: our directory.
            runtime: clock, dispatcher and timers.
            identity: who we are.
            rundir: where a server of this user leaves its files.
            board: where the board says who it is.

        """
        board = board or Board()
        self.settings, self.home, self.runtime, self.identity, self.rundir = settings, home, runtime, identity, rundir
        self.device_id = identity.device_id
        self.started_us = int(runtime.clock.time() * 1e6)
        self.directory = Directory()
        self.bearings = Bearings(home, settings, self.device_id)
        self.payload_keys = PayloadKeys(home, self.device_id, encrypt=settings.payloads.encrypt)
        self.payload_keys.prepare()
        self.sensors = name_sensors(settings.sensors, self.device_id)
        self.boards = Boards(list(self.sensors), runtime.clock.monotonic())
        self.boards.sight.on_change = self._wake_uplink
        self.outbox_board = OutboxBoard()
        self.link_watch = LinkWatch()
        self.pace = Pace(configured=settings.heartbeat)
        self.vitals = Vitals(home.path, board.root)
        self.tree: ActorRef[Any] | None = None
        """The top supervisor, once the tree is made."""
        self.on_restart: Callable[[], None] | None = None
        """Ends this process so that it is started anew; set by who runs it."""
        self.hub_at_start = ""
        """The hub that the outbox was made for."""
        self.facts = Facts(
            device_id=self.device_id,
            device_type=settings.device_type,
            boot_id=board.boot_id(),
            boards=self.boards,
            clock=runtime.clock,
            describe=self.describe,
        )

    def restart(self) -> None:
        """End this process, to be started anew.

        Raises:
            RuntimeError: nobody would.

        """
        if self.on_restart is None:
            raise RuntimeError("nobody starts this edge anew")
        self.on_restart()

    def _wake_uplink(self, _sight: Sight) -> None:
        """Have the uplink look at its link; one that is not there now looks when it starts."""
        if "uplink" in self.directory:
            self.directory.tell("uplink", Wake())

    def describe(self) -> dict[str, Any]:
        """Return the tree as it is now; empty before it is made."""
        return TreeView(self.tree).describe() if self.tree is not None else {}

    def destinations(self) -> tuple[str, ...]:
        """Return whom the outbox delivers to: the server, and the hub where one is known."""
        self.hub_at_start = self.bearings.hub()
        return (SERVER, HUB) if self.hub_at_start else (SERVER,)

    def found(self) -> None:
        """Connect to the broker and the hub that are known now; called by the locator, on its thread."""
        if self.tree is None:
            return
        hub = bool(self.bearings.hub())
        # What a hub is owed is kept while nobody knows whether there is one.
        is_in_doubt = not hub and HUB in self.boards.gauges.outbox.backlog
        if hub != bool(self.hub_at_start) or is_in_doubt:
            self.tree.tell(BounceChild(child_id="outbox"))
        self.tree.tell(BounceChild(child_id="contact"))

    def speaks_for_itself(self) -> bool:
        """Whether all readings are our own, so that our token opens the way over HTTP to them."""
        return bool(self.settings.api_token) or set(self.sensors) <= {self.device_id}


def name_sensors(sensors: tuple[SensorSettings, ...], device_id: str) -> dict[str, SensorSettings]:
    """Return the stations by their serial numbers: the first without one is the device itself."""
    named: dict[str, SensorSettings] = {}
    for number, sensor in enumerate(sensors, start=1):
        own = sensor.id or (device_id if device_id not in named else f"{device_id[:60]}-{number}")
        if own in named:
            logger.warning("two sensors are called %s; the second is left out, give it another `id`", own)
            continue
        named[own] = sensor
    return named
