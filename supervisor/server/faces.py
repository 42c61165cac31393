"""What the HTTP face is given: Muster's parts behind the protocols of `web.face`."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from peewee import Database
from pykka import ActorDeadError

from actors.device_messages import Changed
from actors.fleet import DeviceView
from actors.fleet_pages import FIRST, Cut, FleetPage, find_devices
from actors.groups.labels import TooManyLabelsError
from actors.groups.messages import Forget
from actors.messages import Deliveries, Delivery, DeviceSnapshot, StoreDeadLetter
from actors.payload_keys.envelope import is_sealed
from actors.registry import Execute, LoadDeadLetter, MarkReplayed
from actors.runtime import GuardedFuture
from actors.storage.queries import ListTokens
from actors.storage.tokens import Token, create_token, digest_token, find_token, revoke_token
from actors.topics import SENSOR_TAIL, BadTopicError, parse_pi, parse_sensor, parse_site
from supervisor.pki.errors import PkiError
from supervisor.server.devices import CreateDevice, RemoveDevice
from supervisor.server.groups import wanted
from supervisor.server.parts import Parts
from web.face import ConflictError, Item
from web.fleet import Filter
from web.sessions import Credential, Role

PARSERS: dict[str, Callable[[str], object]] = {"pi": parse_pi, "site": parse_site, "sensor": parse_sensor}
PATIENCE = 5.0
"""Seconds that a request waits for an actor."""


class FleetFace:
    """The roll call: reads come from the fleet's records, changes go to the actors."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def get(self, serial: str) -> DeviceView | None:
        """Return one device."""
        return self._parts.fleet.get(serial)

    def page(self, where: Filter, cut: Cut = FIRST) -> FleetPage:
        """Return a page of the devices that are wanted."""
        return find_devices(self._parts.fleet, wanted(self._parts.groups, where), cut)

    def counts(self) -> Mapping[str, int]:
        """Return the counts by presence."""
        return self._parts.fleet.counts()

    def sites(self) -> list[Item]:
        """Return every site that has a device, with its counts and open alarms."""
        alarms = self._parts.alarm_tap.open_at
        return [counts._asdict() | {"alarms": alarms[counts.site]} for counts in self._parts.fleet.sites()]

    def open_alarms(self) -> int:
        """Return how many alarms are open."""
        return self._parts.alarm_tap.open.total()

    def create(self, device: DeviceSnapshot) -> DeviceView:
        """Declare a device before it speaks."""
        if not self._ask_devices(lambda future: CreateDevice(device, future)):
            raise ConflictError(f"the serial {device.serial} exists already")
        view = self._parts.fleet.get(device.serial)
        assert view is not None
        self._parts.access.look(device.serial)
        return view

    def patch(self, serial: str, changes: Mapping[str, Any]) -> DeviceView | None:
        """Change a device through its actor."""
        if serial not in self._parts.fleet:
            return None
        future: GuardedFuture[None] = GuardedFuture()
        fields = dict(changes)
        labels = fields.pop("labels", {})
        self._parts.devices.tell(serial, Changed(fields, future, labels))
        try:
            future.get(timeout=PATIENCE)
        except TooManyLabelsError as error:
            raise ConflictError(str(error)) from error
        except LookupError as error:
            raise ConflictError(f"{serial} is quarantined or stopped; resume it first") from error
        self._parts.access.look(serial)
        return self._parts.fleet.get(serial)

    def delete(self, serial: str) -> bool:
        """Remove a device and all that is kept of it, and end its certificates."""
        removed = self._ask_devices(lambda future: RemoveDevice(serial, future))
        if removed:
            self._parts.services.tell("groups", Forget(serial))
            self._parts.ring.publish("removed", serial, {"serial": serial})
            self._end_certificates(serial)
        return removed

    def _end_certificates(self, serial: str) -> None:
        try:
            if self._parts.pki is not None:
                self._parts.pki.revoke(serial)
        except PkiError as error:
            message = f"{serial} is removed, but its certificates are not revoked ({error}); use `muster pki revoke`"
            raise ConflictError(message) from error

    def _ask_devices(self, message: Callable[[GuardedFuture[bool]], Any]) -> bool:
        ref = self._parts.services.get("devices")
        if ref is None:
            raise ActorDeadError("the devices' supervisor is restarting")
        future: GuardedFuture[bool] = GuardedFuture()
        ref.tell(message(future))
        return bool(future.get(timeout=PATIENCE))


