"""Enrolment as the HTTP face sees it: what devices are told, and what operators decide."""

from __future__ import annotations

import hmac
import re
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from pykka import ActorDeadError

from actors.enrolment.actor import EnrolmentActor
from actors.enrolment.messages import Application, Code, Decide, Decision, Enrol, EnrolmentError, Granted, WrongKey
from actors.enrolment.proofs import prove_server
from actors.hub.registry import create_identity
from actors.messages import DeviceSnapshot
from actors.runtime import GuardedFuture
from actors.storage.enrolment import FindEnrolment, FindEnrolments
from actors.storage.queries import Page
from actors.storage.tokens import digest_token
from actors.timestamps import rfc3339
from actors.topics import SERIAL
from actors.version import __version__
from supervisor.pki.errors import PkiError
from supervisor.server.devices import MOST_DEVICES, CreateDevice
from supervisor.server.mosquitto import BrokerUser
from supervisor.server.own_hosts import OwnHosts, read_authority
from supervisor.server.parts import Parts
from supervisor.server.payload_keys import end_payload_key
from supervisor.server.pki import DevicePki
from supervisor.server.settings import LOOPBACK, WILDCARD, Broker, Config
from supervisor.server.values import broker_url
from web.enrolments import EnrolmentRefusedError
from web.face import Item

T = TypeVar("T")

HUB_TIMEOUT = 5.0
"""Seconds that the IoT Hub has for each of up to three answers."""
PATIENCE = 30.0
"""Seconds that a request waits for its enrolment; others may be before it."""
SLOTS = 8
"""Enrolments that wait at a time: a hub that is silent must not hold all threads that serve the API."""

_STATUS: Final[dict[Code, int]] = {
    "pending": 409,
    "denied": 409,
    "fleet_full": 409,
    "not_found": 404,
    "changed": 409,
    "busy": 503,
    "hub_unavailable": 503,
}
_NONCE = re.compile(r"[0-9a-f]{16,64}")
_FIELD = re.compile(r"field `([^`]+)`| - at `\$\.([^`]+)`")


def enrolment_actor(parts: Parts) -> EnrolmentActor:
    """Return the actor that enrols."""
    hub = parts.config.hub.service_connection_string
    return EnrolmentActor(
        ask=parts.ask_registry,
        clock=parts.runtime.clock,
        board=parts.enrolment_board,
        all_wait=parts.config.enrolment.approve == "always",
        identify=partial(create_identity, hub, timeout=HUB_TIMEOUT) if hub else None,
        declare=partial(_declare, parts),
        on_change=partial(_show, parts),
        on_tokens=parts.tokens.forget,
    )


def _declare(parts: Parts, device: DeviceSnapshot) -> None:
    """Add a device to the roll call; what is known of it already stays."""
    if device.serial not in parts.fleet and len(parts.fleet) < MOST_DEVICES:
        parts.services.tell("devices", CreateDevice(device, GuardedFuture()))


def _show(parts: Parts, serial: str) -> None:
    """Let pages ask for the enrolments anew."""
    parts.ring.publish("enrolment", serial, {"serial": serial})


