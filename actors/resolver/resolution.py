"""The answer: where the device is, and how that is known. Standard library only, `find` needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast, get_args

from actors.timestamps import rfc3339

Method = Literal["roll_call", "last_known", "mdns", "scan"]
PresenceView = Literal["online", "offline", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The address of one device at one moment."""

    serial: str
    address: str
    hostname: str
    mac_address: str
    method: Method
    """`roll_call`: online, the address is as announced. The others were found just now; see `docs/resolver.md`."""
    port: int | None
    """The port that answered; for `roll_call` the first one announced, unchecked; None when no port is known."""
    presence: PresenceView
    last_seen_us: int
    """When the device was last heard, microseconds since 1970 UTC; 0 for never."""
    checked_at: float
    """When this answer was made, seconds since 1970 UTC."""

    @property
    def age_s(self) -> float | None:
        """Seconds the device had been silent when this answer was made; None if it was never heard."""
        return max(0.0, self.checked_at - self.last_seen_us / 1e6) if self.last_seen_us else None

    def to_json(self) -> dict[str, str | int | None]:
        """Return the body of `GET /api/resolve`."""
        return {
            "serial": self.serial,
            "address": self.address,
            "hostname": self.hostname,
            "mac_address": self.mac_address,
            "method": self.method,
            "port": self.port,
            "presence": self.presence,
            "last_seen": rfc3339(self.last_seen_us) if self.last_seen_us else None,
        }

    @classmethod
    def from_json(cls, body: object, *, checked_at: float) -> Resolution:
        """Read the body of `GET /api/resolve`.

        Raises:
            ValueError: a field is missing or of a wrong type; the message names it.

        """
        if isinstance(body, Mapping):
            return cls._from_mapping(body, checked_at)
        raise ValueError("the answer is not a JSON object")

    @classmethod
    def _from_mapping(cls, body: Mapping[str, object], checked_at: float) -> Resolution:
        return cls(
            serial=_text(body, "serial"),
            address=_text(body, "address"),
            hostname=_text(body, "hostname"),
            mac_address=_text(body, "mac_address"),
            method=cast("Method", _one_of(body, "method", get_args(Method))),
            port=_port(body),
            presence=cast("PresenceView", _one_of(body, "presence", get_args(PresenceView))),
            last_seen_us=_microseconds(body.get("last_seen")),
            checked_at=checked_at,
        )


def _microseconds(value: object) -> int:
    if value is None:
        return 0
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        # Whole seconds and the rest apart: a float need not hold the microseconds of this century exactly.
        return int(moment.replace(microsecond=0).timestamp()) * 1_000_000 + moment.microsecond
    raise ValueError("last_seen is neither a time nor null")


def _port(body: Mapping[str, object]) -> int | None:
    port = body.get("port")
    if port is None or type(port) is int:
        return port
    raise ValueError("port is neither a number nor null")


def _text(body: Mapping[str, object], name: str) -> str:
    value = body.get(name)
    if isinstance(value, str):
        return value
    raise ValueError(f"{name} is not a text")


def _one_of(body: Mapping[str, object], name: str, allowed: tuple[str, ...]) -> str:
    value = _text(body, name)
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}, not one of {', '.join(allowed)}")
    return value
