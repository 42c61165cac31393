"""`HomeAssistantActor`: tells Home Assistant of each device, of its measures and its presence, and takes it all back.

A row is written before a document is published, and deleted after the broker has taken the empty one: what was
retained is never forgotten, whatever ends in between. Nothing is sent faster than `rate`, first what is to be taken
back, then documents and availability, then states, of which only the newest values count.
"""

from __future__ import annotations

import logging
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import msgspec
import pykka

from actors.alarms.places import GATEWAY, Places, named_gateway
from actors.fleet import Fleet
from actors.home_assistant.book import Entry
from actors.home_assistant.documents import Topics, describe
from actors.home_assistant.outgoing import Paced
from actors.home_assistant.settings import HomeAssistantSettings
from actors.home_assistant.tap import HomeTap
from actors.home_assistant.withdrawal import Withdrawal
from actors.link.messages import DROPPED, REFUSED, Published
from actors.link.status import LinkBoard
from actors.messages import DeviceSnapshot
from actors.registry import Execute
from actors.runtime import Directory, Runtime, ThreadedActor, ToSelf
from actors.storage.errors import StoreUnavailable
from actors.storage.home_assistant import Bridged, FindBridged, Told, drop_bridged, put_bridged
from actors.timestamps import rfc3339

logger = logging.getLogger(__name__)

NAME: Final = "home_assistant"
"""Of the service."""
TICK: Final = 0.2
"""Seconds between two looks."""
RETRY: Final = 10.0
"""Seconds until what failed is tried again."""
PAGE: Final = 1_000
"""Rows read at a time."""
SPREAD: Final = (1.0, 10.0)
"""Seconds after Home Assistant's start at which everything is told again: not with all others at once."""
NOT_ANSWERED = (StoreUnavailable, pykka.ActorDeadError, pykka.Timeout, TimeoutError)


class Tick(ToSelf, msgspec.Struct, frozen=True):
    """To itself, from a timer: look."""


class TellAgain(msgspec.Struct, frozen=True):
    """To itself, from a timer: Home Assistant has started, tell it everything."""


@dataclass(kw_only=True)
class HomeSurroundings:
    """What the actor needs; it outlives it."""

    runtime: Runtime
    services: Directory
    settings: HomeAssistantSettings
    server_id: str
    """The server's public name."""
    link: str
    """The control link of Home Assistant's broker."""
    links: Mapping[str, LinkBoard]
    """All control links: what is retained at another broker is taken back there."""
    fleet: Fleet
    write: Callable[[Any], Any]
    """Gets the writer's answer to a message."""
    read: Callable[[Any], Any]
    """Gets a reader's answer to a query."""
    tap: HomeTap
    watch_server: bool = True
    """Whether this server says on `server/discovery` that it is there."""
    spread: Callable[[], float] = lambda: random.uniform(*SPREAD)  # noqa: S311 - no secret