class EnrolmentFace:
    """The exchange of the fleet's key for credentials, and its operators."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._own_hosts = OwnHosts(parts.config.enrolment.hosts, parts.server_id)
        self._slots = threading.BoundedSemaphore(SLOTS)

    def inspect(self, device_id: str, nonce: str, *, address: str, host: str) -> Item:
        """Return what a device may know before it trusts this server."""
        parts = self._parts
        if not SERIAL.fullmatch(device_id):
            raise _bad_field("device_id", "must have 1 to 64 letters, digits, `.`, `_`, `:` or `-`")
        if not _NONCE.fullmatch(nonce):
            raise _bad_field("nonce", "must have 16 to 64 lower-case hexadecimal digits")
        now_us = self._now_us()
        known, digest = parts.readers.ask(FindEnrolment(device_id, now_us))
        broker = device_broker(parts.config, host)
        dialled, detail = self._dialled(host, address)
        prove = partial(prove_server, server_id=parts.server_id, device_id=device_id, nonce=nonce, address=dialled)
        # Devices of releases before look at the first alone: most of them have the key of before, while that is good.
        before = parts.fleet_keys.before(now_us)
        keys = {"enrolment_key": before or parts.fleet_keys.now, "device": digest}
        keys["enrolment_key_new"] = parts.fleet_keys.now if before else ""
        return {
            "server_id": parts.server_id,
            "version": __version__,
            "device_id": device_id,
            "state": known.state_at(now_us) if known is not None else "unknown",
            "mqtt": {"host": broker.host, "port": broker.port, "tls": broker.uses_tls},
            "proofs": {name: prove(key) if key and dialled else "" for name, key in keys.items()},
            "detail": detail,
            "timestamp": rfc3339(now_us),
        }

    def register(self, request: Item, *, proof: str, address: str, host: str) -> Item:
        """Enrol a device and return its credentials."""
        application = _read(request)
        pki, serial = self._parts.pki, application.device_id
        self._check_key(application, proof, address)
        self._refuse_unnamed(serial)
        self._refuse_reserved(serial)
        if pki is not None and application.csr:
            _certified(lambda: pki.check(application.csr, serial))
        granted = self._enrol(application, proof, address)
        named = self._sign(pki, application.csr, serial) if pki is not None and application.csr else ""
        own = self._user_of(application)
        broker = device_broker(self._parts.config, host, named=serial if named else "", user=own)
        return {
            "device_id": application.device_id,
            "server_id": self._parts.server_id,
            "connection_string": granted.hub or broker.url,
            "mqtt": {
                "host": broker.host,
                "port": broker.port,
                "username": broker.username,
                "password": broker.password,
                "tls": broker.uses_tls,
            },
            "http": {"token": granted.token},
            "certificate": named,
            "ca": self._authority(),
        }

    def _user_of(self, application: Application) -> BrokerUser | None:
        """Return the device's new user of the broker; None where it has none for itself."""
        access, serial = self._parts.access, application.device_id
        if not access.can_name(serial):
            return None
        password = access.grant([serial], application.device_type).get(serial)
        if password is None:  # an operator was faster
            raise EnrolmentRefusedError(409, "denied", f"{serial} was denied while it enrolled", {"device_id": serial})
        return BrokerUser(serial, password)

    def _refuse_unnamed(self, serial: str) -> None:
        access = self._parts.access
        if access.manages and not access.can_name(serial) and not access.lets_in_others:
            raise _bad_field("device_id", "may have no `:`, which ends a name in the broker's password file")

    def _check_key(self, application: Application, proof: str, address: str) -> None:
        """Refuse who knows neither the fleet's key nor a token of this device: the key may have changed since."""
        now_us = self._now_us()
        if self._parts.fleet_keys.fits(application.enrolment_key, now_us):
            return
        _, digest = self._parts.readers.ask(FindEnrolment(application.device_id, now_us))
        if proof and digest and hmac.compare_digest(digest, digest_token(proof)):
            return
        self._parts.services.tell("enrolment", WrongKey(application.device_id, address))
        raise EnrolmentRefusedError(401, "bad_key", "the enrolment key is not the one of this server's fleet")

    def certify(self, serial: str, request: str, *, host: str) -> Item:
        """Give a device that is enrolled another certificate."""
        pki = self._parts.pki
        if pki is None:
            raise EnrolmentRefusedError(404, "not_found", "this server gives devices no certificates")
        self._refuse_reserved(serial)
        self._refuse_denied(serial)
        named = self._sign(pki, request, serial)
        broker = device_broker(self._parts.config, host, named=serial)
        place = {"host": broker.host, "port": broker.port, "username": serial, "password": "", "tls": broker.uses_tls}
        return {"certificate": named, "ca": self._authority(), "mqtt": place}

    def _authority(self) -> str:
        pki = self._parts.pki
        return pki.trust if pki is not None else ""

    def _sign(self, pki: DevicePki, request: str, serial: str) -> str:
        """Return a certificate; none that outlives the decision of an operator who was faster."""
        named = _certified(lambda: pki.sign(request, serial))
        try:
            self._refuse_denied(serial)
        except EnrolmentRefusedError:
            _certified(lambda: pki.revoke(serial))
            raise
        return named

    def _refuse_reserved(self, serial: str) -> None:
        if self._parts.access.is_reserved(serial):
            raise _bad_field("device_id", f"`{serial}` is the name of a user that the broker has for others")

    def _refuse_denied(self, serial: str) -> None:
        now_us = self._now_us()
        known, _ = self._parts.readers.ask(FindEnrolment(serial, now_us))
        if known is not None and known.state_at(now_us) == "denied":
            details = {"device_id": serial, "state": "denied"}
            raise EnrolmentRefusedError(409, "denied", f"{serial} was denied by an operator", details)

    def _dialled(self, header: str, client: str) -> tuple[str, str]:
        """Return `host:port` for the proofs, or else why there are none."""
        dialled = read_authority(header)
        if dialled is None or dialled.port is None:
            return "", "the request does not name the server in its Host header"
        if not self._own_hosts.include(dialled, client=client, port=self._parts.http_port):
            return "", f"`{dialled}` is none of its own addresses; if it is, add the host to `enrolment.hosts` there"
        return str(dialled), ""

    def _enrol(self, application: Application, proof: str, address: str) -> Granted:
        """Let the actor enrol, as long as not too many wait for it already."""
        if not self._slots.acquire(blocking=False):
            message = f"{SLOTS} devices are being enrolled; ask again in a few seconds"
            raise EnrolmentRefusedError(503, "busy", message, {"device_id": application.device_id})
        try:
            until = self._parts.runtime.clock.monotonic() + PATIENCE
            granted: Granted = self._ask(Enrol(application, digest_token(proof) if proof else "", address, until))
        finally:
            self._slots.release()
        return granted

    def items(self, limit: int, cursor: str) -> tuple[list[Item], str | None]:
        """Return those that wait first, then the others by serial."""
        query = FindEnrolments(now_us=self._now_us(), limit=limit, after=cursor or None)
        page: Page = self._parts.readers.ask(query)
        return page.items, page.cursor

    def approve(self, serial: str, by: str, address: str, request: str = "") -> Item:
        """Let a device enrol within a day."""
        return self._decide("approve", serial, by, address, request)

    def deny(self, serial: str, by: str, address: str) -> Item:
        """Refuse a device, and close the broker to it; its tokens stay valid."""
        item = self._decide("deny", serial, by, address)
        self._parts.access.revoke(serial)
        self._end_certificates(serial)
        return item

    def revoke(self, serial: str, by: str, address: str) -> Item:
        """End a device's credentials."""
        item = self._decide("revoke", serial, by, address)
        self._parts.access.revoke(serial)
        end_payload_key(self._parts, serial)
        self._end_certificates(serial)
        return item

    def _end_certificates(self, serial: str) -> None:
        pki = self._parts.pki
        if pki is not None:
            _certified(lambda: pki.revoke(serial))

    def _decide(self, decision: Decision, serial: str, by: str, address: str, request: str = "") -> Item:
        item: Item = self._ask(Decide(decision, serial, by, address, request))
        return item

    def _ask(self, message: Enrol | Decide) -> Any:
        ref = self._parts.services.get("enrolment")
        if ref is None:
            raise ActorDeadError("the enrolment actor is restarting")
        try:
            return ref.ask(message, block=True, timeout=PATIENCE)
        except EnrolmentError as error:
            raise EnrolmentRefusedError(_STATUS[error.code], error.code, error.message, error.details) from error

    def _now_us(self) -> int:
        return int(self._parts.runtime.clock.time() * 1_000_000)


