"""Connection strings of an IoT Hub: `HostName=...;DeviceId=...;SharedAccessKey=...`.

`;` separates the parts, the first `=` of a part ends its key (base64 ends in `=`). The rules are those of Microsoft's
own device SDK for Python (`connection_string.py`), which refuses unknown and repeated keys too.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_KEYS = frozenset(
    {
        "HostName",
        "SharedAccessKeyName",
        "SharedAccessKey",
        "SharedAccessSignature",
        "DeviceId",
        "ModuleId",
        "GatewayHostName",
        "x509",
    }
)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,253}[A-Za-z0-9])?")
_ID = re.compile(r"[A-Za-z0-9\-:.+%_#*?!(),=@$']{1,128}")
"""What the hub's registry allows in the id of a device or a module."""


class ConnectionStringError(ValueError):
    """A connection string that cannot be used; the sentence names the part and never shows a key."""


@dataclass(frozen=True, kw_only=True)
class ConnectionString:
    """Who we are at which hub: a device (or a module of one), or a service with a policy. Parts not given are empty."""

    host: str
    """The hub, `NAME.azure-devices.net`."""
    device_id: str = ""
    module_id: str = ""
    gateway: str = ""
    """The gateway to connect to in place of the hub."""
    policy: str = ""
    """`SharedAccessKeyName`: the policy that a service's key belongs to."""
    key: bytes = field(default=b"", repr=False)
    """`SharedAccessKey`, decoded; empty with X.509."""
    x509: bool = False
    """Whether a certificate takes the place of the key."""

    @property
    def endpoint(self) -> str:
        """The host to connect to."""
        return self.gateway or self.host

    @property
    def resource(self) -> str:
        """What a token of ours opens: the hub for a service, else the device or module."""
        parts = [self.host]
        if self.device_id:
            parts += ["devices", self.device_id]
        if self.module_id:
            parts += ["modules", self.module_id]
        return "/".join(parts)


def parse_connection_string(text: str) -> ConnectionString:
    """Read the connection string of a device, a module or a service.

    Raises:
        ConnectionStringError: naming the part that is wrong or missing.

    """
    parts = _split(text)
    x509 = parts.get("x509", "").lower() == "true"
    _check_kind(parts, x509=x509)
    for name in ("HostName", "GatewayHostName"):
        if name in parts and not _HOST.fullmatch(parts[name]):
            raise ConnectionStringError(f"connection string: {name} must be a host name, not {parts[name]!r}")
    for name in ("DeviceId", "ModuleId"):
        if name in parts and not _ID.fullmatch(parts[name]):
            raise ConnectionStringError(f"connection string: {name} {parts[name]!r} is no id of a hub")
    return ConnectionString(
        host=parts["HostName"],
        device_id=parts.get("DeviceId", ""),
        module_id=parts.get("ModuleId", ""),
        gateway=parts.get("GatewayHostName", ""),
        policy=parts.get("SharedAccessKeyName", ""),
        key=_decode_key(parts["SharedAccessKey"]) if "SharedAccessKey" in parts else b"",
        x509=x509,
    )


def device_connection_string(host: str, device_id: str, key: bytes) -> str:
    """Return the connection string of a device with this key."""
    return f"HostName={host};DeviceId={device_id};SharedAccessKey={base64.b64encode(key).decode()}"


def _split(text: str) -> dict[str, str]:
    """Return the parts by key; a part that cannot be read is not shown, since it may be half of a key."""
    parts: dict[str, str] = {}
    for number, part in enumerate(text.strip().rstrip(";").split(";"), 1):
        name, separator, value = part.partition("=")
        if not separator or not value:
            raise ConnectionStringError(f"connection string: part {number} must be KEY=VALUE")
        if name not in _KEYS:
            raise ConnectionStringError(f"connection string: the key of part {number} is unknown")
        if name in parts:
            raise ConnectionStringError(f"connection string: {name} appears twice")
        parts[name] = value
    return parts


def _check_kind(parts: Mapping[str, str], *, x509: bool) -> None:
    """Refuse what names neither a device with one way to prove itself nor a service."""
    if "HostName" not in parts:
        raise ConnectionStringError("connection string: HostName is missing")
    if x509 and "SharedAccessKey" in parts:
        raise ConnectionStringError("connection string: SharedAccessKey and x509=true exclude each other")
    if "ModuleId" in parts and "DeviceId" not in parts:
        raise ConnectionStringError("connection string: ModuleId needs a DeviceId")
    if "DeviceId" in parts:
        if not x509 and "SharedAccessKey" not in parts:
            raise ConnectionStringError("connection string: SharedAccessKey is missing")
    elif "SharedAccessKeyName" not in parts or "SharedAccessKey" not in parts:
        raise ConnectionStringError(
            "connection string: it needs a DeviceId, or SharedAccessKeyName and SharedAccessKey of a service"
        )


def _decode_key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ConnectionStringError("connection string: SharedAccessKey must be base64") from None
    if not key:
        raise ConnectionStringError("connection string: SharedAccessKey must not be empty")
    return key
