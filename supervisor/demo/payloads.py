"""What the simulated devices say: payloads with plausible, slowly wandering values."""

from __future__ import annotations

import random
import secrets
from datetime import UTC, datetime
from typing import Any

from .fleet import Spec

Payload = dict[str, Any]

_GIB = 2**30
#: Measure -> lowest, highest, largest step; by what kind of device sends it.
_INPUTS: dict[str, dict[str, tuple[float, float, float]]] = {
    "monstro": {"temperature": (14, 34, 0.3), "humidity": (35, 95, 1), "pressure": (985, 1030, 0.4)},
    "soil": {"soil_moisture": (12, 58, 0.6), "soil_temperature": (9, 24, 0.2), "ph": (5.8, 7.4, 0.03)},
    "climate": {"temperature": (16, 30, 0.3), "co2": (380, 1400, 15), "light": (0, 60_000, 900)},
    "": {"rssi": (-112, -48, 2), "packets_per_minute": (4, 220, 9), "supply_voltage": (11.2, 14.4, 0.05)},
}
_OUTPUTS: dict[str, dict[str, tuple[float, float, float]]] = {
    "monstro": {"fan_speed": (0, 100, 6), "heater": (0, 100, 4)},
    "soil": {"valve": (0, 100, 12), "pump_flow": (0, 22, 0.8)},
    "climate": {"window": (0, 100, 5), "shade": (0, 100, 5)},
    "": {"downlink_queue": (0, 30, 2)},
}
#: What passes under a scanner: the sixth has a wrong check digit, as a worn label may.
_CODES = (
    "4006381333931",
    "9780201379624",
    "5901234123457",
    "96385074",
    "036000291452",
    "4006381333930",
    "00123456000000000018",
)


def timestamp() -> str:
    """Return the time as the devices write it: RFC 3339 in UTC, in milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Walk:
    """A value that wanders between two bounds."""

    def __init__(self, low: float, high: float, step: float, drawn: random.Random) -> None:
        self._low, self._high, self._step, self._drawn = low, high, step, drawn
        self._value = drawn.uniform(low, high)

    def next(self) -> float:
        """Return the next value."""
        moved = self._value + self._drawn.uniform(-self._step, self._step)
        self._value = min(self._high, max(self._low, moved))
        return round(self._value, 2)


class PiState:
    """What a simulated Pi knows of itself."""

    def __init__(self, spec: Spec, drawn: random.Random) -> None:
        self.ip_address = f"192.168.1.{20 + spec.number % 200}"
        self.session = ""
        self._spec = spec
        self._mac = "2c:cf:67:" + ":".join(f"{drawn.randrange(256):02x}" for _ in range(3))
        self._uptime = Walk(0.1, 900, 0.02, drawn)
        self._load = Walk(0.02, 1.8, 0.1, drawn)
        self._used = Walk(22, 88, 1.5, drawn)
        self._temperature = Walk(41, 68, 0.8, drawn)
        self._memory = drawn.choice((1, 2, 4, 8)) * _GIB
        self._drawn = drawn
        self.has_scanner = drawn.random() < 0.5

    def announce(self) -> Payload:
        """Return the announcement."""
        services: Payload = {"ssh": {"port": 22, "status": "available"}, "web": {"port": 5000, "status": "available"}}
        if self.has_scanner:
            services["barcode_scanner"] = {"status": "active"}
        return {
            "device_id": self._spec.serial,
            "ip_address": self.ip_address,
            "hostname": self._spec.name,
            "mac_address": self._mac,
            "device_type": self._spec.type,
            "services": services,
            "system_info": self._system_info(),
            "timestamp": timestamp(),
            "session": self.session,
        }

    def heartbeat(self) -> Payload:
        """Return the heartbeat."""
        return {
            "device_id": self._spec.serial,
            "ip_address": self.ip_address,
            "timestamp": timestamp(),
            "status": "online",
            "session": self.session,
        }

    def status(self) -> Payload:
        """Return the detailed status."""
        return {**self.heartbeat(), "hostname": self._spec.name, "system_info": self._system_info()}

    def scan(self) -> Payload:
        """Return a scan of an article."""
        return {
            "scan_id": secrets.token_hex(8),  # not drawn: a second run scans anew
            "code": self._drawn.choice(_CODES),
            "timestamp": timestamp(),
            "device_id": self._spec.serial,
            "scanner": "handheld",
        }

    def goodbye(self) -> Payload:
        """Return what the last will says, and a farewell too."""
        return {
            "device_id": self._spec.serial,
            "status": "offline",
            "timestamp": timestamp(),
            "session": self.session,
        }

    def _system_info(self) -> Payload:
        load, used = self._load.next(), self._used.next()
        return {
            "uptime_hours": self._uptime.next(),
            "load_average": [load, round(load * 0.8, 2), round(load * 0.6, 2)],
            "memory": {
                "total": self._memory,
                "available": round(self._memory * (100 - used) / 100),
                "used_percent": used,
            },
            "cpu_temperature": self._temperature.next(),
        }


class SiteState:
    """What a simulated datalogger or gateway measures."""

    def __init__(self, spec: Spec, drawn: random.Random) -> None:
        self._serial = spec.serial
        self._inputs = _walks(_INPUTS[spec.type], drawn)
        self._outputs = _walks(_OUTPUTS[spec.type], drawn)

    def heartbeat(self) -> Payload:
        """Return the heartbeat."""
        return {"serial_number": self._serial, "timestamp": timestamp()}

    def input(self) -> Payload:
        """Return what it measured."""
        return {**self.heartbeat(), **{name: walk.next() for name, walk in self._inputs.items()}}

    def output(self) -> Payload:
        """Return what it drives."""
        return {**self.heartbeat(), **{name: walk.next() for name, walk in self._outputs.items()}}


def _walks(bounds: dict[str, tuple[float, float, float]], drawn: random.Random) -> dict[str, Walk]:
    return {name: Walk(*limits, drawn) for name, limits in bounds.items()}
