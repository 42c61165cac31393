"""The hub's registry of devices, over its REST API (version 2021-04-12). Blocks, within its timeouts.

A new identity is made with keys of our own. One that exists already gets new keys: whoever asks has proved that the
serial is theirs, and the keys of before may be in other hands. What an operator of the hub has decided stays as it is:
an identity that is disabled, or that uses a certificate, is refused with a sentence.
"""

from __future__ import annotations

import base64
import http.client
import secrets
import ssl
import time
from typing import Any
from urllib.parse import quote

import msgspec

from actors.hub.connection_string import ConnectionString, device_connection_string, parse_connection_string
from actors.hub.sas import sign

API_VERSION = "2021-04-12"
TOKEN_SECONDS = 300
"""How long a token of ours is good: for one request and a clock that is some minutes off."""
KEY_BYTES = 32
LARGEST_ANSWER = 2**16

_RACED = frozenset({409, 412})
"""Somebody made or changed the identity between our two requests."""


class RegistryError(Exception):
    """The registry gave no identity; the message is one sentence."""


def create_identity(
    service_connection_string: str, device_id: str, *, timeout: float = 10.0, ca_file: str = "", port: int = 443
) -> str:
    """Make the identity of a device, or give one that exists new keys.

    Args:
        service_connection_string: of a policy with the permissions to read and write the registry.
        device_id: its serial number.
        timeout: seconds for connecting and for each read.
        ca_file: PEM with the certificates to trust; empty means those of the system.
        port: where the hub speaks HTTPS.

    Returns:
        The device's connection string.

    Raises:
        ConnectionStringError: of the service's connection string.
        RegistryError: the hub cannot be reached, or refuses.

    """
    service = parse_connection_string(service_connection_string)
    if not service.policy or service.device_id:
        raise RegistryError(
            "the hub's connection string is none of a service: it needs SharedAccessKeyName and no DeviceId"
        )
    registry = _Registry(service, timeout, ca_file, port)
    try:
        key = registry.enrol(device_id)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise RegistryError(f"the hub {service.host} cannot be reached: {reason}") from error
    finally:
        registry.close()
    return device_connection_string(service.host, device_id, key)


class _Registry:
    """One connection to the registry."""

    def __init__(self, service: ConnectionString, timeout: float, ca_file: str, port: int) -> None:
        self._service = service
        try:
            context = ssl.create_default_context(cafile=ca_file or None)
        except OSError as error:
            raise RegistryError(f"the hub's CA file {ca_file} cannot be read: {error}") from error
        self._connection = http.client.HTTPSConnection(service.host, port, timeout=timeout, context=context)

    def close(self) -> None:
        self._connection.close()

    def enrol(self, device_id: str) -> bytes:
        """Return the primary key of the device's identity, made or made anew."""
        key = secrets.token_bytes(KEY_BYTES)
        status, body = self._exchange("PUT", device_id, _identity({}, device_id, key))
        if status not in _RACED:
            self._check(status, body)
            return key
        status, body = self._exchange("GET", device_id)
        self._check(status, body)
        known = _read(body)
        _check_ours(device_id, known)
        etag = known.get("etag")
        status, body = self._exchange("PUT", device_id, _identity(known, device_id, key), match=str(etag or "*"))
        self._check(status, body)
        return key

    def _exchange(
        self, method: str, device_id: str, body: dict[str, Any] | None = None, *, match: str = ""
    ) -> tuple[int, bytes]:
        """Send a request; return status and body of the answer."""
        service = self._service
        expiry = int(time.time()) + TOKEN_SECONDS
        headers = {"Authorization": sign(service.resource, service.key, expiry, policy=service.policy)}
        if match:
            headers["If-Match"] = f'"{match}"'
        if body is not None:
            headers["Content-Type"] = "application/json; charset=utf-8"
        path = f"/devices/{quote(device_id, safe='')}?api-version={API_VERSION}"
        data = None if body is None else msgspec.json.encode(body)
        self._connection.request(method, path, body=data, headers=headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read(LARGEST_ANSWER)

    def _check(self, status: int, body: bytes) -> None:
        """Raise unless the answer is a success.

        Raises:
            RegistryError: with the hub's own words.

        """
        if 200 <= status < 300:
            return
        raise RegistryError(f"the hub {self._service.host} refused: {_reason(status, body)}")


def _identity(known: dict[str, Any], device_id: str, key: bytes) -> dict[str, Any]:
    """Return the body of a PUT: what the hub knew, with this primary key and a secondary one that nobody holds."""
    keys = (key, secrets.token_bytes(KEY_BYTES))
    primary, secondary = (base64.b64encode(item).decode() for item in keys)
    return {
        "status": "enabled",
        **known,
        "deviceId": device_id,
        "authentication": {"type": "sas", "symmetricKey": {"primaryKey": primary, "secondaryKey": secondary}},
    }


def _check_ours(device_id: str, known: dict[str, Any]) -> None:
    """Refuse an identity that an operator of the hub has disabled or given a certificate."""
    authentication = known.get("authentication") or {}
    kind = authentication.get("type", "sas") if isinstance(authentication, dict) else "sas"
    if known.get("status") == "disabled":
        raise RegistryError(f"the hub has disabled the identity of {device_id}: enable it there")
    if kind not in ("sas", "none"):
        raise RegistryError(
            f"the hub's identity of {device_id} uses {kind}, not a key: delete it there to make one with a key"
        )


def _read(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RegistryError(f"the hub's answer cannot be read: {error}") from error


def _reason(status: int, body: bytes) -> str:
    """Return the hub's own sentence where there is one."""
    try:
        message = msgspec.json.decode(body, type=dict[str, Any]).get("Message", "")
    except (msgspec.DecodeError, UnicodeDecodeError):
        message = ""
    return f"{message[:300]} (status {status})" if isinstance(message, str) and message else f"status {status}"
