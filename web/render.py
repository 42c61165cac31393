"""How things look in JSON: devices, times, rows of the database."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import msgspec

from actors import timestamps
from actors.fleet import DeviceView
from actors.groups.labels import decode_labels
from web.face import Item

_EMPTY = b"{}"


def rfc3339(us: int) -> str | None:
    """Return microseconds since 1970 as an RFC 3339 time in UTC with milliseconds; 0, which is never, as None."""
    return timestamps.rfc3339(us) if us else None


def device_json(device: DeviceView) -> Item:
    """Return the Device JSON; what is not known is null."""
    known = device.snapshot
    return {
        "serial": known.serial,
        "kind": known.kind,
        "type": known.type or None,
        "device_id": known.device_id or None,
        "site": known.site or None,
        "label": known.label or None,
        "group": known.group or None,
        "presence": device.presence,
        "reason": device.reason,
        "since": rfc3339(device.since_us),
        "ip_address": known.ip_address or None,
        "hostname": known.hostname or None,
        "mac_address": known.mac_address or None,
        "first_seen": rfc3339(known.first_seen_us),
        "last_seen": rfc3339(device.last_seen_us),
        "offline_after": device.offline_after,
        "flapping": device.flapping,
        "quarantined": known.quarantined,
        "pinned": known.pinned,
        "services": msgspec.Raw(known.services or _EMPTY),
        "system_info": msgspec.Raw(known.system_info or _EMPTY),
        "device_token": known.device_token or None,
        "metadata": msgspec.Raw(known.metadata or _EMPTY),
        "supervised": bool(device.supervision),
        "labels": decode_labels(known.labels),
    }


def station_json(device: DeviceView, row: Item) -> Item:
    """Return a soil station: who it is and its presence from the fleet, and its latest analysed reading, if any."""
    known = device.snapshot
    return {
        "serial": known.serial,
        "label": known.label or None,
        "site": known.site or None,
        "presence": device.presence,
        "reason": device.reason,
        "since": rfc3339(device.since_us),
        "last_seen": rfc3339(device.last_seen_us),
        "ts": rfc3339(row["ts_us"] or 0),
        "rx": rfc3339(row["rx_us"] or 0),
        "health_index": row["health_index"],
        "status": row["status"],
        "contributions": row.get("contributions", {}),
        "recommendations": row.get("recommendations", []),
        "forecast": row.get("forecast", []),
        "crop": row.get("crop"),
        "anomalies": row["anomalies"],
        "measures": row["measures"],
    }


def scan_json(row: Item) -> Item:
    """Return a scan as it was stored."""
    return {
        "scan_id": row["scan_id"],
        "device_id": row["device_id"],
        "code": row["code"],
        "symbology": row["symbology"],
        "valid": row["valid"],
        "timestamp": rfc3339(row["ts_us"]),
        "received": rfc3339(row["rx_us"]),
        "scanner": row["scanner"],
        "clock": row["clock"],
    }


def command_json(row: Item) -> Item:
    """Return a command and what has become of it; what is not known is null."""
    return {
        "id": row["id"],
        "device": row["device"],
        "name": row["name"],
        "args": row["args"],
        "state": row["state"],
        "result": row["result"],
        "reason": row["reason"] or None,
        "batch": row["batch"] or None,
        "by": row["by"] or None,
        "created": rfc3339(row["created_us"]),
        "deadline": rfc3339(row["deadline_us"]),
        "sent": rfc3339(row["sent_us"] or 0),
        "accepted": rfc3339(row["accepted_us"] or 0),
        "updated": rfc3339(row["changed_us"]),
    }


def enrolment_json(row: Item) -> Item:
    """Return an enrolment; what is not known is null."""
    return {
        "serial": row["serial"],
        "state": row["state"],
        "hostname": row["hostname"] or None,
        "mac_address": row["mac_address"] or None,
        "device_type": row["device_type"] or None,
        "address": row["address"] or None,
        "requested": rfc3339(row["requested_us"] or 0),
        "enrolled": rfc3339(row["enrolled_us"] or 0),
        "approved_until": rfc3339(row["approved_until_us"] or 0),
        "changed_by": row["changed_by"] or None,
        "request": row["request"] or None,
    }


def group_json(row: Item) -> Item:
    """Return a group; what is not known is null."""
    return _plain_dict(row) | {"changed_by": row["changed_by"] or None}


def roster_json(row: Item) -> Item:
    """Return who is expected at a site and who is there."""
    return _plain_dict(row)


def listing(items: Sequence[Any], cursor: str | None = None) -> Item:
    """Return the body of a list answer."""
    return {"items": items, "cursor": cursor}


def plain(value: Any) -> Any:
    """Return a row or tree with its times and bytes readable, as `web.face.Item` says."""
    if isinstance(value, dict):
        return _plain_dict(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _plain_dict(value: dict[str, Any]) -> Item:
    out: Item = {}
    for key, item in value.items():
        if key.endswith("_us") and (item is None or isinstance(item, int)):
            out[key[:-3]] = rfc3339(item or 0)
        elif isinstance(item, bytes):
            out |= _readable(key, item)
        else:
            out[key] = plain(item)
    return out


def _readable(key: str, raw: bytes) -> Item:
    try:
        return {key: raw.decode()}
    except UnicodeDecodeError:
        return {key: base64.b64encode(raw).decode(), f"{key}_encoding": "base64"}
