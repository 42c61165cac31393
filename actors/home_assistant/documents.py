"""What Home Assistant is told of a device: topics and the discovery document in its device form. Pure functions.

One document describes a device with all its measures. Names are sent in full: the abbreviations differ by release.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from actors.analysis.measures import find_measure
from actors.messages import DeviceSnapshot
from actors.version import __version__

Measures = Mapping[str, Collection[str]]
"""Names of measures by the channel of the readings in which they came."""

LONGEST_SLUG: Final = 48
SUPPORT_URL: Final = "https://www.home-assistant.io/integrations/mqtt/"
SERVER_STATUS: Final = "server/discovery"
"""Where the server says, retained and by its last will, whether it is there."""
KNOWN: Final[Mapping[str, Mapping[str, str]]] = {
    "CO2": {"device_class": "carbon_dioxide", "unit_of_measurement": "ppm"},
    "Temperature": {"device_class": "temperature", "unit_of_measurement": "°C"},
    "Moisture": {"device_class": "moisture", "unit_of_measurement": "%"},
    "pH": {"device_class": "ph"},
    "N": {"unit_of_measurement": "mg/kg"},
    "P": {"unit_of_measurement": "mg/kg"},
    "K": {"unit_of_measurement": "mg/kg"},
    "humidity": {"device_class": "humidity", "unit_of_measurement": "%"},
    "rssi": {"device_class": "signal_strength", "unit_of_measurement": "dBm"},
}
"""What is certain of a measure by its name. A wrong unit is worse than none."""
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")
_MADE = re.compile(r".*_[0-9a-f]{8}")
"""What `slug` makes: whoever is called so gets another name."""


class Topics(NamedTuple):
    """Where the bridge of one server publishes."""

    prefix: str
    server_id: str
    """The server's public name."""

    def config(self, serial: str) -> str:
        """Return the topic of a device's discovery."""
        return f"{self.prefix}/device/muster_{self.server_id}/{slug(serial)}/config"

    def availability(self, serial: str) -> str:
        """Return the topic that says `online` or `offline`."""
        return f"muster/{self.server_id}/devices/{serial}/availability"

    def state(self, serial: str, channel: str) -> str:
        """Return the topic of a device's measures in one channel."""
        return f"muster/{self.server_id}/devices/{serial}/state/{channel}"

    def identifier(self, serial: str) -> str:
        """Return what identifies a device, and begins the unique ids of its entities."""
        return f"muster_{self.server_id}_{slug(serial)}"


def slug(text: str) -> str:
    """Return a name of the letters that ids may have; two texts have two names."""
    fit = _UNFIT.sub("_", text)
    if fit == text and len(text) <= LONGEST_SLUG and not _MADE.fullmatch(text):
        return text
    return f"{fit[:LONGEST_SLUG]}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def describe(
    device: DeviceSnapshot,
    measures: Measures,
    topics: Topics,
    *,
    via: str,
    watch_server: bool,
    gone: Measures = MappingProxyType({}),
) -> bytes:
    """Return the discovery document of a device.

    Args:
        device: what is known of it.
        measures: what it measures.
        topics: where it is told.
        via: the serial of the gateway that it is behind, empty for none.
        watch_server: whether nothing is available while the server is away.
        gone: what it measures no more, and Home Assistant is to remove.

    """
    server = [{"topic": SERVER_STATUS, "value_template": "{{ value_json.status }}"}] if watch_server else []
    own = {"topic": topics.availability(device.serial)}
    presence = {
        "platform": "binary_sensor",
        "unique_id": f"{topics.identifier(device.serial)}_presence",
        "name": "Presence",
        "device_class": "connectivity",
        "entity_category": "diagnostic",
        "state_topic": own["topic"],
        "payload_on": "online",
        "payload_off": "offline",
        "availability": server,
    }
    components = {"presence": presence}
    for channel, name in _flat(gone):
        components[_key(channel, name)] = {"platform": "sensor"}
    for channel, name in _flat(measures):
        key = _key(channel, name)
        components[key] = _sensor(device.serial, channel, name, topics, f"{topics.identifier(device.serial)}_{key}")
    document = {
        "device": _device(device, topics, via),
        "origin": {"name": "Muster", "sw_version": __version__, "support_url": SUPPORT_URL},
        "availability": [*server, own],
        "availability_mode": "all",
        "qos": 1,
        "components": components,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _flat(measures: Measures) -> Iterator[tuple[str, str]]:
    for channel in sorted(measures):
        for name in sorted(measures[channel]):
            yield channel, name


def _key(channel: str, name: str) -> str:
    return f"{channel}_{slug(name)}"


def _device(device: DeviceSnapshot, topics: Topics, via: str) -> dict[str, Any]:
    told = {
        "model": device.type or device.kind,
        "serial_number": device.serial,
        "suggested_area": device.site,
        "via_device": topics.identifier(via) if via else "",
    }
    return {
        "identifiers": [topics.identifier(device.serial)],
        "name": device.label or device.hostname or device.serial,
        **{key: value for key, value in told.items() if value},
    }


def _sensor(serial: str, channel: str, name: str, topics: Topics, unique_id: str) -> dict[str, Any]:
    measure = find_measure(name)
    # A message need not hold every measure: of an empty text Home Assistant takes no notice.
    template = f'{{{{ value_json.measures.get({json.dumps(name, ensure_ascii=False)}, "") }}}}'
    return {
        "platform": "sensor",
        "unique_id": unique_id,
        "name": f"{name} (output)" if channel == "output" else name,
        "state_class": "measurement",
        "state_topic": topics.state(serial, channel),
        "value_template": template,
        **KNOWN.get(measure.name if measure is not None else name.lower(), {}),
    }
