"""The supervisor of all devices: one actor each, counted each by itself, discovered the first time it speaks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec
from pykka import Future

from actors.dead_letters import DeadLetterDesk
from actors.device import DeviceActor, World, new_snapshot, request_announcement
from actors.device_messages import Announced, Beaten, Changed, Farewell, Measured, Scanned, Told
from actors.messages import (
    DeleteDevice,
    DeviceSnapshot,
    StoreDevice,
    StoreEvent,
    StorePresence,
    StoreReading,
    StoreScan,
)
from actors.payloads import answer_refused
from actors.runtime import Directory, Undelivered
from supervisor import BackoffPolicy, ChildSpec, DynamicSupervisor, Intensity
from supervisor.child import State

SLICE = 60
"""Devices started by one message, so that others have their turn in between: a turn is up to 32 messages."""
QUARANTINE = Intensity(restarts=5, within=60.0)
"""A device that crashes more often than this is parked."""
MOST_DEVICES = 250_000
"""Serials beyond this are refused: a broken sender that invents serials must not fill the memory."""


FROM_DEVICE = (Beaten, Announced, Farewell, Measured, Scanned, Told)


def _data_of(message: Any) -> StoreReading | StoreScan | None:
    """Return what a message would store."""
    return message.reading if isinstance(message, Measured) else getattr(message, "scan", None)


class StartSlice:
    """To itself: start the next devices of those that are known."""


class AllStarted:
    """To itself, when nothing is left to start: look whether those that were have come up."""


class CreateDevice(msgspec.Struct, frozen=True):
    """An operator declares a device before it speaks. The future gets True, or False if the serial exists."""

    snapshot: DeviceSnapshot
    reply_to: Any


class RemoveDevice(msgspec.Struct, frozen=True):
    """An operator deletes a device. The future gets True, or False if the serial is unknown."""

    serial: str
    reply_to: Any


class DeviceSupervisor(DynamicSupervisor):
    """Starts an actor for each known device, and for each unknown one as it speaks."""

    def __init__(self, *, world: World, desk: DeadLetterDesk, devices: Directory, **settings: Any) -> None:
        super().__init__(
            template=ChildSpec("device", lambda serial: DeviceActor(serial, world), shutdown=2.0),
            per_child=True,
            intensity=QUARANTINE,
            backoff=BackoffPolicy(base=0.05, cap=5.0),
            directory=devices,
            max_children=MOST_DEVICES,
            runtime=world.runtime,
            **settings,
        )
        self._world = world
        self._dead_letters = desk
        self._to_start: Iterator[str] = iter(())

    def on_start(self) -> None:
        """Start the known devices in slices; be ready after the last."""
        self._to_start = iter([record.snapshot.serial for record in self._world.fleet])
        self._start_slice()

    def on_receive(self, message: Any) -> Any:
        """Handle what is particular to devices, leave the rest to the supervisor."""
        match message:
            case StartSlice():
                return self._start_slice()
            case AllStarted():
                return self._all_started()
            case CreateDevice():
                return self._create(message.snapshot, message.reply_to)
            case RemoveDevice():
                return self._remove(message.serial, message.reply_to)
        return super().on_receive(message)

    def _start_slice(self) -> None:
        serials = list(islice(self._to_start, SLICE))
        for serial in serials:
            record = self._world.fleet.record(serial)
            if record is not None and serial not in self.table.children:
                self.adopt(serial, parked=record.snapshot.quarantined)
        self.actor_ref.tell(StartSlice() if serials else AllStarted())

    def _all_started(self) -> None:
        """Be ready when the devices are in the directory: no link is to hear before, nor to find the way by us."""
        if self.table.counts[State.STARTING] or self._unpublished:
            self.actor_ref.tell(AllStarted())  # behind what they have to say; none of them takes long
        else:
            self.ready()

    # Discovery

    def on_unknown(self, name: str, message: Any) -> None:
        """Create the device that has just spoken for the first time; a known one speaks while we start."""
        record = self._world.fleet.record(name)
        if record is not None:
            self.adopt(name, parked=record.snapshot.quarantined)
            self._on_undelivered(Undelivered(name, message))
            return
        if not isinstance(message, FROM_DEVICE):
            self._answer_nobody(message)
            return
        if len(self.table.children) >= self.max_children:
            detail = f"the fleet has {self.max_children} devices, which is the limit"
            self._dead_letters.refuse(message.delivery, "fleet_full", detail, name)
            self._answer_sender(message, "fleet_full", detail)
            return
        delivery = message.delivery
        if delivery.retain and not isinstance(message, Measured | Scanned):
            # What a broker kept is no sign that the device still exists.
            if isinstance(message, Told):
                self._world.directory.tell(message.service, message)
            return
        snapshot = new_snapshot(name, message)
        self._world.fleet.add(snapshot)
        self._world.outgoing.add(StoreDevice(snapshot))
        self._world.outgoing.add(StorePresence(name, snapshot.presence, snapshot.reason, delivery.rx_us))
        self._note("discovered", name, {"kind": snapshot.kind, "site": snapshot.site})
        self.adopt(name, messages=[message])
        if snapshot.family == "pi" and not isinstance(message, Announced):
            request_announcement(self._world.directory, snapshot.broker, name)

    def _create(self, snapshot: DeviceSnapshot, reply_to: Future[bool]) -> None:
        if snapshot.serial in self._world.fleet:
            reply_to.set(False)
            return
        self._world.fleet.add(snapshot)
        self._world.outgoing.add(StoreDevice(snapshot))
        self.adopt(snapshot.serial)
        reply_to.set(True)

    def _remove(self, serial: str, reply_to: Future[bool]) -> None:
        if not self.drop(serial):
            reply_to.set(False)
            return
        self._world.fleet.remove(serial)
        self._world.outgoing.add(DeleteDevice(serial))
        reply_to.set(True)

    # What a device did not handle

    def on_undeliverable(
        self, child_id: str, message: Any, reason: str, attempts: int, error: BaseException | None
    ) -> None:
        """Store a valid reading all the same; dead-letter what crashed its device."""
        if reason in ("crashed_twice", "breaker") and isinstance(message, FROM_DEVICE):
            detail = f"handling it ended the device's actor {attempts} times: {error!r}"
            self._dead_letters.refuse(message.delivery, "crashed", detail, child_id)
            self._answer_sender(message, "crashed", detail)
        elif isinstance(message, Measured):
            self._world.outgoing.add(message.reading)
        elif isinstance(message, Scanned):
            self._world.outgoing.add(message.scan)
        elif isinstance(message, Told):
            self._world.directory.tell(message.service, message)
        elif isinstance(message, Beaten | Announced | Farewell):
            self._dead_letters.by_reason["undelivered"] += 1  # counted, not kept: the next beat says the same
        else:
            self._answer_nobody(message)

    def _answer_sender(self, message: Any, reason: str, detail: str) -> None:
        """Tell whoever has posted this that it will not be stored."""
        reply_to = getattr(_data_of(message), "reply_to", None)
        if reply_to is not None:
            answer_refused(reply_to, reason, detail)

    def _answer_nobody(self, message: Any) -> None:
        if isinstance(message, Changed) and message.reply_to is not None:
            error = LookupError("the device does not run now")
            message.reply_to.set_exception((LookupError, error, None))

    # Quarantine is part of what is known of a device

    def on_quarantine(self, child_id: str, error: Any) -> None:
        """Mark the device; its presence is unknown from now on, since nobody judges it."""
        self._mark(child_id, quarantined=True)
        record = self._world.fleet.record(child_id)
        if record is not None:
            self._world.fleet.unheard(record)
        self._note("quarantine", child_id, {"error": getattr(error, "message", "")})

    def on_resume(self, child_id: str) -> None:
        """Unmark it."""
        self._mark(child_id, quarantined=False)
        self._note("resume", child_id, {})

    def _mark(self, serial: str, *, quarantined: bool) -> None:
        record = self._world.fleet.record(serial)
        if record is not None and record.snapshot.quarantined is not quarantined:
            snapshot = msgspec.structs.replace(record.snapshot, quarantined=quarantined)
            self._world.fleet.update(record, snapshot)
            self._world.outgoing.add(StoreDevice(snapshot))
            self._world.live.changed(serial, facts=True)

    def _note(self, kind: str, serial: str, data: dict[str, Any]) -> None:
        now_us = int(self.runtime.clock.time() * 1_000_000)
        self._world.outgoing.add(StoreEvent(kind, serial, now_us, json.dumps(data)))
