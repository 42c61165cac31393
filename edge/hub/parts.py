"""What the edge's hub is made of, given by the tree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from actors.runtime import Directory, Runtime
from edge.hub.board import HubBoard

PORT = 8883
"""MQTT over TLS; a hub speaks nothing else."""


class TwinSource(Protocol):
    """Where the twin's reported properties come from, and where desired ones go; called on the hub's thread."""

    def reported(self) -> dict[str, Any]:
        """Return the facts of the device as they are now; must not block."""
        ...

    def apply(self, desired: dict[str, Any]) -> dict[str, Any]:
        """Take all desired properties, without those that begin with `$`.

        Returns:
            What became of each: its value as it holds now, or `{"error": sentence}`.

        """
        ...


@dataclass(frozen=True, kw_only=True)
class HubParts:
    """See `edge.hub.hub_specs`."""

    runtime: Runtime
    directory: Directory
    connection_string: Callable[[], str]
    """The device's connection string as it is now; empty while there is none."""
    twin: TwinSource
    board: HubBoard
    outbox: str = "outbox"
    """Name of the outbox in the directory."""
    destination: str = "hub"
    """Ours in the outbox."""
    clock: Callable[[], str] = str
    """Clock quality: while it is `unsynced` no connection is made."""
    ca_file: str = ""
    """PEM with the certificates to trust; empty means those of the system."""
    port: int = PORT