def _certified(ask: Callable[[], T]) -> T:
    """Return the authority's answer, or raise the refusal as the API tells it."""
    try:
        return ask()
    except PkiError as error:
        if error.code == "bad_request":
            raise _bad_field("csr", str(error).rstrip(".")) from error
        if error.code == "too_many":
            raise EnrolmentRefusedError(429, "too_many", str(error).rstrip(".")) from error
        raise EnrolmentRefusedError(503, "unavailable", f"no certificate can be made now: {error}") from error


def device_broker(config: Config, host: str, *, named: str = "", user: BrokerUser | None = None) -> Broker:
    """Return the broker as devices have to reach it, with the user that is theirs.

    Args:
        config: the server's configuration.
        host: the Host header of the device's request. Where the server reaches the broker on its own machine only,
            devices find it where they have found the server.
        named: the device's serial number, if it has a certificate, which the broker may ask for in place of a password.
        user: the one that the device has for itself.

    """
    given, own = config.enrolment, config.brokers[0]
    by_certificate = bool(named and config.pki.broker_url)
    told = config.pki.broker_url if by_certificate else given.broker_url
    broker = Broker(configured_url=told) if told else own
    address = broker.host
    if address == WILDCARD or (not told and _is_loopback(address)):
        dialled = read_authority(host)
        address = dialled.host if dialled is not None else address
    # The server's own user may do what no device may.
    username, password = (broker.username, broker.password) if given.broker_url else ("", "")
    if by_certificate:
        username, password = named, ""
    elif user is not None:
        username, password = user
    elif given.username:
        username, password = given.username, given.password
    url = broker_url(address, broker.port, tls=broker.uses_tls, username=username, password=password)
    return Broker(configured_url=url)


def _is_loopback(host: str) -> bool:
    return host in LOOPBACK or host.startswith("127.")


def _read(request: Item) -> Application:
    """Return a request that was checked. Raises a 400 that names the field."""
    try:
        return msgspec.convert(request, Application)
    except msgspec.ValidationError as error:
        found = _FIELD.search(str(error))
        field = (found[1] or found[2]) if found else "body"
        reason = str(error).partition(" - at `")[0]
        if "matching regex" in reason or "length" in reason:
            reason = "is too long, or has characters that are not allowed"
        raise _bad_field(field, reason[:1].lower() + reason[1:]) from None


def _bad_field(field: str, reason: str) -> EnrolmentRefusedError:
    return EnrolmentRefusedError(400, "bad_field", f"`{field}`: {reason}", {"field": field})
