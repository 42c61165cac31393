"""The hub's actor with a real outbox and a hub that is played."""

from __future__ import annotations

import pytest

from actors.outbox import GetStats, Item, ListRefused, Outbox, OutboxBoard, Put
from actors.runtime import Directory, GuardedFuture, Runtime
from edge.hub import HubBoard, HubParts, SettingsTwin
from edge.hub import connection as connection_module
from edge.hub.tree import hub
from tests.support.hub import FakeHub
from tests.support.wait import eventually

DEADLINE = 20.0


class World:
    """One edge, as far as its hub is concerned."""

    def __init__(self, fake, tmp_path):
        self.hub = fake
        self.runtime = Runtime.system()
        self.runtime.start()
        self.directory = Directory()
        self.board = HubBoard()
        self.facts = {"ip_address": "10.0.0.7", "services": {"link": "subscribed"}}
        self.read_facts = lambda: dict(self.facts)
        self.heartbeats = []
        self.clock = "ntp"
        self.connection_string = fake.connection_string
        self.ca_file = str(fake.authority.ca_file)
        self.path = tmp_path / "outbox.db"
        self.actors = {}
        self.number = 0
        self.launch("outbox", self.outbox())

    def outbox(self, *destinations):
        return Outbox(
            self.path,
            self.runtime.clock,
            OutboxBoard(),
            destinations=destinations or ("hub",),
            directory=self.directory,
            notify=("hub",),
        )

    def launch(self, name, actor):
        self.actors[name] = actor
        self.directory.publish(name, self.runtime.launch(actor, child_id=name))

    @property
    def parts(self):
        return HubParts(
            runtime=self.runtime,
            directory=self.directory,
            connection_string=lambda: self.connection_string,
            twin=SettingsTwin(self.read_facts, self.heartbeats.append),
            board=self.board,
            clock=lambda: self.clock,
            ca_file=self.ca_file,
            port=self.hub.port,
        )

    def start(self):
        self.launch("hub", hub(self.parts))
        return self

    def put(self, count=1, body=b'{"code":"4006381333931"}'):
        """Put so many scans; return their ids."""
        ids = []
        for _ in range(count):
            self.number += 1
            item_id = f"id-{self.number:05}"
            future = GuardedFuture()
            item = Item(item_id, "scan", "devices/D-1/scans", body, self.number)
            self.directory.tell("outbox", Put((item,), future))
            future.get(timeout=DEADLINE)
            ids.append(item_id)
        return ids

    @property
    def items(self):
        return self.directory.get("outbox").ask(GetStats(), timeout=DEADLINE).items

    @property
    def refused(self):
        return self.directory.get("outbox").ask(ListRefused(), timeout=DEADLINE)

    @property
    def ids(self):
        return [event.id for event in self.hub.events]

    @property
    def state(self):
        return self.board.status.state.value

    def until(self, state):
        eventually(lambda: self.state == state, DEADLINE, f"state {state}, last {self.board.status}")
        return self

    def until_empty(self):
        eventually(lambda: self.items == 0, DEADLINE, "the outbox is empty")

    def until_reported(self, **wanted):
        eventually(
            lambda: {key: self.hub.reported.get(key) for key in wanted} == wanted, DEADLINE, f"{wanted} is reported"
        )

    def stop_actor(self, name):
        actor = self.actors.pop(name, None)
        if actor is not None:
            self.directory.withdraw(name)
            self.runtime.shutdown(actor.actor_ref)
            eventually(lambda: actor.actor_inbox.closed, DEADLINE, f"the end of {name}")

    def close(self):
        self.stop_actor("hub")
        self.stop_actor("outbox")
        self.runtime.stop()


@pytest.fixture
def fake(tmp_path):
    with FakeHub(tmp_path) as fake:
        yield fake
        assert fake.violations == []


@pytest.fixture
def world(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(connection_module, "BACKOFF_CAP", 0.3)
    world = World(fake, tmp_path)
    yield world
    world.close()
