"""Loads the known devices from the database into the fleet, before their actors are started."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pykka import ActorDeadError, Timeout

from actors.fleet import Fleet
from actors.messages import DeviceSnapshot
from actors.registry import LoadDevices
from actors.runtime import Directory, ThreadedActor
from actors.storage.errors import StoreUnavailable
from supervisor.server.history import note_start
from supervisor.server.parts import Parts
from supervisor.server.payload_keys import load_payload_keys

logger = logging.getLogger(__name__)

SLICE = 5_000
"""Devices asked for at a time."""
PATIENCE = 30.0
"""Seconds to wait for one slice."""
AGAIN_AFTER = 1.0
"""Seconds until the database is asked again when it was away."""


class Load:
    """To itself: ask for the next slice."""


class LoaderActor(ThreadedActor):
    """Is ready when the fleet is loaded; asks for ever while the database is away, and is done after that."""

    defer_ready = True

    def __init__(
        self,
        fleet: Fleet,
        directory: Directory,
        is_ours: Callable[[DeviceSnapshot], bool],
        *,
        first: Callable[[], None] = lambda: None,
    ) -> None:
        """Assign.

        Args:
            fleet: what is loaded.
            directory: where the registry is found.
            is_ours: which devices are wanted.
            first: loads what else has to be known by then; may raise what an ask of the registry raises.

        """
        super().__init__()
        self._first = first
        self._fleet = fleet
        self._directory = directory
        self._is_ours = is_ours
        self._found: list[DeviceSnapshot] = []
        self._after = ""
        self._told = False

    def on_start(self) -> None:
        """Begin with the first serial; a fleet that is loaded already (this is a restart) is left as it is."""
        if len(self._fleet):
            self.ready()
        else:
            self.actor_ref.tell(Load())

    def on_receive(self, message: Any) -> None:
        """Ask for the next slice, or wait a little if nobody answers."""
        assert isinstance(message, Load), message
        devices = self._ask(self._after)
        if devices is None:
            self.actor_inbox.wait(AGAIN_AFTER)
            self.actor_ref.tell(Load())
            return
        self._found += filter(self._is_ours, devices)
        if len(devices) == SLICE:
            self._after = devices[-1].serial
            self.actor_ref.tell(Load())
            return
        self._fleet.load(self._found)
        logger.info("%d known devices", len(self._found))
        self._found = []
        self.ready()

    def _ask(self, after: str) -> list[DeviceSnapshot] | None:
        """Return the next slice; None while the registry or the database is away."""
        registry = self._directory.get("registry")
        if registry is None:
            return None
        try:
            if not after:
                self._first()
            devices: list[DeviceSnapshot] = registry.ask(LoadDevices(after, SLICE), block=True, timeout=PATIENCE)
        except (ActorDeadError, Timeout, StoreUnavailable) as error:
            if not self._told:
                self._told = True
                logger.warning("the fleet cannot be loaded yet, and is asked for again every second: %s", error)
            return None
        return devices


def loader(parts: Parts) -> LoaderActor:
    """Return who loads what is known before the first device is heard."""

    def first() -> None:
        load_payload_keys(parts)
        note_start(parts)

    return LoaderActor(parts.fleet, parts.services, parts.is_ours, first=first)
