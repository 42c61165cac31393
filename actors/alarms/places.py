"""Who is behind whom: the place of a device, by which a storm becomes one alarm.

| device | its place |
|---|---|
| its `metadata` names a `gateway` | that gateway |
| a gateway that some device names so | itself |
| its site has exactly one gateway | that gateway |
| any other | its site; devices without one share a place, too |
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from actors.messages import DeviceSnapshot
from actors.topics import SERIAL

GATEWAY = "gateway"
"""The field of a device's metadata that names the serial of its gateway, and the kind of a gateway."""


class _Metadata(msgspec.Struct):
    gateway: str = ""


_METADATA = msgspec.json.Decoder(_Metadata)


class Place(NamedTuple):
    """What a group of devices has in common."""

    subject: str
    """`gateway:SERIAL` or `site:NAME`."""
    site: str
    heads: tuple[str, ...]
    """The gateways whose silence explains that of the others."""


class Places:
    """Knows the gateways of each site; learns of them by `learn`."""

    def __init__(self) -> None:
        self._of_site: dict[str, set[str]] = defaultdict(set)
        self._site_of: dict[str, str] = {}
        self._named: set[str] = set()

    def learn(self, device: DeviceSnapshot) -> None:
        """Take note of a gateway, or of one that a device names."""
        if named := named_gateway(device):
            self._named.add(named)
        site = self._site_of.get(device.serial)
        if device.kind != GATEWAY or site == device.site:
            return
        if site is not None:
            self._of_site[site].discard(device.serial)
        self._of_site[device.site].add(device.serial)
        self._site_of[device.serial] = device.site

    def learn_all(self, devices: Iterable[DeviceSnapshot]) -> None:
        """Take note of all of them."""
        for device in devices:
            self.learn(device)

    def forget(self, serial: str) -> None:
        """Forget a gateway that was deleted."""
        site = self._site_of.pop(serial, None)
        if site is not None:
            self._of_site[site].discard(serial)

    def gateways_of(self, site: str) -> tuple[str, ...]:
        """Return the gateways of a site."""
        return tuple(sorted(self._of_site.get(site, ())))

    def of(self, device: DeviceSnapshot, is_known: Callable[[str], bool]) -> Place:
        """Return the place of a device."""
        named = named_gateway(device)
        if named and is_known(named):
            return Place(f"gateway:{named}", device.site, (named,))
        if device.kind == GATEWAY and device.serial in self._named:
            return Place(f"gateway:{device.serial}", device.site, (device.serial,))
        heads = self.gateways_of(device.site)
        if len(heads) == 1 and device.site:
            (head,) = heads
            return Place(f"gateway:{head}", device.site, (head,))
        if not device.site:
            return Place("site:", "", (device.serial,) if device.kind == GATEWAY else ())
        return Place(f"site:{device.site}", device.site, heads)


def named_gateway(device: DeviceSnapshot) -> str:
    """Return the gateway that a device's metadata names, empty for none."""
    if b'"gateway"' not in device.metadata:
        return ""
    try:
        named = _METADATA.decode(device.metadata).gateway
    except msgspec.MsgspecError:
        return ""
    return named if SERIAL.fullmatch(named) else ""
