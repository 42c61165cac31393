"""What the routes of enrolment answer with, as types; see `web.answers`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from web.answers import Page, Time

EnrolmentState = Literal["pending", "approved", "enrolled", "denied"]


class BrokerPlace(msgspec.Struct):
    """Where the broker is that devices are to use."""

    host: str
    port: int
    tls: bool


class Proofs(msgspec.Struct):
    """That this is the right server: HMAC-SHA256 in hex, as docs/enrolment.md tells."""

    enrolment_key: str
    """With the fleet's key; while that changes with the one of before."""
    device: str
    """With what the server keeps of the device's token; empty for a device that has none."""
    enrolment_key_new: str
    """While the fleet's key changes: with the new one; else empty."""


class Introduction(msgspec.Struct):
    """What a device may know before it sends this server a secret."""

    server_id: str
    version: str
    device_id: str
    state: Literal["unknown"] | EnrolmentState
    mqtt: BrokerPlace
    proofs: Proofs
    detail: str
    """Why the proofs are empty: the device has dialled what this server does not know as its own."""
    timestamp: Time


class BrokerAccess(BrokerPlace):
    """The broker, and what opens it."""

    username: str
    password: str


class HttpAccess(msgspec.Struct):
    """What opens this API, for the device alone."""

    token: str


class EnrolledDevice(msgspec.Struct):
    """The credentials of a device's own, told only here."""

    device_id: str
    server_id: str
    connection_string: str
    """`mqtt://` or `mqtts://` with all that is needed, or that of an IoT hub."""
    mqtt: BrokerAccess
    http: HttpAccess
    certificate: str
    """PEM, for the `csr` of the request; empty without one, or where this server gives none."""
    ca: str
    """PEM of the authority that broker and server are to be trusted by; empty where they have none of their own."""


class CertificateRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request for another certificate."""

    csr: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    """A certificate signing request in PEM, of a key on P-256; its common name is the serial number."""


class DeviceCertificate(msgspec.Struct):
    """A certificate of a device's own, and where to use it."""

    certificate: str
    ca: str
    mqtt: BrokerAccess


class Approval(msgspec.Struct, forbid_unknown_fields=True):
    """The body of an approval; it may be left out."""

    request: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """As the list has it: an approval of what does not wait any more is 409. Empty approves whatever waits now."""


class Enrolment(msgspec.Struct):
    """What is known of a device that asked to enrol; what is not known is null."""

    serial: str
    state: EnrolmentState
    hostname: str | None
    mac_address: str | None
    device_type: str | None
    address: str | None
    """Where it asked from."""
    requested: Time | None
    enrolled: Time | None
    approved_until: Time | None
    changed_by: str | None
    request: str | None
    """Names the request that waits or was approved; another one for the same serial has another name."""


Enrolments = Page[Enrolment]
