"""What the inbox is made of, given by the tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from actors.runtime import Directory, Runtime
from actors.sight import Sight
from edge.inbox.board import InboxBoard
from edge.inbox.commands import Commands
from edge.inbox.led import Led
from edge.inbox.settings import HandlerSettings

DESK = "inbox.desk"
"""Name of the inbox in the directory."""


@dataclass(frozen=True, kw_only=True)
class InboxParts:
    """See `edge.inbox.tree`."""

    runtime: Runtime
    directory: Directory
    device_id: str
    boot_id: str
    """What the kernel drew at this boot."""
    path: Path
    """Of the file."""
    topics: tuple[str, ...]
    """Further topics of notifications."""
    handlers: Mapping[str, HandlerSettings]
    commands: Commands
    heartbeat: float
    """Seconds, as configured."""
    set_heartbeat: Callable[[float | None], None]
    """Takes the seconds between two heartbeats; None means as configured."""
    clock_quality: Callable[[], str]
    """Returns `ntp` when our clock can be believed."""
    sight: Sight
    """The link's: whether it is up."""
    board: InboxBoard
    led: Led
    link: str = "link"
    outbox: str = "outbox"

    @property
    def own_topics(self) -> tuple[str, str, str]:
        """The topics of this device: notifications, commands, its desired twin."""
        own = f"devices/{self.device_id}"
        return f"{own}/notifications", f"{own}/commands", f"{own}/twin/desired"
