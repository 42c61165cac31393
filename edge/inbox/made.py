"""The inbox of this edge: what it is made of, and what commands may do here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.version import __version__
from edge.inbox.commands import Commands, Powers
from edge.inbox.led import Led
from edge.inbox.memory import remember_log
from edge.inbox.messages import Blinks
from edge.inbox.parts import DESK, InboxParts
from edge.inbox.settings import name_handlers
from edge.presence import Announce, SetHeartbeat
from edge.state import describe_edge
from edge.update.actor import Check

if TYPE_CHECKING:
    from edge.parts import EdgeParts


def make_inbox(parts: EdgeParts) -> InboxParts:
    """Return what the inbox is made of."""
    settings, led = parts.settings, Led()
    return InboxParts(
        runtime=parts.runtime,
        directory=parts.directory,
        device_id=parts.device_id,
        boot_id=parts.facts.boot_id,
        path=parts.home.inbox,
        topics=settings.inbox.topics,
        handlers=name_handlers(settings.handlers),
        commands=Commands(settings.commands, settings.programs, _powers(parts, led), home=str(parts.home.path)),
        heartbeat=settings.heartbeat,
        set_heartbeat=lambda seconds: parts.directory.tell("presence", SetHeartbeat(seconds)),
        clock_quality=lambda: parts.boards.gauges.clock_quality,
        sight=parts.boards.sight,
        board=parts.boards.inbox,
        led=led,
    )


def _powers(parts: EdgeParts, led: Led) -> Powers:
    def blink(seconds: float) -> str:
        name = led.blink()
        if name:
            parts.directory.tell(DESK, Blinks(seconds))
        return name

    def update(force: bool) -> bool:
        if "updater" not in parts.directory:
            return False
        parts.directory.tell("updater", Check(force))
        return True

    return Powers(
        now_us=lambda: int(parts.runtime.clock.time() * 1e6),
        describe=lambda: describe_edge(parts),
        identity=lambda: _identity(parts),
        announce=lambda: parts.directory.tell("presence", Announce()),
        restart=parts.restart,
        blink=blink,
        log=remember_log(),
        update=update,
    )


def _identity(parts: EdgeParts) -> dict[str, Any]:
    facts = parts.facts
    return {
        "device_id": parts.device_id,
        "hostname": facts.hostname,
        "ip_address": facts.ip_address,
        "mac_address": facts.mac_address,
        "model": parts.boards.gauges.vitals.get("model", ""),
        "version": __version__,
    }
