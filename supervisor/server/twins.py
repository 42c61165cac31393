"""Twins as the HTTP face sees them, and the actor that keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pykka import ActorDeadError

from actors.storage.result import CommitResult
from actors.storage.sql import slices
from actors.storage.twins import FindTwins
from actors.targets import Target, resolve
from actors.twins.actor import NAME, TwinActor, TwinSurroundings
from actors.twins.documents import Document
from actors.twins.messages import Change, Changed, ChangeMany, Twin, TwinError, TwinsStored
from supervisor.server.parts import Parts

PATIENCE = 10.0
"""Seconds that a request waits for a change; others may be before it."""
TOGETHER = 1_000
"""Devices of one message, so that others have their turn in between."""


def twin_actor(parts: Parts) -> TwinActor:
    """Return the actor that keeps the twins."""
    links = [f"{broker.name}.control" for broker in parts.config.brokers]

    def show(serial: str) -> None:
        parts.ring.publish("twin", serial, {"serial": serial})

    return TwinActor(
        TwinSurroundings(
            runtime=parts.runtime,
            services=parts.services,
            write=parts.ask_registry,
            read=parts.readers.ask,
            knows=parts.fleet.__contains__,
            links={link: parts.link_boards[link] for link in links},
            on_change=show,
            board=parts.twin_board,
        )
    )


def tell_twins(parts: Parts, result: CommitResult) -> None:
    """Hand on of a commit what concerns twins."""
    if result.twin_reports or result.deleted:
        reported = [report.serial for report in result.twin_reports]
        parts.services.tell(NAME, TwinsStored(reported, list(result.deleted)))


class TwinsFace:
    """What is desired and what is reported."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def read(self, serial: str) -> Twin:
        """Return the twin of a device."""
        found: list[Twin] = self._parts.readers.ask(FindTwins((serial,)))
        return found[0] if found else Twin(serial=serial)

    def change(self, serial: str, patch: Document, version: int, *, by: str, address: str) -> Changed:
        """Change what is desired of a device."""
        changed: Changed = self._ask(Change(serial, patch, version, by, address))
        return changed

    def change_many(
        self, target: Target, patch: Document, *, by: str, address: str
    ) -> Sequence[tuple[str, Changed | TwinError]]:
        """Change what is desired of several devices."""
        serials = resolve(target, self._parts.fleet, self._parts.groups)
        outcomes: list[Changed | TwinError] = []
        for some in slices(serials, TOGETHER):
            outcomes += self._ask(ChangeMany(some, patch, by, address))
        return list(zip(serials, outcomes, strict=True))

    def _ask(self, message: Any) -> Any:
        ref = self._parts.services.get(NAME)
        if ref is None:
            raise ActorDeadError("the actor of the twins is restarting")
        return ref.ask(message, block=True, timeout=PATIENCE)
