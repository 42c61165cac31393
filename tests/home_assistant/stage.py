"""The bridge with a real database, a link that is played, and time that stands."""

from __future__ import annotations

import json
from types import SimpleNamespace

import msgspec

from actors.fleet import Fleet
from actors.home_assistant.actor import HomeAssistantActor, HomeSurroundings, Tick
from actors.home_assistant.settings import HomeAssistantSettings
from actors.home_assistant.tap import HomeTap
from actors.link.messages import Published
from actors.link.status import LinkBoard, LinkState, LinkStatus
from actors.messages import DeviceSnapshot, StoreReading
from actors.presence import OfflineAfter
from actors.runtime import ManualClock
from actors.sight import BrokerSight
from actors.storage.database import open_database
from actors.storage.home_assistant import FindBridged, Told
from actors.storage.store import Store

LINK, OTHER, SERVER = "local.control", "remote.control", "0123456789ab"
NOON = 1_700_000_000_000_000


class Stage:
    """One actor, called by hand."""

    def __init__(self, url):
        self.store = Store(open_database(url))
        self.store.open()
        self.clock = ManualClock()
        self.boards = {name: LinkBoard.of(name) for name in (LINK, OTHER)}
        sights = {"local": BrokerSight("local", 0.0)}
        self.fleet = Fleet(self.clock, sights, OfflineAfter())
        self.told, self.timers, self.fails = [], [], None
        self.settings = HomeAssistantSettings(enabled=True, interval=0.0, rate=10_000)
        self.tap = HomeTap(enabled=True)
        self.make()

    def make(self, **changes):
        """A new incarnation, perhaps with other settings."""
        if changes:
            self.settings = HomeAssistantSettings(**changes)
        timers = SimpleNamespace(after=lambda seconds, _ref, message: self.timers.append((seconds, message)))
        self.actor = HomeAssistantActor(
            HomeSurroundings(
                runtime=SimpleNamespace(clock=self.clock, timers=timers),
                services=SimpleNamespace(tell=lambda name, message: self.told.append((name, message))),
                settings=self.settings,
                server_id=SERVER,
                link=LINK,
                links=self.boards,
                fleet=self.fleet,
                write=lambda message: self._run(message.work),
                read=lambda query: self._run(query.run),
                tap=self.tap,
                spread=lambda: 3.0,
            )
        )
        self.actor._paced.begin(self.clock)

    def _run(self, work):
        if self.fails is not None:
            raise self.fails
        return self.store.run(work)

    def connect(self, link=LINK, *, up=True):
        board = self.boards[link]
        board.status = LinkStatus(name=link, state=LinkState.SUBSCRIBED if up else LinkState.BACKING_OFF)
        board.counters.connections += up

    def add(self, serial="A1", **fields):
        snapshot = DeviceSnapshot(**{"serial": serial, "kind": "datalogger", "family": "datalogger", **fields})
        self.fleet.add(snapshot)
        self.tap.changed(serial, "offline")

    def read(self, serial="A1", at=0, channel="input", **measures):
        reading = StoreReading(
            serial=serial, channel=channel, ts_us=NOON + at, digest=b"", rx_us=NOON + 10, clock="", source="mqtt",
            measures=json.dumps(measures),
        )  # fmt: skip
        self.tap.put([reading], [])

    def look(self, seconds=1.0, *, answer=0, cause=""):
        """Let time pass, look, and let the broker answer; what was published, by the last parts of its topic."""
        self.clock.advance(seconds)
        self.told.clear()
        self.actor.on_receive(Tick())
        sent = {}
        for link, message in list(self.told):
            assert message.retain
            if message.reply_to and answer is not None:
                self.actor.on_receive(Published(message.token, answer, cause, "why" if cause else ""))
            what = message.topic.split("/")
            key = f"{what[-2]}/config" if what[-1] == "config" else "/".join(what[3:])
            sent[key if link == LINK else f"{link}:{key}"] = message.payload
        return sent

    def rows(self):
        return self.store.run(FindBridged(SERVER, Told("", ""), 100).run)

    def count(self, event):
        return self.tap.counts[event]


def rename(stage, serial, label):
    record = stage.fleet.record(serial)
    record.snapshot = msgspec.structs.replace(record.snapshot, label=label)
    stage.tap.changed(serial, "offline")


def components(payload):
    return set(json.loads(payload)["components"])


def delete(stage, serial="A1"):
    stage.fleet.remove(serial)
    stage.tap.put([], [serial])
