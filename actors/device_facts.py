"""What messages tell of a device's record: kind, place, addresses, services, figures of the system."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from actors.messages import DeviceSnapshot, Kind
from actors.payloads import Announcement
from actors.topics import Address

MOVING = ("datalogger", "gateway")
"""Families whose topics tell where a device is now; a sensor's prefix does so once."""
KIND_OF_FAMILY: Mapping[str, Kind] = {
    "pi": "raspberry_pi",
    "datalogger": "datalogger",
    "gateway": "gateway",
    "sensor": "sensor",
}
KIND_OF_TYPE: Mapping[str, Kind] = {
    "raspberry_pi": "raspberry_pi",
    "raspberrypi": "raspberry_pi",
    "datalogger": "datalogger",
    "gateway": "gateway",
    "sensor": "sensor",
    "iot_sensor": "sensor",
    "controller": "controller",
    "industrial_controller": "controller",
}
"""Kinds by the announced `device_type`; any other type is `other`."""


def kind_of_type(device_type: str) -> Kind:
    """Return the kind that a `device_type` means, whatever its spelling."""
    return KIND_OF_TYPE.get(device_type.lower().replace("-", "_"), "other")


def first_words(address: Address, snapshot: DeviceSnapshot, rx_us: int) -> dict[str, Any]:
    """Return the changes of a device that an operator declared before it spoke: what it speaks fixes its kind."""
    changes: dict[str, Any] = {"first_seen_us": rx_us, "device_id": address.device_id or snapshot.serial}
    if address.site:
        changes |= {"site": address.site, "type": address.type or snapshot.type}
    if address.family != snapshot.family:
        changes |= {"family": address.family, "kind": KIND_OF_FAMILY[address.family]}
    if address.label and not snapshot.label:
        changes["label"] = address.label
    return changes


def moved(address: Address, snapshot: DeviceSnapshot) -> dict[str, Any]:
    """Return the changes of a device that speaks from another id, type or site of its own family."""
    if address.family != snapshot.family:
        return {}  # the first family that a serial speaks fixes its kind
    old = Address(snapshot.family, "", device_id=snapshot.device_id, type=snapshot.type, site=snapshot.site)
    changes = {
        "device_id": address.device_id or snapshot.device_id,
        "site": address.site,
        "type": address.type or snapshot.type,
    }
    if snapshot.label == old.label:  # an operator's label stays
        changes["label"] = address.label
    return changes


def announced_facts(said: Announcement, snapshot: DeviceSnapshot) -> dict[str, Any]:
    """Return what an announcement changes."""
    changes: dict[str, Any] = {
        name: value
        for name in ("ip_address", "hostname", "mac_address")
        if (value := getattr(said, name)) and value != getattr(snapshot, name)
    }
    for name, value in (("services", said.services), ("system_info", _system_info(said, snapshot))):
        if value is not None and (encoded := msgspec.json.encode(value)) != getattr(snapshot, name):
            changes[name] = encoded
    if said.device_type and said.device_type != snapshot.type and snapshot.family == "pi":
        changes["type"] = said.device_type
        changes["kind"] = KIND_OF_TYPE.get(said.device_type.lower().replace("-", "_"), "other")
    if "hostname" in changes and snapshot.label in ("", snapshot.hostname):
        changes["label"] = changes["hostname"]
    return changes


def _system_info(said: Announcement, snapshot: DeviceSnapshot) -> dict[str, Any] | None:
    """Return the figures of the system, with what an edge tells of itself beside them: version, boot, clock."""
    own = {name: value for name in ("version", "boot_id", "clock") if (value := getattr(said, name))}
    if not own:
        return said.system_info
    if said.system_info is not None:
        return {**said.system_info, **own}
    known = msgspec.json.decode(snapshot.system_info, type=dict[str, Any]) if snapshot.system_info else {}
    return {**known, **own}