class DeadLettersFace:
    """The way back for dead letters."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def replay(self, letter: int) -> None:
        """Hand a dead letter to the subscriber of its topic, as if it had just arrived (but as no evidence of life)."""
        found: StoreDeadLetter | None = self._parts.ask_registry(LoadDeadLetter(letter))
        if found is None:
            raise KeyError(letter)
        subscriber = subscriber_of(found.topic)
        payload = found.payload
        if found.reason not in ("not_encrypted", "unbound") and not is_sealed(payload):
            # It was opened before it was refused; whoever gave it up decides now that it came from its device.
            payload = self._parts.payload_keys.seal_again(found.topic, payload, found.serial)
        delivery = Delivery(
            link=found.link,
            token=0,
            topic=found.topic,
            payload=payload,
            qos=found.qos,
            retain=False,
            dup=False,
            live=False,
            rx_us=found.rx_us,
            rx_at=self._parts.runtime.clock.monotonic(),
        )
        self._parts.services.tell(subscriber, Deliveries(found.link, [delivery], 0.0))
        self._parts.ask_registry(MarkReplayed(letter))


def subscriber_of(topic: str) -> str:
    """Return the subscriber of the family that a topic belongs to.

    Raises:
        ConflictError: if it belongs to none.

    """
    if not topic:
        raise ConflictError("the database refused this and it has no topic, so nobody can take it again")
    family = "pi" if topic.startswith("devices/") else "sensor" if topic.endswith(SENSOR_TAIL) else "site"
    try:
        PARSERS[family](topic)
    except BadTopicError as error:
        raise ConflictError(f"nobody takes messages of this topic: {error}") from error
    return f"subscriber.{family}"


class TokensFace:
    """Who may do what: the token given from outside, and those in the database."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def verify(self, plain: str) -> Credential | None:
        """Return what a bearer token stands for."""
        return self.verify_digest(digest_token(plain))

    def verify_digest(self, digest: str) -> Credential | None:
        """Return what the token of this digest stands for."""
        if hmac.compare_digest(digest, digest_token(self._parts.admin_token)):
            return Credential("admin")
        identity = self._parts.tokens.verify_digest(digest, self._now_us())
        return None if identity is None else Credential(identity.role, identity.serial or None, identity.name)

    def items(self) -> list[Item]:
        """Return all tokens of the database, without their secret."""
        tokens: list[Token] = self._parts.readers.ask(ListTokens())
        return [msgspec.structs.asdict(token) | {"serial": token.serial or None} for token in tokens]

    def create(self, *, name: str, role: Role, serial: str, expires_in: float | None) -> Item:
        """Make a token; its text is in the answer and nowhere else."""
        now_us = self._now_us()
        expires_us = None if expires_in is None else now_us + int(expires_in * 1_000_000)

        def work(database: Database) -> Item:
            plain = create_token(database, role=role, name=name, now_us=now_us, serial=serial, expires_us=expires_us)
            made = find_token(database, digest_token(plain))
            assert made is not None
            return msgspec.structs.asdict(made) | {"serial": made.serial or None, "token": plain}

        item: Item = self._parts.ask_registry(Execute(work))
        self._parts.tokens.forget()
        return item

    def revoke(self, token_id: int) -> None:
        """End a token, and the sessions opened with it, at once."""
        now_us = self._now_us()
        revoked = self._parts.ask_registry(Execute(lambda database: revoke_token(database, token_id, now_us)))
        self._parts.tokens.forget()
        if not revoked:
            raise KeyError(token_id)

    def _now_us(self) -> int:
        return int(self._parts.runtime.clock.time() * 1_000_000)


class PageKeysFace:
    """The key in the link that `muster up` prints; it opens the page as long as this process lives."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def redeem(self, key: str) -> bool:
        """Tell whether it is our key."""
        return hmac.compare_digest(key.encode(), self._parts.page_key.encode())
