"""The actor of one device: its identity, its presence, and its readings on their way to the registry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from actors.analysts import Analysts
from actors.device_facts import KIND_OF_FAMILY, MOVING, announced_facts, first_words, moved
from actors.device_messages import DUE, Announced, Beaten, Changed, Due, Farewell, FromDevice, Measured, Scanned, Told
from actors.fleet import Fleet, Record
from actors.groups.labels import TooManyLabelsError, merge_labels
from actors.link.messages import Publish
from actors.live import LiveFeed
from actors.messages import DeviceSnapshot, Reason, StoreDevice, StorePresence, StoreSensors
from actors.presence import Transition, deadline_at, note_transition, on_farewell, on_life
from actors.runtime import Directory, PooledActor, Runtime
from actors.writes import Outgoing

SEEN_EVERY_US = 300_000_000
"""`last_seen` of a device that simply goes on is written at most this often."""
INFO_EVERY_US = 300_000_000
"""So is a change of `system_info` alone, which changes with every status."""
VERDICT_GRACE = 0.25
"""Seconds after a deadline at which it is judged: links report what they have handled every 0.2 s."""
SECOND_LOOK = 0.1
"""Seconds until the next look, at least, when something received before the deadline is still on its way."""
LONGEST_LOOK = 2.0
"""Seconds until the next look at most: a waiting fleet must not keep the dispatcher busy."""
MOST_SENSORS = 1_000
"""Names of numbers kept of one device; a sender that invents names must not fill memory and database."""
NOT_DUE = math.inf
"""No deadline is set."""

SUBSCRIBERS_OF: Mapping[str, tuple[str, str]] = {
    "pi": ("subscriber.pi", "subscriber.pi"),
    "datalogger": ("subscriber.site", "subscriber.site"),
    "gateway": ("subscriber.site", "subscriber.site"),
    "sensor": ("subscriber.pi", "subscriber.sensor"),  # one that beats does so on `devices/...`
}
"""Whose watermarks decide whether everything a device sent has been handled, by family: on control, on data."""


@dataclass
class World:
    """What every device needs, shared by all of them."""

    runtime: Runtime
    fleet: Fleet
    outgoing: Outgoing
    directory: Directory
    """Services by name."""
    live: LiveFeed
    """Takes every change for the live page."""
    analysts: Analysts
    """Tell what a reading means."""


def reason_of(message: FromDevice) -> Reason:
    """Return why a device's presence changes, if it does by this message."""
    if isinstance(message, Measured | Scanned | Told):
        return "data"
    if isinstance(message, Farewell):
        return "goodbye" if message.goodbye else "will"
    return "announce" if message.address.verb == "announce" else "heartbeat"


def new_snapshot(serial: str, message: FromDevice) -> DeviceSnapshot:
    """Return what is known of a device at the first message of it; a live one means that it is there."""
    address, delivery = message.address, message.delivery
    return DeviceSnapshot(
        serial=serial,
        kind=KIND_OF_FAMILY[address.family],
        family=address.family,
        type=address.type or ("raspberry_pi" if address.family == "pi" else address.family),
        device_id=address.device_id or serial,
        site=address.site,
        label=address.label,
        presence="online" if delivery.live and not isinstance(message, Farewell) else "offline",
        reason=reason_of(message),
        first_seen_us=delivery.rx_us,
        last_seen_us=delivery.rx_us,
        since_us=delivery.rx_us,
        broker=broker_of(delivery.link),
    )


@lru_cache(maxsize=64)
def broker_of(link: str) -> str:
    """Return the broker's name from a link's: `local` of `local.control`."""
    return link.rpartition(".")[0]


