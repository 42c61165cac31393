"""Links under test: real links, real sockets, and recorders in place of the subscribers and the registry."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from actors.link.control import ControlLink
from actors.link.data import DataLink
from actors.link.intake import Route
from actors.link.messages import PauseOrResume
from actors.link.options import parse_broker_url
from actors.link.status import LinkBoard
from actors.messages import Deliveries, Settled, WriteBatch
from actors.runtime import Directory, Runtime
from actors.sight import Sight
from tests.support.wait import eventually


class Recorder:
    """A ref that keeps what it is told."""

    def __init__(self):
        self.told = []
        self.actor_stopped = threading.Event()
        self.actor_inbox = self

    def put(self, envelope):
        self.told.append(envelope.message)

    def tell(self, message):
        self.told.append(message)

    @property
    def items(self):
        """All deliveries told, in order."""
        return [item for message in list(self.told) if isinstance(message, Deliveries) for item in message.items]

    @property
    def payloads(self):
        return [item.payload for item in self.items]

    @property
    def dead_letters(self):
        return [item for message in list(self.told) if isinstance(message, WriteBatch) for item in message.items]


class SightLog(Sight):
    """The real thing, which also records its blinks."""

    def __init__(self):
        super().__init__("local", 0.0)
        self.changes = []
        self.on_change = lambda sight: self.changes.append("lost" if sight.blind else "regained")


class Rig:
    """One link with its surroundings; `start` may be called again for a new incarnation."""

    def __init__(self, url: str, directory: Path, *, kind: str, instance: str = "test", filters=None, **settings):
        self.runtime = Runtime.system()
        self.directory = Directory()
        self.subscriber, self.registry = Recorder(), Recorder()
        self.directory.publish("sub", self.subscriber)
        self.directory.publish("registry", self.registry)
        self.sight = SightLog()
        self.name = f"local.{kind}"
        self.board = LinkBoard.of(self.name)
        self.greetings = []
        self.kind = kind
        self.control_class = ControlLink
        self.client_id = f"muster-{instance}-{kind}"
        self.options = replace(parse_broker_url(url), keepalive=15)
        self.filters_file = directory / f"{instance}-{kind}.json"
        self.filters = filters or ("t/#",)
        self.settings = settings
        self.ref = None
        self.actor = None

    def build(self):
        common = {
            "name": self.name,
            "client_id": self.client_id,
            "options": self.options,
            "routes": [Route(tuple(self.filters), "sub")],
            "directory": self.directory,
            "clock": self.runtime.clock,
            "sight": self.sight,
            "board": self.board,
        }
        if self.kind == "data":
            return DataLink(filters_file=self.filters_file, **common, **self.settings)
        return self.control_class(
            will=lambda: ("server/discovery", b"offline", 1, True),
            greet=self.greet,
            farewell=self.say_goodbye,
            figures=True,
            **common,
            **self.settings,
        )

    def greet(self, first):
        self.greetings.append(first)
        return [("server/discovery", b"online", 1, True)]

    def say_goodbye(self):
        return [("server/discovery", b"goodbye", 1, True)]

    def start(self, *, monitor=None):
        self.actor = self.build()
        self.ref = self.runtime.launch(self.actor, monitor=monitor, child_id=self.name)
        return self

    @property
    def state(self):
        return self.board.status.state.value

    @property
    def counters(self):
        return self.board.counters

    def until(self, state: str, timeout: float = 10.0):
        eventually(lambda: self.state == state, timeout, f"state {state} (is {self.board.status})")
        return self

    def until_live(self):
        """Wait for the marker."""
        self.until("subscribed")
        eventually(lambda: self.actor._live, what="the marker's return")
        return self

    def wait_items(self, count: int, timeout: float = 10.0):
        eventually(lambda: len(self.subscriber.items) >= count, timeout, f"{count} deliveries")
        return self.subscriber.items

    def settle(self, items):
        self.ref.tell(Settled([item.token for item in items]))

    def pause(self, paused=True):
        self.board.paused = paused
        self.ref.tell(PauseOrResume())

    def resume(self):
        self.pause(False)

    def stop(self):
        if self.ref is not None:
            self.runtime.shutdown(self.ref)
            eventually(lambda: self.actor.actor_inbox.closed, what="the end of the link")


@contextlib.contextmanager
def running(rig: Rig) -> Iterator[Rig]:
    rig.start()
    try:
        yield rig
    finally:
        rig.stop()
