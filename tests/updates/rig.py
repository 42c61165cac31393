"""The rollouts' actor over a real registry, with a clock that stands still."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager, suppress
from types import SimpleNamespace

from pykka import ActorDeadError

from actors.reader import ReaderActor, Readers
from actors.registry import RegistryActor, RegistryBoard
from actors.runtime import Directory, ManualClock, Runtime
from actors.storage.errors import StoreUnavailable
from actors.storage.queries import FindEvents
from actors.storage.updates import FindRollout, FindRolloutDevices, FindRollouts
from actors.updates.actor import Desk, UpdatesActor
from actors.updates.book import UpdatesBoard
from actors.updates.messages import (
    UPDATES,
    Command,
    Offer,
    Origin,
    PutWindows,
    ReleaseFacts,
    Report,
    Retry,
    Start,
)
from actors.updates.plan import Plan, Wave
from supervisor.release.versions import compare
from tests.support.wait import eventually

BY = Origin("operate ops", "10.0.0.7")
ALL = (Wave(share=1.0, success=0.5, wait=0.0),)
CANARY = (Wave(share=0.1, success=1.0, wait=100.0), Wave(share=1.0, success=0.9, wait=0.0))


class FakeReleases:
    """A few releases in memory."""

    def __init__(self):
        self.known = {}
        self.add("2.0")

    def add(self, version, **facts):
        self.known[version] = ReleaseFacts(f"id-{version}", version, **facts)

    def revoke(self, version):
        self.add(version, revoked=True)

    def find(self, version):
        return self.known.get(version)

    def facts(self, release_id):
        return self.known.get(release_id.removeprefix("id-"))


class Timers:
    """Writes down what is to be told, and in how many seconds; `fire` tells what is due."""

    def __init__(self, clock):
        self._clock = clock
        self._pending = []
        self.set = []

    def after(self, seconds, ref, message):
        self.set.append((seconds, message))
        self._pending.append((self._clock.monotonic() + seconds, ref, message))

    def fire(self):
        now = self._clock.monotonic()
        due = [each for each in self._pending if each[0] <= now]
        self._pending = [each for each in self._pending if each[0] > now]
        for _, ref, message in due:
            with suppress(ActorDeadError):
                ref.tell(message)


class Rig:
    """What a test does to the actor, and what it sees."""

    def __init__(self, url, runtime, releases=None):
        self.url, self.runtime = url, runtime
        self.clock = ManualClock()
        self.timers = Timers(self.clock)
        self.services, self.releases = Directory(), releases or FakeReleases()
        self.board = UpdatesBoard({})
        self.sites = {}
        self.gone = set()
        """Devices that are offline for a while."""
        self.there = set()
        """Devices that can be called."""
        self.shown = []
        self.away = 0
        """So many asks of the database fail, before anything is done."""
        self.answer_lost = 0
        """So many asks are carried out, and their answer is lost."""
        self.refs = []
        registry_board = RegistryBoard()
        self.launch("registry", RegistryActor(url, self.services, runtime, board=registry_board))
        self.launch("reader.0", ReaderActor(url))
        self.readers = Readers(self.services, ["reader.0"])
        eventually(lambda: registry_board.status.since, what="the database is open")

    def launch(self, name, actor):
        ref = self.runtime.launch(actor)
        self.refs.append(ref)
        self.services.publish(name, ref)
        return ref

    def start_actor(self):
        """Start the actor, or another one after it."""
        desk = Desk(
            runtime=SimpleNamespace(clock=self.clock, timers=self.timers),
            services=self.services,
            board=self.board,
            releases=self.releases,
            ask=lambda message: self.ask_registry(message),  # noqa: PLW0108 - a test may replace it
            site_of=lambda serial: self.sites.get(serial, ""),
            takes_calls=self.there.__contains__,
            is_gone=self.gone.__contains__,
            compare=compare,
            show=self.shown.append,
        )
        self.ref = self.launch(UPDATES, UpdatesActor(desk))
        eventually(self._is_up, what="the rollouts are read")
        return self

    def _is_up(self):
        with suppress(StoreUnavailable):
            return self.offer("nobody")

    def restart(self):
        """Kill the actor as a crash does, and start the next one."""
        self.runtime.kill(self.ref)
        eventually(lambda: not self.ref.is_alive(), what="the actor is dead")
        self.start_actor()

    def restart_with(self, ask):
        """Start anew with another way to the writer, until `ask_registry` is deleted or set again."""
        self.ask_registry = ask
        self.restart()

    def ask_registry(self, message):
        if self.away:
            self.away -= 1
            raise StoreUnavailable("away")
        answer = self.services.get("registry").ask(message, timeout=10)
        if self.answer_lost:
            self.answer_lost -= 1
            raise StoreUnavailable("the answer is lost")
        return answer

    def ask(self, message):
        return self.ref.ask(message, timeout=10)

    # What is asked

    def start(self, *serials, release="2.0", waves=ALL, share=1.0, windows=(), **plan):
        self.clock.advance(0.001)  # ids are made of the time
        plan = Plan(**({"waves": waves, "failures": 1.0, "call": False} | plan))
        return self.ask(
            Start(
                release=release,
                serials=serials,
                target="all devices",
                share=share,
                plan=plan,
                windows=windows,
                origin=BY,
            )
        )

    def offer(self, serial, version="1.0", **fields):
        return self.ask(Offer(serial, version, **fields))

    def report(self, serial, state, version="2.0", **fields):
        return self.ask(Report(serial, state, version, **fields))

    def command(self, rollout, order):
        return self.ask(Command(rollout.id, order, BY))

    def retry(self, rollout, *serials):
        return self.ask(Retry(rollout.id, serials or None, BY))

    def put_windows(self, site, *windows):
        return self.ask(PutWindows(site, windows, BY))

    def pass_time(self, seconds):
        """Let time pass, and the timers come whose time it is."""
        self.offer("nobody")  # all that was told before is done, its timers are set
        self.clock.advance(seconds)
        self.timers.fire()

    # What is seen

    def header(self, rollout):
        return self.readers.ask(FindRollout(rollout.id))

    def headers(self):
        return self.readers.ask(FindRollouts()).items

    def devices(self, rollout):
        rows = self.readers.ask(FindRolloutDevices(rollout_id=rollout.id, limit=1000)).items
        return {row["serial"]: row for row in rows}

    def states(self, rollout):
        return {serial: row["state"] for serial, row in self.devices(rollout).items()}

    def counts(self, rollout):
        return Counter(self.states(rollout).values())

    def wait_status(self, rollout, status):
        def seen():
            header = self.header(rollout)
            return header if header.status == status else None

        return eventually(seen, what=f"the rollout is {status}")

    def records(self, serial=""):
        items = self.readers.ask(FindEvents(serial=serial)).items
        return [item["data"] for item in reversed(items) if item["kind"] == "rollout"]


@contextmanager
def running(url):
    """A rig whose actor runs."""
    runtime = Runtime.system()
    runtime.start()
    rig = Rig(url, runtime)
    try:
        yield rig.start_actor()
    finally:
        for ref in reversed(rig.refs):
            if ref.is_alive():
                ref.stop(timeout=5)
        runtime.stop()
