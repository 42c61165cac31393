"""What is asked of the enrolment actor, what it answers, and its one error."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from actors.topics import SERIAL

_PLAIN = r"^[^\x00-\x1f\x7f]*\Z"
"""No control characters: what a device says of itself is shown to operators."""

Serial = Annotated[str, Meta(pattern=rf"^{SERIAL.pattern}\Z")]
Decision = Literal["approve", "deny", "revoke"]
Code = Literal["pending", "denied", "fleet_full", "not_found", "changed", "hub_unavailable", "busy"]


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """What a device sends to be enrolled."""

    device_id: Serial
    """Its serial number, the id in its topics."""
    enrolment_key: Annotated[str, Meta(max_length=256)] = ""
    """The fleet's key; who shows a valid token of this device may do without."""
    hostname: Annotated[str, Meta(max_length=253, pattern=_PLAIN)] = ""
    mac_address: Annotated[str, Meta(max_length=64, pattern=_PLAIN)] = ""
    device_type: Annotated[str, Meta(max_length=64, pattern=_PLAIN)] = "raspberry_pi"
    claim: Annotated[str, Meta(pattern=r"^([0-9a-f]{32,64})?\Z")] = ""
    """A random secret that the device keeps until it has kept our answer: who repeats it is the one who asked first."""
    csr: Annotated[str, Meta(max_length=4096)] = ""
    """A certificate signing request in PEM, for a certificate by which the broker knows the device."""

    def __repr__(self) -> str:
        return f"Application(device_id={self.device_id!r})"


class Enrol(msgspec.Struct, frozen=True):
    """Asks for credentials; whoever sends this has compared the fleet's key. The answer is a `Granted`."""

    application: Application
    proof: str
    """Digest of the token that the device showed (`actors.storage.tokens.digest_token`); empty without one."""
    address: str
    """From where it asks."""
    until: float = math.inf
    """Monotonic time until which the asker waits: credentials that nobody takes must not end those of before."""


class Granted(msgspec.Struct, frozen=True):
    """Credentials, shown this once."""

    token: str
    """For the HTTP API, with role `device`."""
    hub: str
    """The connection string of an IoT Hub, empty without one."""

    def __repr__(self) -> str:
        return "Granted()"


class Decide(msgspec.Struct, frozen=True):
    """Asks to carry out an operator's decision; the answer is the row as `actors.storage.enrolment` shows it."""

    decision: Decision
    serial: str
    by: str
    """Who decided."""
    address: str
    """From where."""
    request: str = ""
    """Which request was looked at, as `actors.enrolment.rules.fingerprint` names it; empty for whatever waits now."""


class WrongKey(msgspec.Struct, frozen=True):
    """Tells that somebody does not know the fleet's key; the device id is only what was claimed."""

    device_id: str
    address: str


class EnrolmentError(Exception):
    """Why there are no credentials, or why a decision is not possible."""

    def __init__(self, code: Code, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
