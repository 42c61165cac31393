"""A small server in virtual time: devices, subscribers and their supervisors are real, links and registry write down.

Time moves by `advance`, in the steps in which links report what they have handled, so that a silence is judged exactly
as it is beside a broker.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec

from actors.analysis import SoilAnalyser, SoilSettings
from actors.analysts import Analysts
from actors.dead_letters import DeadLetterDesk
from actors.device import World
from actors.fleet import DeviceView, Fleet, Record
from actors.live import LiveFeed
from actors.messages import (
    Deliveries,
    Delivery,
    DeviceSnapshot,
    StoreDeadLetter,
    StoreDevice,
    StoreEvent,
    StoreLastSeen,
    StorePresence,
    StoreReading,
    StoreSensors,
    Write,
    WriteBatch,
)
from actors.presence import OfflineAfter
from actors.runtime import Directory, PooledActor, Runtime
from actors.sensor_subscriber import SensorSubscriber
from actors.sight import BrokerSight
from actors.statistics import PipelineStatistics
from actors.subscriber import Intake, PiSubscriber, SiteSubscriber
from actors.topics import SENSOR_TAIL
from actors.writes import Batcher, Outgoing
from supervisor import BackoffPolicy, ChildSpec, Intensity, Supervisor
from supervisor.server.devices import DeviceSupervisor
from supervisor.server.tree import bury

WATERMARK = 0.2
"""Seconds between two reports of a link on what it has handled."""
DATA_VERBS = frozenset({"input", "output", "readings", "scans", "responses", "receipts", "reported", "data"})
"""What comes through the data link."""
SUBSCRIBERS = ("subscriber.pi", "subscriber.site", "subscriber.sensor")


class Notebook(PooledActor):
    """Stands for an actor of which only what it is told matters."""

    def __init__(self, told: list[Any]) -> None:
        super().__init__()
        self._told = told

    def on_receive(self, message: Any) -> None:
        self._told.append(message)


class Server:
    """One fleet with its supervisor, both subscribers, and links that are played by the test."""

    def __init__(
        self,
        *known: DeviceSnapshot,
        brokers: tuple[str, ...] = ("local",),
        policy: OfflineAfter | None = None,
        sees: bool = True,
        shared_topics: bool = True,
        seed: int | None = None,
    ) -> None:
        self.runtime = Runtime.manual(seed=seed)
        self.clock = self.runtime.clock
        self.services = Directory()
        self.devices = Directory()
        now = self.clock.monotonic()
        self.sights = {name: BrokerSight(name, now) for name in brokers}
        self.links = {sight.name: sight for pair in self.sights.values() for sight in (pair.control, pair.data)}
        self.fleet = Fleet(self.clock, self.sights, policy or OfflineAfter())
        self.fleet.load(list(known))
        self.outgoing = Outgoing(self.services)
        self.desk = DeadLetterDesk(self.clock, self.outgoing, self.services)
        self.shown: list[tuple[DeviceView, bool]] = []
        self.told: dict[str, list[Any]] = {name: [] for name in ("registry", *self.links)}
        self.resyncs = 0
        """How often every page was told to fetch anew."""
        self.analysts = Analysts([SoilAnalyser(SoilSettings())])
        self.statistics = PipelineStatistics()
        live = LiveFeed(self.fleet, lambda view, facts: self.shown.append((view, facts)), self._resync)
        self.outgoing.on_round_end = live.flush
        self.world = World(self.runtime, self.fleet, self.outgoing, self.services, live, self.analysts)
        self.intake = Intake(self.devices, self.services, self.desk, self.links, shared_topics=shared_topics)
        self.stalled: set[str] = set()
        """Links that read nothing now, and subscribers that are told nothing: their watermarks stand still."""
        self._epoch = 1
        self._packets = 0
        self._rx_us = 0
        if sees:
            self.regain()
        self.tree = self._start()

    def _start(self) -> Supervisor:
        tree = Supervisor(
            runtime=self.runtime,
            name="server",
            intensity=Intensity(restarts=100, within=60.0),
            backoff=BackoffPolicy(base=0.05, cap=5.0),
            directory=self.services,
            on_dead_letter=lambda mail: bury(SimpleNamespace(desk=self.desk), mail),
            rng=lambda: 0.5,
            children=(
                *(ChildSpec(name, lambda told=told: Notebook(told)) for name, told in self.told.items()),
                ChildSpec("batcher", lambda: Batcher(self.outgoing, self.runtime.timers)),
                ChildSpec("devices", self._device_supervisor),
                ChildSpec("subscriber.sensor", self._sensor_subscriber),
                ChildSpec("subscriber.pi", lambda: PiSubscriber("subscriber.pi", self.intake, data_links=self._data())),
                ChildSpec(
                    "subscriber.site", lambda: SiteSubscriber("subscriber.site", self.intake, data_links=self._data())
                ),
            ),
        )
        self.runtime.launch(tree)
        self.run()
        return tree

    def _device_supervisor(self) -> DeviceSupervisor:
        return DeviceSupervisor(world=self.world, desk=self.desk, devices=self.devices, rng=lambda: 0.5)

    def _sensor_subscriber(self) -> SensorSubscriber:
        return SensorSubscriber(
            "subscriber.sensor",
            self.intake,
            analysts=self.analysts,
            statistics=self.statistics,
            data_links=self._data(),
        )

    def serve(self, name: str, told: list[Any]) -> None:
        """Add a service that only writes down what it is told."""
        self.services.publish(name, self.runtime.launch(Notebook(told)))
        self.run()

    def _resync(self) -> None:
        self.resyncs += 1

    def _data(self) -> list[str]:
        return [name for name in self.links if name.endswith(".data")]

    # Time and sight

    def run(self) -> None:
        """Let all actors finish."""
        self.runtime.run()

    def advance(self, seconds: float) -> None:
        """Let time pass; links that see report every 0.2 s what they have handled."""
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            self.runtime.advance(min(WATERMARK, end - self.clock.monotonic()))
            self.report()

    def report(self) -> None:
        """Let every link that sees say that it has handled everything until now."""
        for link, sight in self.links.items():
            if not sight.blind and link not in self.stalled:
                self.tell_subscribers(link, [])
        self.run()

    def tell_subscribers(self, link: str, items: list[Delivery]) -> None:
        batch = Deliveries(link, items, self.clock.monotonic())
        for subscriber in SUBSCRIBERS:
            if subscriber not in self.stalled:
                self.services.tell(subscriber, batch)

    def regain(self, *links: str) -> None:
        for link in links or self.links:
            self.links[link].regained(self.clock.monotonic())

    def lose(self, *links: str) -> None:
        for link in links or self.links:
            self.links[link].lost(self.clock.monotonic())

    # What devices say

    def delivery(
        self,
        topic: str,
        payload: Any,
        *,
        link: str = "",
        live: bool = True,
        retain: bool = False,
        qos: int | None = None,
        dup: bool = False,
    ) -> Delivery:
        """Return a delivery as the link would stamp it; readings come through the data link at QoS 1."""
        data = topic.rpartition("/")[2] in DATA_VERBS
        link = link or ("local.data" if data else "local.control")
        qos = int(data) if qos is None else qos
        self._packets += 1
        self._rx_us = max(self.now_us, self._rx_us + 1)
        body = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
        token = self._epoch << 24 | self._packets if qos else 0
        rx_at = self.clock.monotonic()
        return Delivery(link, token, topic, body, qos, retain, dup, live and not retain, self._rx_us, rx_at)

    def hand(self, *deliveries: Delivery) -> None:
        """Hand deliveries of one link to their subscriber, as one batch, and let all actors finish."""
        subscriber = subscriber_of(deliveries[0].topic)
        batch = Deliveries(deliveries[0].link, list(deliveries), self.clock.monotonic())
        self.services.tell(subscriber, batch)
        self.run()

    def say(self, topic: str, payload: Any, **how: Any) -> Delivery:
        """Let a device publish."""
        delivery = self.delivery(topic, payload, **how)
        self.hand(delivery)
        return delivery

    def beat(self, serial: str = "pi-1", **fields: Any) -> Delivery:
        """Let a Pi beat on the shared topic."""
        return self.say("devices/heartbeat", {"device_id": serial, "status": "online", **fields})

    # What has become of it

    @property
    def now_us(self) -> int:
        return round(self.clock.time() * 1_000_000)

    @property
    def writes(self) -> list[Write]:
        """Everything the registry was told to store, in order."""
        return [write for batch in self.told["registry"] if isinstance(batch, WriteBatch) for write in batch.items]

    def stored(self, kind: type[Any]) -> list[Any]:
        return [write for write in self.writes if isinstance(write, kind)]

    @property
    def dead_letters(self) -> list[StoreDeadLetter]:
        return self.stored(StoreDeadLetter)

    @property
    def readings(self) -> list[StoreReading]:
        return self.stored(StoreReading)

    @property
    def device_writes(self) -> list[DeviceSnapshot]:
        return [write.snapshot for write in self.stored(StoreDevice)]

    @property
    def transitions(self) -> list[tuple[str, str]]:
        """Presence and reason of every transition that was stored."""
        return [(write.presence, write.reason) for write in self.stored(StorePresence)]

    @property
    def seen(self) -> list[tuple[str, int]]:
        return [item for write in self.stored(StoreLastSeen) for item in write.items]

    @property
    def sensors(self) -> list[tuple[str, list[str]]]:
        return [(write.serial, write.names) for write in self.stored(StoreSensors)]

    @property
    def events(self) -> list[tuple[str, str]]:
        return [(write.kind, write.serial) for write in self.stored(StoreEvent)]

    def forget(self) -> None:
        """Forget what was told and shown so far."""
        for told in self.told.values():
            told.clear()
        self.shown.clear()

    def record(self, serial: str = "pi-1") -> Record:
        record = self.fleet.record(serial)
        assert record is not None
        return record

    def presence(self, serial: str = "pi-1") -> str:
        return self.fleet.view(self.record(serial)).presence

    def kill(self, name: str) -> None:
        """End a service or a device without asking it."""
        ref = self.services.get(name) or self.devices.get(name)
        assert ref is not None
        self.runtime.kill(ref)
        self.run()


def subscriber_of(topic: str) -> str:
    """Return who takes a topic, as the routes of the links say."""
    if topic.startswith("devices/"):
        return "subscriber.pi"
    return "subscriber.sensor" if topic.endswith(SENSOR_TAIL) else "subscriber.site"


def known(serial: str = "pi-1", **fields: Any) -> DeviceSnapshot:
    """Return the record of a Pi as the database would give it at start-up."""
    facts: dict[str, Any] = {"kind": "raspberry_pi", "family": "pi", "type": "raspberry_pi", "broker": "local"}
    return DeviceSnapshot(serial=serial, **(facts | fields))