class HomeAssistantActor(ThreadedActor):
    """Takes `Tick`, `TellAgain` and `Published`."""

    def __init__(self, around: HomeSurroundings) -> None:
        super().__init__()
        self._around = around
        self._topics = Topics(around.settings.prefix, around.server_id)
        self._entries: dict[str, Entry] = {}
        self._wanted: dict[str, None] = {}
        """Devices whose document or availability may have changed."""
        self._fresh: dict[str, None] = {}
        """Devices with values to tell."""
        self._failed: dict[str, None] = {}
        self._in_flight: dict[int, str] = {}
        self._withdrawal = Withdrawal(self._topics)
        self._places = Places()
        self._gateways: dict[str, str] = {}
        """Serial to site."""
        self._changed_sites: set[str] = set()
        self._named_by: defaultdict[str, set[str]] = defaultdict(set)
        """Serials of those that name a device as their gateway."""
        self._after: Told | None = Told("", "")
        """After which rows are read next; None once all are."""
        self._connections = 0
        self._not_before = 0.0
        self._retry_at = 0.0
        self._paced = Paced(around.services, NAME, around.settings.rate)

    def on_start(self) -> None:
        """Begin: a predecessor's answers mean none of ours."""
        self._paced.begin(self._around.runtime.clock)
        self.actor_ref.tell(Tick())

    def on_receive(self, message: Any) -> None:
        """Look, or take note of an answer."""
        match message:
            case Tick():
                self._tick()
            case TellAgain():
                self._tell_all()
            case Published():
                self._published(message)
            case _:
                logger.warning("%s: unexpected message %s dropped", NAME, type(message).__name__)

    def _tick(self) -> None:
        now = self._around.runtime.clock.monotonic()
        if now >= self._not_before:
            try:
                self._work(now)
            except NOT_ANSWERED as error:
                logger.warning("the bridge to Home Assistant waits for the database: %r", error)
                self._not_before = now + RETRY
        if self._around.settings.enabled or self._after is not None or self._withdrawal:
            self._around.runtime.timers.after(TICK, self.actor_ref, Tick())

    def _work(self, now: float) -> None:
        self._load()
        if self._around.settings.enabled:
            self._listen(now)
        self._paced.refill(now)
        self._retry(now)
        self._withdraw()
        if self._around.settings.enabled and self._is_up():
            self._describe()
            self._show(now)

    # What there is

    def _load(self) -> None:
        """Read what was told before; what nobody has to be told any more is taken back."""
        while self._after is not None:
            rows: list[Bridged] = self._around.read(FindBridged(self._around.server_id, self._after, PAGE))
            for row in rows:
                self._know(row)
            self._after = rows[-1].told if len(rows) == PAGE else None
            if self._after is None:
                for record in self._around.fleet:
                    self._learn(record.snapshot)

    def _know(self, row: Bridged) -> None:
        around = self._around
        is_current = row.told == self._told(row.serial)
        goes_on = around.settings.enabled and row.serial in around.fleet
        if goes_on and (is_current or row.serial not in self._entries):
            now = self._around.runtime.clock.monotonic()
            entry = self._entries[row.serial] = Entry(row.serial, now, row.measures)
            entry.is_stored = is_current
        if not goes_on or not is_current:
            self._withdrawal.begin(row, moves=goes_on and row.link == around.link)

    def _listen(self, now: float) -> None:
        tap = self._around.tap
        for reading in tap.take_readings():
            if reading.serial not in self._around.fleet:
                continue
            entry = self._entry(reading.serial)
            is_newest, too_many = entry.take(reading, now)
            entry.forget_missing(now, self._around.settings.forget_after)
            tap.counts["reading_late"] += not is_newest
            tap.counts["measure_refused"] += too_many
            if not entry.is_stored:
                self._wanted[reading.serial] = None
            if entry.pending:
                self._fresh[reading.serial] = None
        for serial in tap.take_deleted():
            self._end(serial)
        for serial in tap.take_changed():
            self._change(serial)
        self._tell_sites()
        if tap.take_birth():
            self._around.runtime.timers.after(self._around.spread(), self.actor_ref, TellAgain())

    def _entry(self, serial: str) -> Entry:
        entry = self._entries.get(serial)
        if entry is None:
            entry = self._entries[serial] = Entry(serial, self._around.runtime.clock.monotonic())
        return entry

    def _change(self, serial: str) -> None:
        self._wanted[serial] = None
        self._wanted |= dict.fromkeys(self._named_by.get(serial, ()))
        record = self._around.fleet.record(serial)
        if record is not None:
            self._learn(record.snapshot)

    def _learn(self, device: DeviceSnapshot) -> None:
        self._places.learn(device)
        if named := named_gateway(device):
            self._named_by[named].add(device.serial)
        if device.kind == GATEWAY and self._gateways.get(device.serial) != device.site:
            self._changed_sites |= {self._gateways.get(device.serial, ""), device.site}
            self._gateways[device.serial] = device.site

    def _tell_sites(self) -> None:
        """Tell again of whoever is at a site whose gateways have changed: it may be behind another one now."""
        sites, self._changed_sites = self._changed_sites - {""}, set()
        if sites:
            devices = (record.snapshot for record in self._around.fleet)
            self._wanted |= {device.serial: None for device in devices if device.site in sites}

    def _end(self, serial: str) -> None:
        """Take back all of a deleted device; it may have come again since."""
        entry = self._entries.pop(serial, None)
        self._fresh.pop(serial, None)
        self._places.forget(serial)
        self._changed_sites.add(self._gateways.pop(serial, ""))
        if entry is not None:
            self._withdrawal.begin(self._row(entry))
        self._change(serial)

    def _row(self, entry: Entry) -> Bridged:
        return Bridged(*self._told(entry.serial), self._around.server_id, entry.serial, entry.sorted_measures())

    def _told(self, serial: str) -> Told:
        """Return where a device's document is retained."""
        return Told(self._topics.config(serial), self._around.link)

    # When to tell

    def _is_up(self) -> bool:
        """Tell whether the link is there; on a new connection everything is told anew."""
        board = self._around.links[self._around.link]
        if not board.status.connected:
            return False
        if board.counters.connections != self._connections:
            self._connections = board.counters.connections
            self._tell_all()
        return True

    def _tell_all(self) -> None:
        for entry in self._entries.values():
            entry.forget_told()
        devices = sorted((record.snapshot for record in self._around.fleet), key=_gateways_first)
        self._wanted = {device.serial: None for device in devices}

    def _retry(self, now: float) -> None:
        if now >= self._retry_at:
            self._retry_at = now + RETRY
            self._wanted |= self._failed
            self._failed = {}
            self._withdrawal.again()

    # What to tell

    def _withdraw(self) -> None:
        """Publish empty documents, and forget the rows of those that all of the broker has taken."""
        links = self._around.links
        for row in self._withdrawal.unknown(links):
            logger.warning("%s stays at a broker that is not configured any more", row.topic)
        while self._paced.has_room and (step := self._withdrawal.next(links)) is not None:
            token = self._paced.publish(step.row.link, step.topic, b"", qos=1)
            self._withdrawal.sent(token, step)
        if done := self._withdrawal.done():
            self._around.write(Execute(lambda database: drop_bridged(database, done)))
            self._withdrawal.forget(done)
            self._around.tap.counts["cleared"] += len(done)

    def _describe(self) -> None:
        """Tell of devices whose document or availability has changed; rows first."""
        free = (each for each in self._wanted if not self._withdrawal.holds(self._told(each)))
        serials = list(islice(free, (self._paced.room + 1) // 2))
        known = [record.snapshot for record in map(self._around.fleet.record, serials) if record is not None]
        self._store([self._entry(device.serial) for device in known])
        for serial in serials:
            del self._wanted[serial]
        for device in known:
            self._tell_of(device)

    def _store(self, entries: Iterable[Entry]) -> None:
        new = [entry for entry in entries if not entry.is_stored]
        if not new:
            return
        rows = [self._row(entry) for entry in new]
        self._around.write(Execute(lambda database: put_bridged(database, rows)))
        for entry in new:
            entry.is_stored = True

    def _tell_of(self, device: DeviceSnapshot) -> None:
        entry, serial = self._entries[device.serial], device.serial
        heads = self._places.of(device, self._around.fleet.__contains__).heads
        via = heads[0] if len(heads) == 1 and heads[0] != serial else ""
        watch = self._around.watch_server
        if entry.gone:  # Home Assistant has to be told once what there is no more
            config = describe(device, entry.measures, self._topics, via=via, watch_server=watch, gone=entry.gone)
            self._publish(serial, self._topics.config(serial), config, "described")
            entry.gone = {}
        config = describe(device, entry.measures, self._topics, via=via, watch_server=watch)
        if config != entry.config:
            self._publish(serial, self._topics.config(serial), config, "described")
            entry.config = config
        # What was believed last: that this server sees nothing for a while says nothing about the device.
        if device.presence != entry.availability:
            self._publish(serial, self._topics.availability(serial), device.presence.encode(), "availability")
            entry.availability = device.presence

    def _publish(self, serial: str, topic: str, payload: bytes, event: str) -> None:
        token = self._paced.publish(self._around.link, topic, payload, qos=1)
        self._in_flight[token] = serial
        self._around.tap.counts[event] += 1

    def _show(self, now: float) -> None:
        """Tell the newest values of those whose turn it is."""
        due_before = now - self._around.settings.interval
        entries = map(self._entries.__getitem__, self._fresh)
        # Rows and documents come first: what is retained without a row would stay for ever.
        due = (entry for entry in entries if entry.config and entry.is_stored and entry.told_at <= due_before)
        for entry in list(islice(due, self._paced.room)):
            serial = entry.serial
            del self._fresh[serial]
            entry.told_at = now
            for channel, pending in entry.pending.items():
                body = {"timestamp": rfc3339(pending.ts_us), "measures": pending.values}
                topic = self._topics.state(serial, channel)
                self._paced.publish(self._around.link, topic, msgspec.json.encode(body), qos=0)
                self._around.tap.counts["state"] += 1
            entry.pending = {}

    # What became of it

    def _published(self, answer: Published) -> None:
        self._paced.answered(answer.token)
        serial = self._in_flight.pop(answer.token, None)
        is_taken = DROPPED < answer.reason < REFUSED
        is_ours = self._withdrawal.answered(answer.token, is_taken=is_taken) or serial is not None
        if is_taken or not is_ours:
            return
        self._around.tap.counts["publish_failed"] += 1
        why = answer.detail or f"the broker refused it with reason code 0x{answer.reason:02X}"
        logger.warning("Home Assistant was not told of %s: %s", serial or "the end of a device", why)
        if serial is not None and answer.cause != "invalid":  # which it would be again
            self._failed[serial] = None
            if entry := self._entries.get(serial):
                entry.forget_told()


def _gateways_first(device: DeviceSnapshot) -> tuple[bool, str]:
    """Order devices so that Home Assistant knows a gateway before those behind it."""
    return device.kind != GATEWAY, device.serial
