"""A commander over a real registry, with links that write down and a clock that stands still."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import msgspec

from actors.commands.actor import CommanderActor, Desk, Due
from actors.commands.book import CommandBoard
from actors.commands.messages import COMMANDER, Came, Cancel, Issue
from actors.commands.payloads import decode_response
from actors.dead_letters import DeadLetterDesk
from actors.device_messages import Told
from actors.link.messages import Publish, Published
from actors.messages import Delivery, Settled
from actors.reader import ReaderActor, Readers
from actors.registry import RegistryActor, RegistryBoard
from actors.runtime import Directory, ManualClock, Runtime
from actors.storage.commands import FindCommand
from actors.storage.errors import StoreUnavailable
from actors.storage.queries import FindDeadLetters, FindEvents
from actors.topics import parse_pi
from actors.writes import Outgoing
from tests.support.wait import eventually
from tests.support.world import Notebook

LINK, DATA = "local.control", "local.data"


class Timers:
    """Writes down who wants to be told what, and in how many seconds."""

    def __init__(self):
        self.set = []

    def after(self, seconds, ref, message):
        self.set.append((seconds, ref, message))

    def of(self, kind):
        return [(seconds, message) for seconds, _, message in self.set if isinstance(message, kind)]


class Rig:
    """What a test does to a commander, and what it sees."""

    def __init__(self, url, runtime):
        self.runtime = runtime
        self.clock, self.timers = ManualClock(), Timers()
        self.services, self.board, self.online = Directory(), CommandBoard(), set()
        self.told = {LINK: [], DATA: []}
        self.shown = []
        self.letters = DeadLetterDesk(self.clock, Outgoing(self.services), self.services, quota=3)
        self.away = False
        self.refs = []
        self.registry_board = RegistryBoard()
        self.launch(
            "registry", RegistryActor(url, self.services, runtime, board=self.registry_board, held=(self.board.held,))
        )
        for name, told in self.told.items():
            self.launch(name, Notebook(told))
        self.launch("reader.0", ReaderActor(url))
        self.readers = Readers(self.services, ["reader.0"])
        eventually(lambda: self.registry_board.status.since, what="the database is open")
        self.commander = None

    def launch(self, name, actor):
        ref = self.runtime.launch(actor)
        self.refs.append(ref)
        self.services.publish(name, ref)
        return ref

    def start(self):
        """Start the commander, or another one after it."""
        desk = Desk(
            runtime=SimpleNamespace(clock=self.clock, timers=self.timers),
            services=self.services,
            board=self.board,
            ask=self.ask_registry,
            is_online=self.online.__contains__,
            link_of=lambda _serial: LINK,
            show=self.shown.append,
            admit=self.letters.admit,
        )
        self.commander = self.launch(COMMANDER, CommanderActor(desk))
        return self

    def kill(self):
        self.runtime.kill(self.commander)
        eventually(lambda: not self.commander.is_alive(), what="the commander is dead")

    def ask_registry(self, message):
        if self.away:
            raise StoreUnavailable("away")
        return self.services.get("registry").ask(message, timeout=10)

    # What is asked

    def issue(self, *serials, name="ping", args="{}", timeout=60.0, batch=False):
        order = Issue(
            serials=serials, name=name, args=args, timeout=timeout, by="operate ops", address="10.0.0.7", batch=batch
        )
        return self.commander.ask(order, timeout=10)

    def one(self, serial="pi-1", **how):
        return self.issue(serial, **how).ids[0]

    def cancel(self, command_id):
        return self.commander.ask(Cancel(command_id, "operate ops", "10.0.0.7"), timeout=10)

    def come(self, serial="pi-1"):
        self.online.add(serial)
        self.commander.tell(Came(serial))

    def due(self, command_id):
        self.commander.tell(Due(command_id))

    # What devices and brokers say

    def answer(self, body, serial="pi-1", token=77, payload=None):
        payload = msgspec.json.encode(body) if payload is None else payload
        topic = f"devices/{serial}/responses"
        delivery = Delivery(DATA, token, topic, payload, 1, False, False, True, 5, 1.0)
        response = decode_response(delivery)
        self.commander.tell(Told(serial, parse_pi(topic), delivery, COMMANDER, response))

    def published(self, publication, reason, cause="", detail=""):
        self.commander.tell(Published(publication.token, reason, cause, detail))

    # What is seen

    @property
    def publications(self):
        return [message for message in self.told[LINK] if isinstance(message, Publish) and message.token]

    @property
    def receipts(self):
        sent = [message for message in self.told[LINK] if message.topic.endswith("/receipts")]
        return [(message.topic, msgspec.json.decode(message.payload)["stored"]) for message in sent]

    @property
    def settled(self):
        return [token for message in self.told[DATA] if isinstance(message, Settled) for token in message.tokens]

    def wait_publication(self, number=1):
        return eventually(lambda: self.publications[number - 1 : number], what=f"publication {number}")[0]

    def row(self, command_id):
        return self.readers.ask(FindCommand(command_id))

    def wait_state(self, command_id, state):
        def seen():
            row = self.row(command_id)
            return row if row is not None and row.state == state else None

        return eventually(seen, what=f"the command is {state}")

    def wait_count(self, event, number=1):
        eventually(lambda: self.board.counts[event] == number, what=f"{event} is counted {number} times")

    def records(self, serial):
        page = self.readers.ask(FindEvents(serial=serial))
        return [item["data"] for item in reversed(page.items) if item["kind"] == "command"]

    def dead_letters(self):
        return self.readers.ask(FindDeadLetters()).items


@contextmanager
def running(url):
    """A rig whose commander runs."""
    runtime = Runtime.system()
    runtime.start()
    rig = Rig(url, runtime)
    try:
        yield rig.start()
    finally:
        for ref in reversed(rig.refs):
            if ref.is_alive():
                ref.stop(timeout=5)
        runtime.stop()
