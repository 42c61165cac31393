"""Which device is meant, and in which order it is looked for. Pure: whatever touches the network is passed in.

The answer is about one device, the primary one. If it cannot be found the answer is "not found", never the address of
another device: whoever copies files to "the Pi" must not reach a wrong one in silence.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from actors.messages import DeviceSnapshot
from actors.resolver.addresses import is_address, is_checkable
from actors.resolver.budget import Budget
from actors.resolver.neighbours import normalise_mac
from actors.resolver.resolution import Method, PresenceView, Resolution

logger = logging.getLogger(__name__)

#: Ports to try when no device of the type has announced any: ssh, and the web service that Pis announce by default.
DEFAULT_PORTS = (22, 5000)
#: Ports taken from announcements at most: a device must not make the server knock at hundreds of them.
MAX_PORTS = 8
#: Seconds for all steps together.
TOTAL_SECONDS = 9.0

PresenceOf = Callable[[DeviceSnapshot], PresenceView]
_PRESENCE_ORDER: dict[PresenceView, int] = {"online": 0, "unknown": 1, "offline": 2}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the steps need to know of the device they look for; empty text where unknown."""

    serial: str
    hostname: str
    mac: str
    """12 lower-case hexadecimal digits."""
    address: str
    """The last known address, only if it may be checked (see `actors.resolver.addresses`)."""
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """Where a step found the device."""

    address: str
    port: int | None


class Steps(Protocol):
    """The three ways of looking for a device that is not in the roll call; each ends within the budget."""

    def last_known(self, wanted: Wanted, budget: Budget) -> Found | None:
        """Try the last known address."""

    def mdns(self, wanted: Wanted, budget: Budget) -> Found | None:
        """Ask the network by name."""

    def scan(self, wanted: Wanted, budget: Budget) -> Found | None:
        """Look through the local subnets for the device's MAC."""


def of_type(candidates: Iterable[DeviceSnapshot], wanted: str) -> list[DeviceSnapshot]:
    """Return the devices whose kind or announced type is `wanted`."""
    return [device for device in candidates if wanted and wanted in {device.kind, device.type}]


def select_primary(candidates: Iterable[DeviceSnapshot], presence: PresenceOf) -> DeviceSnapshot | None:
    """Choose the device that is meant: pinned, else longest online, else unknown, else most recently seen."""

    def order(device: DeviceSnapshot) -> tuple[bool, int, int, str]:
        view = presence(device)
        age = -device.last_seen_us if view == "offline" else device.since_us
        return (not device.pinned, _PRESENCE_ORDER[view], age, device.serial)

    return min(candidates, key=order, default=None)


def resolve(
    candidates: Sequence[DeviceSnapshot],
    *,
    presence: PresenceOf,
    steps: Steps,
    budget: Budget | None = None,
    now: Callable[[], float] = time.time,
) -> Resolution | None:
    """Find the primary device of `candidates`; None if there is none or it answers nowhere.

    Args:
        candidates: The devices of the wanted type.
        presence: Tells the presence of a device as the fleet sees it now.
        steps: How to look for a device that is not online.
        budget: Bounds the whole search, `TOTAL_SECONDS` by default.
        now: Seconds since 1970 UTC.

    """
    primary = select_primary(candidates, presence)
    if primary is None:
        return None
    view = presence(primary)
    return from_roll_call(primary, view, now=now()) or search(
        primary, view, peers=candidates, steps=steps, budget=budget or Budget(TOTAL_SECONDS), now=now
    )


def from_roll_call(primary: DeviceSnapshot, view: PresenceView, *, now: float) -> Resolution | None:
    """Answer without any look at the network, if the device is online and has told its address."""
    if view != "online" or not is_address(primary.ip_address):
        return None
    port = next(iter(announced_ports(primary.services)), None)
    return _answer(primary, view, "roll_call", Found(primary.ip_address, port), now)


def search(
    primary: DeviceSnapshot,
    view: PresenceView,
    *,
    peers: Sequence[DeviceSnapshot],
    steps: Steps,
    budget: Budget,
    now: Callable[[], float] = time.time,
) -> Resolution | None:
    """Take the steps in order until one finds the device. One that fails with `OSError` is logged and passed over."""
    wanted = describe(primary, peers)
    chain: tuple[tuple[Method, Callable[[Wanted, Budget], Found | None]], ...] = (
        ("last_known", steps.last_known),
        ("mdns", steps.mdns),
        ("scan", steps.scan),
    )
    for method, step in chain:
        if budget.spent():
            logger.info("resolver: no time left for %s of %s", method, wanted.serial)
            return None
        try:
            found = step(wanted, budget)
        except OSError as error:
            logger.warning("resolver: %s of %s failed: %s", method, wanted.serial, error)
            continue
        if found is not None:
            return _answer(primary, view, method, found, now())
    return None


def describe(primary: DeviceSnapshot, peers: Sequence[DeviceSnapshot]) -> Wanted:
    """Gather what the steps need; ports are those announced by the device, else by its peers, else the defaults."""
    ports = announced_ports(primary.services) or [port for peer in peers for port in announced_ports(peer.services)]
    return Wanted(
        serial=primary.serial,
        hostname=primary.hostname,
        mac=normalise_mac(primary.mac_address),
        address=primary.ip_address if is_checkable(primary.ip_address) else "",
        ports=tuple(dict.fromkeys(ports))[:MAX_PORTS] or DEFAULT_PORTS,
    )


def announced_ports(services: bytes) -> list[int]:
    """Return the ports of an announced `services` object (`{"ssh": {"port": 22}}`), in its order.

    Services without a port, and whatever else a device put there, are passed over.
    """
    try:
        decoded = msgspec.json.decode(services) if services else {}
    except msgspec.DecodeError:
        return []
    entries = decoded.values() if isinstance(decoded, dict) else ()
    ports = [entry.get("port") for entry in entries if isinstance(entry, dict)]
    return [port for port in ports if type(port) is int and 0 < port <= 65535]


def _answer(device: DeviceSnapshot, view: PresenceView, method: Method, found: Found, now: float) -> Resolution:
    return Resolution(
        serial=device.serial,
        address=found.address,
        hostname=device.hostname,
        mac_address=device.mac_address,
        method=method,
        port=found.port,
        presence=view,
        last_seen_us=device.last_seen_us,
        checked_at=now,
    )
