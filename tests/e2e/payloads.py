"""What real devices send."""

from __future__ import annotations

from typing import Any

ANNOUNCEMENT: dict[str, Any] = {
    "device_id": "817994ccfe14",
    "ip_address": "192.168.1.100",
    "hostname": "raspberrypi",
    "mac_address": "2c:cf:67:6c:45:f2",
    "device_type": "raspberry_pi",
    "services": {
        "ssh": {"port": 22, "status": "available"},
        "web": {"port": 5000, "status": "available"},
        "barcode_scanner": {"status": "active"},
    },
    "system_info": {
        "uptime_hours": 24.5,
        "load_average": [0.1, 0.2, 0.3],
        "memory": {"total": 1073741824, "available": 536870912, "used_percent": 50.0},
    },
    "timestamp": "2025-08-22T15:30:00Z",
}


def announcement(serial: str, **changes: Any) -> dict[str, Any]:
    return {**ANNOUNCEMENT, "device_id": serial, **changes}


def heartbeat(serial: str, **changes: Any) -> dict[str, Any]:
    """A Pi's."""
    return {
        "device_id": serial,
        "ip_address": "192.168.1.100",
        "timestamp": "2025-08-22T15:30:30Z",
        "status": "online",
        **changes,
    }


def site_beat(serial: str) -> dict[str, Any]:
    """A datalogger's or a gateway's."""
    return {"serial_number": serial, "timestamp": "2025-10-17T10:00:00Z"}


def gateway(device_id: str | int = 7, verb: str = "heartbeat", site: str = "plant") -> str:
    """A gateway's topic."""
    return f"{site}/gateway/{device_id}/{verb}"


def datalogger(device_id: str | int = 1, verb: str = "heartbeat", kind: str = "monstro", site: str = "plant") -> str:
    """A datalogger's topic."""
    return f"{site}/datalogger/{kind}/{device_id}/{verb}"
