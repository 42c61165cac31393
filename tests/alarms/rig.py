"""The alarms' desk on a real database, in virtual time."""

from __future__ import annotations

import msgspec

from actors.alarms.desk import AlarmDesk
from actors.alarms.messages import Told
from actors.alarms.post import Post
from actors.alarms.rules import Rule
from actors.alarms.settings import AlarmSettings, Channel
from actors.alarms.tap import AlarmTap
from actors.alarms.watching import Figure
from actors.fleet import Fleet
from actors.messages import DeviceSnapshot, StoreReading
from actors.presence import OfflineAfter
from actors.runtime import ManualClock
from actors.sight import BrokerSight
from actors.storage.alarms import FindAlarms
from actors.storage.database import open_database
from actors.storage.errors import StoreUnavailable
from actors.storage.models import AlarmNotice
from actors.storage.queries import FindEvents
from actors.storage.store import Store

OPS = {"ops": Channel(webhook="http://127.0.0.1:1/hook")}


class Rig:
    """A fleet, a database, and one process after the other that looks at them."""

    def __init__(self, url, *rules, channels=OPS, defaults=False):
        self.clock = ManualClock()
        self.store = Store(open_database(url))
        self.store.open()
        sights = {"local": BrokerSight("local", self.clock.monotonic())}
        sights["local"].control.regained(self.clock.monotonic())
        self.fleet = Fleet(self.clock, sights, OfflineAfter())
        self.settings = AlarmSettings(defaults=defaults, rules=rules, channels=channels)
        self.figures = {}
        self.groups = {}
        self.is_database_away = False
        self.start()

    def start(self):
        """Begin a new process on the same database."""
        self.sent, self.shown = [], []
        self.tap = AlarmTap()
        self.desk = AlarmDesk(
            settings=self.settings,
            fleet=self.fleet,
            tap=self.tap,
            clock=self.clock,
            ask=self.ask,
            figures=lambda: [Figure(kind, f"{kind}:x", "x", value) for kind, value in self.figures.items()],
            in_group=lambda name, device: device.serial in self.groups.get(name, ()),
            post=Post(self.sent.append, self.tap.counts, self.settings.channels),
            on_change=self.shown.append,
        )
        self.desk.load()

    def ask(self, message):
        if self.is_database_away:
            raise StoreUnavailable("away")
        return self.store.run(message.work)

    # The fleet

    def device(self, serial, *, kind="sensor", site="harbour", presence="online", **fields):
        now_us = self.now_us
        snapshot = DeviceSnapshot(
            serial=serial,
            kind=kind,
            family="site",
            site=site,
            presence=presence,
            since_us=now_us,
            first_seen_us=now_us,
            last_seen_us=now_us,
            broker="local",
            **fields,
        )
        self.fleet.add(snapshot)
        self.tap.changed(serial, presence)

    def site(self, name, devices, gateways=1):
        """A site with gateways and what is behind them; the serials."""
        serials = [f"{name}-gw-{number}" for number in range(gateways)]
        for serial in serials:
            self.device(serial, kind="gateway", site=name)
        for number in range(devices):
            self.device(f"{name}-{number}", site=name)
            serials.append(f"{name}-{number}")
        return serials

    def turn(self, presence, *serials):
        for serial in serials:
            record = self.fleet.record(serial)
            changed = msgspec.structs.replace(record.snapshot, presence=presence, since_us=self.now_us)
            self.fleet.update(record, changed)
            self.tap.changed(serial, presence)

    def dark(self, *serials):
        self.turn("offline", *serials)

    def back(self, *serials):
        self.turn("online", *serials)

    def reads(self, serial, anomalies="", **measures):
        """A reading is stored, and looked at."""
        self.measure(serial, anomalies, **measures)
        self.desk.look()

    def measure(self, serial, anomalies="", **measures):
        reading = StoreReading(
            serial=serial,
            channel="data",
            ts_us=self.now_us,
            digest=b"\0" * 16,
            rx_us=self.now_us,
            clock="",
            source="mqtt",
            measures=msgspec.json.encode(measures).decode(),
            health_index=50.0,
            anomalies=anomalies,
        )
        self.tap.put([reading])

    # Time, and what is seen

    @property
    def now_us(self):
        return int(self.clock.time() * 1e6)

    def pass_time(self, seconds, steps=4):
        for _ in range(steps):
            self.clock.advance(seconds / steps)
            self.desk.look()

    def alarms(self, state=None):
        """Alarms in the database, oldest first."""
        return list(reversed(self.store.run(FindAlarms(state=state, limit=1000).run).items))

    def open(self):
        return [row["subject"] for row in self.alarms("open")]

    def events(self, serial=None):
        rows = self.store.run(FindEvents(serial=serial, limit=1000).run).items
        return [row["data"] for row in reversed(rows) if row["kind"] == "alarm"]

    def news(self):
        """What was not carried to its end yet, as (event, subject): in the database, and told without it."""
        waiting = AlarmNotice.select(AlarmNotice.event, AlarmNotice.body).where(AlarmNotice.ended_us.is_null())
        rows = self.store.run(lambda database: list(waiting.order_by(AlarmNotice.id).tuples().execute(database)))
        stored = [(event, msgspec.json.decode(body)["subject"]) for event, body in rows]
        return stored + [(notice.event, notice.body["subject"]) for notice in self.sent if notice.id < 0]

    def deliver(self, error="", *, final=False):
        """The couriers carry all that is due, each channel one after the other."""
        carried = []
        while self.sent:
            carried.append(self.sent.pop(0))
            self.desk.told(Told(carried[-1].id, error, final))
        self.desk.look()
        return carried


def offline(**fields):
    return Rule(**{"name": "offline", "kind": "offline_for", "lasts": 60.0} | fields)