class DeviceActor(PooledActor):
    """One device. Its state is in its record, so that a crash loses nothing of it."""

    def __init__(self, serial: str, world: World) -> None:
        super().__init__()
        self._serial = serial
        self._world = world
        self._record: Record | None = None
        self._due_at = NOT_DUE
        """When the silence will be judged, monotonic seconds: the earliest of its timers; later ones are ignored."""

    def on_start(self) -> None:
        """Find the record; a device that is stored as online must have a deadline."""
        record = self._world.fleet.record(self._serial)
        if record is None:
            raise LookupError(f"{self._serial} has no record")
        self._record = record
        if record.snapshot.presence == "online":
            self._arm(self._deadline(record))

    def on_receive(self, message: FromDevice | Changed | Due) -> None:
        """Handle one message of the device, its deadline, or an operator's change."""
        assert self._record is not None
        _HANDLERS[type(message)](self, message, self._record)

    # What the device says

    def _beaten(self, message: Beaten, record: Record) -> None:
        beat = message.beat
        changes = {}
        if beat.ip_address and beat.ip_address != record.snapshot.ip_address:
            changes["ip_address"] = beat.ip_address
        self._told(message, record, beat.session, changes)

    def _announced(self, message: Announced, record: Record) -> None:
        said = message.announcement
        if said.supervision is not None and not message.delivery.retain:
            self._supervised(msgspec.json.encode(said.supervision), record)
        self._told(message, record, said.session, announced_facts(said, record.snapshot))

    def _measured(self, message: Measured, record: Record) -> None:
        self._told(message, record, None, {}, data=True)
        names = message.names
        known = record.sensors
        if known is None or not names <= known:
            self._new_sensors(message, record, known or frozenset())
        reading = message.reading
        analyser = self._world.analysts.of(reading.channel, record.snapshot.kind, names)
        if analyser is not None:
            site = record.snapshot.site
            reading = self._world.analysts.analyse(analyser, reading, message.measures, record.baseline, site)
        self._world.outgoing.add(reading)

    def _scanned(self, message: Scanned, record: Record) -> None:
        self._told(message, record, None, {}, data=True)
        self._world.outgoing.add(message.scan)

    def _for_service(self, message: Told, record: Record) -> None:
        self._told(message, record, None, {}, data=True)
        self._world.directory.tell(message.service, message)

    def _farewell(self, message: Farewell, record: Record) -> None:
        if message.delivery.retain:
            return  # old news: whoever published it may have come back since
        snapshot = record.snapshot
        transition = on_farewell(
            snapshot.presence, reason_of(message), session=message.session, last_session=snapshot.session
        )
        if transition is not None:
            self._change(record, transition, message.delivery.rx_us, {})

    def _told(
        self,
        message: Beaten | Announced | Measured | Scanned | Told,
        record: Record,
        session: str | None,
        changes: dict[str, Any],
        *,
        data: bool = False,
    ) -> None:
        """Take a message's facts and, if it is live, its evidence of life."""
        delivery = message.delivery
        if delivery.retain:
            return
        snapshot = record.snapshot
        address = message.address
        if not snapshot.first_seen_us:
            changes.update(first_words(address, snapshot, delivery.rx_us))
        elif address.family in MOVING and (
            address.site != snapshot.site
            or (address.device_id or snapshot.device_id) != snapshot.device_id
            or (address.type or snapshot.type) != snapshot.type
        ):
            changes.update(moved(address, snapshot))
        if session and session != snapshot.session:
            changes["session"] = session
        # What a link tells again after a subscriber's crash is no new evidence.
        if delivery.live and (delivery.rx_at, delivery.rx_us) > (record.heard_at, record.heard_us):
            self._alive(record, message, changes, data=data)
        elif changes:
            self._publish(record, changes, delivery.rx_us)

    def _alive(
        self,
        record: Record,
        message: Beaten | Announced | Measured | Scanned | Told,
        changes: dict[str, Any],
        *,
        data: bool,
    ) -> None:
        """Take a live message as evidence that the device is there."""
        fleet = self._world.fleet
        snapshot = record.snapshot
        delivery = message.delivery
        broker = broker_of(delivery.link)
        never_heard = record.heard_at < 0
        record.heard_at = max(record.heard_at, delivery.rx_at)
        record.heard_us = max(record.heard_us, delivery.rx_us)
        data_only = data and (never_heard or record.data_only)
        if broker != snapshot.broker:
            changes["broker"] = broker
        if broker != snapshot.broker or data_only != record.data_only:
            fleet.update(record, msgspec.structs.replace(snapshot, broker=broker), data_only=data_only)
        sight = fleet.sight(record)
        is_first = record.heard_epoch != sight.epoch and delivery.rx_at >= sight.sight_since_at
        if is_first:
            fleet.heard(record, sight.epoch)
        transition = on_life(snapshot.presence, reason_of(message)) if snapshot.presence == "offline" else None
        if transition is not None:
            self._change(record, transition, delivery.rx_us, changes)
        elif changes:
            self._publish(record, changes, delivery.rx_us)
        elif is_first:
            self._show(record, facts=False)
        if delivery.rx_us - record.stored_seen_us > SEEN_EVERY_US:
            self._seen(record)
        if self._due_at == NOT_DUE:
            self._arm(self._deadline(record))

    # Silence

    def _due(self, _message: Due, record: Record) -> None:
        """Judge a silence: only of a device believed online, only as far as we could hear, only once all is handled."""
        now = self._world.runtime.clock.monotonic()
        if now < self._due_at:
            return  # a nearer deadline has taken the place of this one
        self._due_at = NOT_DUE
        if record.snapshot.presence == "offline":
            return
        fleet = self._world.fleet
        deadline = self._deadline(record)
        if fleet.sight(record).blind:
            self._arm(now + fleet.offline_after(record.snapshot))
        elif now < deadline:
            self._arm(deadline)
        elif not self._everything_handled(record, deadline):
            # The longer it has waited, the longer until the next look.
            self._arm(now + min(max(SECOND_LOOK, (now - deadline) / 2), LONGEST_LOOK) - VERDICT_GRACE)
        elif self.actor_inbox.depth():
            self._due_at = now
            self.actor_ref.tell(DUE)  # behind what has just been found to wait in the mailbox
        else:
            clock_us = int(self._world.runtime.clock.time() * 1_000_000)
            self._change(record, Transition("offline", "timeout"), clock_us, {})

    def _everything_handled(self, record: Record, deadline: float) -> bool:
        subscribers = SUBSCRIBERS_OF[record.snapshot.family]
        sights = self._world.fleet.broker_sight(record)
        return sights.has_handled(subscribers, deadline, data_only=record.data_only)

    def _deadline(self, record: Record) -> float:
        fleet = self._world.fleet
        return deadline_at(record.heard_at, fleet.sight(record).sight_since_at, fleet.offline_after(record.snapshot))

    def _arm(self, when: float) -> None:
        """Have the silence judged after `when`, unless it will be judged before anyway."""
        due_at = when + VERDICT_GRACE
        if due_at < self._due_at:
            self._due_at = due_at
            self._world.runtime.timers.at(due_at, self.actor_ref, DUE)

    # What changes, and who learns of it

    def _changed(self, message: Changed, record: Record) -> None:
        now_us = int(self._world.runtime.clock.time() * 1_000_000)
        changes = dict(message.changes)
        if message.labels:
            try:
                changes["labels"] = merge_labels(record.snapshot.labels, message.labels)
            except TooManyLabelsError as error:
                if message.reply_to is not None:
                    message.reply_to.set_exception((TooManyLabelsError, error, None))
                return
        self._publish(record, changes, now_us)
        if message.reply_to is not None:
            message.reply_to.set(None)

    def _change(self, record: Record, transition: Transition, at_us: int, changes: dict[str, Any]) -> None:
        """Carry out a transition: stored at once, one event."""
        world = self._world
        snapshot = msgspec.structs.replace(
            record.snapshot, **changes, presence=transition.presence, reason=transition.reason, since_us=at_us
        )
        world.fleet.update(record, snapshot)
        record.transitions_at = note_transition(record.transitions_at, world.runtime.clock.monotonic())
        if changes:
            world.outgoing.add(StoreDevice(snapshot))
        world.outgoing.add(StorePresence(self._serial, transition.presence, transition.reason, at_us))
        self._seen(record)
        self._show(record, facts=bool(changes))

    def _publish(self, record: Record, changes: dict[str, Any], at_us: int) -> None:
        """Publish new facts; figures that change all the time are stored from time to time only."""
        snapshot = msgspec.structs.replace(record.snapshot, **changes)
        if snapshot == record.snapshot and "broker" not in changes:  # which the fleet knows already
            return
        self._world.fleet.update(record, snapshot)
        if snapshot.presence == "online":
            self._arm(self._deadline(record))  # another type, site or setting may have made it nearer
        if changes.keys() != {"system_info"} or at_us - record.stored_info_us > INFO_EVERY_US:
            record.stored_info_us = at_us
            self._world.outgoing.add(StoreDevice(snapshot))
        self._show(record, facts=True)

    def _seen(self, record: Record) -> None:
        if record.heard_us > record.stored_seen_us:
            record.stored_seen_us = record.heard_us
            self._world.outgoing.touch(self._serial, record.heard_us)

    def _new_sensors(self, message: Measured, record: Record, known: frozenset[str]) -> None:
        new = message.names - known
        if len(known) + len(new) > MOST_SENSORS:
            new = frozenset(sorted(new)[: MOST_SENSORS - len(known)])
        # Devices of one make send the same names: one set serves them all.
        record.sensors = self._world.fleet.shared(known | new)
        if new:
            self._world.outgoing.add(StoreSensors(self._serial, sorted(new), message.delivery.rx_us))

    def _supervised(self, tree: bytes, record: Record) -> None:
        """Keep what an edge tells of its own actors."""
        if tree != record.supervision:
            record.supervision = tree
            self._show(record, facts=True)

    def _show(self, record: Record, *, facts: bool) -> None:
        self._world.live.changed(record.snapshot.serial, facts=facts)
        self._world.outgoing.ask()


def request_announcement(directory: Directory, broker: str, serial: str) -> None:
    """Ask one device, of which only a heartbeat is known, to announce itself."""
    payload = msgspec.json.encode({"request": "announce", "device_id": serial})
    directory.tell(f"{broker}.control", Publish("server/requests", payload))


_HANDLERS: Mapping[type, Any] = {
    Beaten: DeviceActor._beaten,  # noqa: SLF001 - a table of this class's own methods
    Announced: DeviceActor._announced,  # noqa: SLF001
    Measured: DeviceActor._measured,  # noqa: SLF001
    Scanned: DeviceActor._scanned,  # noqa: SLF001
    Told: DeviceActor._for_service,  # noqa: SLF001
    Farewell: DeviceActor._farewell,  # noqa: SLF001
    Changed: DeviceActor._changed,  # noqa: SLF001
    Due: DeviceActor._due,  # noqa: SLF001
}
