"""`Facts`: what this device says of itself, put together from what others have left on their boards. Blocks nobody."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from actors.link.messages import Announcement
from actors.link.status import LinkBoard
from actors.outbox import OutboxStats
from actors.runtime import Clock
from actors.sight import Sight
from actors.timestamps import rfc3339
from actors.uplink.board import UplinkBoard
from actors.version import __version__
from edge.hub.board import HubBoard
from edge.inbox.board import InboxBoard
from edge.link import Line
from edge.network import Address, NetworkBoard, primary
from edge.nodes import lives, shorten_tracebacks
from edge.scanner.board import ScannerBoard
from edge.update.board import UpdateBoard

if TYPE_CHECKING:
    from actors.publisher import StationBoard

LARGEST_TREE = 40_000
"""Bytes of our tree in a status, which may have 65,536 in all."""
_LONGEST_TRACEBACK = 1_500


@dataclass(kw_only=True, slots=True)
class Gauges:
    """Figures that the reporter reads for all, because reading them may block; written by its thread."""

    vitals: dict[str, Any] = field(default_factory=dict)
    """The `system_info` of an announcement."""
    outbox: OutboxStats = field(default_factory=OutboxStats)
    clock_quality: str = "unsynced"


class Boards:
    """Where the actors leave what others may see; made once, outliving every actor."""

    def __init__(self, sensors: Sequence[str], now: float) -> None:
        """Assign.

        Args:
            sensors: the ids of the stations here.
            now: monotonic seconds.

        """
        self.sight = Sight("link", now)
        self.link = LinkBoard.of("link")
        self.line = Line()
        self.uplink = UplinkBoard()
        self.network = NetworkBoard()
        self.scanners = ScannerBoard()
        self.hub = HubBoard()
        self.inbox = InboxBoard()
        self.updates = UpdateBoard()
        self.gauges = Gauges()
        self.told: Any = None
        """The `Facts.news` of the last status; written by who tells it."""
        self.sensors = tuple(sensors)
        self.stations: dict[str, StationBoard] = {}
        """How the stations are, by id."""


class Facts:
    """Answers on any thread."""

    def __init__(
        self,
        *,
        device_id: str,
        device_type: str,
        boot_id: str,
        boards: Boards,
        clock: Clock,
        describe: Callable[[], dict[str, Any]],
    ) -> None:
        """Assign.

        Args:
            device_id: ours.
            device_type: as configured.
            boot_id: what the kernel drew at this boot.
            boards: what the actors show.
            clock: tells the time.
            describe: returns the tree as it is now.

        """
        self.device_id = device_id
        self.boot_id = boot_id
        self._type = device_type
        self._boards, self._clock, self._describe = boards, clock, describe
        self.hostname = socket.gethostname()

    @property
    def address(self) -> Address | None:
        """The address that we tell: our end of the connection, or the one by which others most likely reach us."""
        addresses = self._boards.network.addresses or ()
        local = self._boards.line.local_ip
        own = next((one for one in addresses if one.ip == local and not one.is_loopback), None)
        return own or primary(addresses)

    @property
    def ip_address(self) -> str:
        """The same as text; empty without a network."""
        address = self.address
        return address.ip if address is not None else self._boards.line.local_ip

    @property
    def mac_address(self) -> str:
        """The MAC of the interface that has this address; empty where it has none."""
        address = self.address
        return address.mac if address is not None else ""

    def services(self) -> dict[str, Any]:
        """Return what runs here, flat."""
        boards = self._boards
        return {
            "link": "subscribed" if not boards.sight.blind else boards.link.status.state.value,
            "uplink": boards.uplink.status.mode,
            "scanners": sum(scanner.open for scanner in tuple(boards.scanners.scanners.values())),
            "sensors": len(boards.sensors),
            "outbox": boards.gauges.outbox.items,
            "hub": boards.hub.status.state.value,
            "update": boards.updates.status.state,
            "slot": boards.updates.slot,
        }

    def announcement(self) -> Announcement:
        """Return the announcement of this device."""
        return self._message("announce", self._announced())

    def heartbeat(self) -> Announcement:
        """Return a heartbeat."""
        body = {
            "device_id": self.device_id,
            "status": "online",
            "session": self._boards.line.session,
            "ip_address": self.ip_address,
            "timestamp": self._now(),
            "clock": self._boards.gauges.clock_quality,
        }
        return self._message("heartbeat", body)

    def status(self) -> Announcement:
        """Return the detailed status, with our tree."""
        return self._message("status", {**self._announced(), "status": "online", "supervision": self.tree()})

    def news(self) -> Any:
        """Return what a status tells, as far as a change of it is news: who lives, and what runs."""
        services = self.services()
        del services["outbox"]  # it changes with each scan
        return services, list(lives(self._describe()))

    def offline(self, reason: str) -> Announcement:
        """Return the message that we are gone, for `will` or `goodbye`."""
        body = {
            "device_id": self.device_id,
            "status": "offline",
            "session": self._boards.line.session,
            "boot_id": self.boot_id,
            "reason": reason,
            "timestamp": self._now(),
        }
        return self._message("status", body)

    def twin(self) -> dict[str, Any]:
        """Return the reported properties of a device twin."""
        services = self.services()
        return {
            "online": services["link"] == "subscribed",
            "address": self.ip_address,
            "hostname": self.hostname,
            "version": __version__,
            "uptime_hours": self._boards.gauges.vitals.get("uptime_hours", 0.0),
            "services": services,
        }

    def tree(self) -> dict[str, Any]:
        """Return our tree, with tracebacks as far as they fit into a message."""
        tree = self._describe()
        shorten_tracebacks(tree, _LONGEST_TRACEBACK)
        if len(msgspec.json.encode(tree)) > LARGEST_TREE:
            shorten_tracebacks(tree, 0)
        return tree

    def _announced(self) -> dict[str, Any]:
        boards = self._boards
        return {
            "device_id": self.device_id,
            "serial_number": self.device_id,
            "hostname": self.hostname,
            "ip_address": self.ip_address,
            "mac_address": self.mac_address,
            "device_type": self._type,
            "session": boards.line.session,
            "boot_id": self.boot_id,
            "clock": boards.gauges.clock_quality,
            "version": __version__,
            "timestamp": self._now(),
            "services": self.services(),
            "system_info": boards.gauges.vitals,
        }

    def _message(self, topic: str, body: dict[str, Any]) -> Announcement:
        return f"devices/{self.device_id}/{topic}", msgspec.json.encode(body), 0, False

    def _now(self) -> str:
        return rfc3339(int(self._clock.time() * 1e6))
