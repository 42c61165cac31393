"""What the live page is told of links, tree and dead letters."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from actors.dead_letters import DeadLetterDesk
from actors.events import EventRing
from actors.link.status import LinkBoard, LinkState
from actors.messages import StoreDeadLetter
from actors.runtime import Directory, PooledActor, Runtime
from actors.storage.result import CommitResult
from actors.writes import Outgoing
from supervisor import BackoffPolicy, ChildSpec, DynamicSupervisor, Intensity, Supervisor
from supervisor.messages import ResumeChild
from supervisor.server.watcher import LETTERS_PER_LOOK, LOOK_EVERY, LetterBox, Watcher


class Worker(PooledActor):
    def on_receive(self, message):
        raise ValueError(message)


class Server:
    """A small tree with a watcher in it, in virtual time."""

    def __init__(self):
        self.runtime = Runtime.manual()
        self.ring = EventRing()
        self.letters = LetterBox()
        self.directory = Directory()
        self.desk = DeadLetterDesk(self.runtime.clock, Outgoing(self.directory), self.directory)
        self.boards = {name: LinkBoard.of(name) for name in ("local.control", "local.data")}
        self.fleet = DynamicSupervisor(
            template=ChildSpec("device", lambda _serial: Worker()),
            per_child=True,
            intensity=Intensity(restarts=2, within=60.0),
            **self._settings(),
        )
        self.tree = Supervisor(
            name="server",
            children=(
                ChildSpec("worker", Worker),
                ChildSpec("watcher", self._watcher),
                ChildSpec("devices", lambda: self.fleet),
            ),
            **self._settings(),
        )
        self.ref = self.runtime.launch(self.tree)
        self.runtime.run()
        self.seq = 0
        self.look()

    def _settings(self):
        backoff = BackoffPolicy(base=1.0, cap=1.0)
        return {"runtime": self.runtime, "backoff": backoff, "directory": self.directory, "rng": lambda: 0.999}

    def _watcher(self):
        return Watcher(
            runtime=self.runtime,
            root=self.ref if hasattr(self, "ref") else self.tree.actor_ref,
            links=self.boards,
            desk=self.desk,
            letters=self.letters,
            ring=self.ring,
        )

    def look(self):
        """Let the watcher look once more; what it has told since the last time."""
        self.runtime.advance(LOOK_EVERY)
        batch = self.ring.since(self.seq)
        self.seq = batch.seq
        return [(event.kind, event.key, json.loads(event.frame.split(b"data: ")[1])) for event in batch.events]

    def add_devices(self, *serials):
        for serial in serials:
            self.fleet.adopt(serial)
        self.runtime.run()

    def crash(self, name):
        self.directory.tell(name, "boom")
        self.runtime.run()


@pytest.fixture
def server():
    return Server()


def test_while_nothing_happens_nothing_is_told(server):
    assert [server.look() for _ in range(8)] == [[]] * 8


def test_a_link_is_told_when_its_state_changes_and_only_that_link(server):
    board = server.boards["local.data"]
    board.status = replace(board.status, state=LinkState.SUBSCRIBED)
    assert server.look() == [("link", "local.data", {"name": "local.data", "state": "subscribed"})]
    board.status = replace(board.status, unresolved=5)
    assert server.look() == []
    board.status = replace(board.status, state=LinkState.BACKING_OFF, last_error="refused")
    assert [data["state"] for _, _, data in server.look()] == ["backing_off"]


def test_a_crash_and_its_healing_are_told_with_the_exception(server):
    server.crash("worker")
    told = {key: data for _, key, data in server.look()}
    assert told["server/worker"] == {
        "path": "server/worker",
        "state": "backing_off",
        "restarts": 1,
        "error": "ValueError: boom",
    }
    told = [data for _ in range(12) for _, key, data in server.look() if key == "server/worker"]
    # What crashed it comes once more to the next incarnation.
    assert [(data["state"], data["restarts"]) for data in told] == [("backing_off", 2), ("running", 2)]
    assert server.look() == []


def test_a_device_that_is_discovered_is_no_news_of_the_tree(server):
    server.add_devices("a", "b", "c")
    assert server.look() == []


def test_a_device_that_ends_quarantined_is_told_and_so_is_its_return(server):
    server.add_devices("a", "b")
    for _ in range(3):
        server.crash("a")
        server.runtime.advance(1.5)
    told = server.look()
    last = [data for _, key, data in told if key == "server/devices/a"][-1]
    assert (last["state"], last["error"]) == ("quarantined", "ValueError: boom")
    assert not [key for _, key, _ in told if key == "server/devices/b"]
    assert {event.serial for event in server.ring.since(0).events if event.key == "server/devices/a"} == {"a"}
    server.fleet.actor_ref.tell(ResumeChild(child_id="a"))
    assert [data["state"] for _, key, data in server.look() if key == "server/devices/a"] == ["running"]


def test_when_a_parked_device_is_removed_its_supervisor_is_told(server):
    server.add_devices("a")
    for _ in range(3):
        server.crash("a")
        server.runtime.advance(1.5)
    server.look()
    server.fleet.drop("a")
    server.runtime.run()
    assert {key for _, key, _ in server.look()} == {"server/devices"}


def letters(count, topic="devices/heartbeat"):
    return CommitResult(dead=[StoreDeadLetter("not_json", "", "", topic, b"", 1, f"s{n}") for n in range(count)])


def test_a_dead_letter_is_told_with_its_reason_topic_and_serial(server):
    server.letters.put(letters(1))
    body = {"reason": "not_json", "topic": "devices/heartbeat", "serial": "s0", "count": 1}
    assert server.look() == [("dead_letter", "", body)]
    assert server.look() == []


def test_a_flood_of_dead_letters_is_told_in_a_few_events_that_count_all_of_them(server):
    for _ in range(10):
        server.letters.put(letters(100))
    told = server.look()
    assert len(told) == LETTERS_PER_LOOK + 1
    assert sum(data["count"] for _, _, data in told) == 1000
    assert [data["serial"] for _, _, data in told] == ["s95", "s96", "s97", "s98", "s99", ""]
    server.letters.put(letters(2))
    assert [data["count"] for _, _, data in server.look()] == [1, 1]


def test_a_topic_of_any_length_is_told_in_a_short_event(server):
    server.letters.put(letters(1, topic="x" * 60_000))
    assert len(server.look()[0][2]["topic"]) == 200


def test_what_went_beyond_a_senders_quota_is_counted(server):
    server.desk.by_reason["quota"] += 7
    (told,) = server.look()
    assert (told[2]["reason"], told[2]["count"]) == ("quota", 7)
    assert server.look() == []


def test_a_watcher_that_was_restarted_goes_on_at_the_same_pace(server):
    server.runtime.kill(server.directory.get("watcher"))
    server.runtime.run()
    server.runtime.advance(2.0)
    server.look()
    assert server.look() == []
    looks = len(server.runtime.timers)
    server.runtime.advance(1.0)
    assert len(server.runtime.timers) == looks
    server.crash("worker")
    assert [key for _, key, _ in server.look()].count("server/worker") == 1


def test_a_message_that_means_nothing_is_ignored(server, caplog):
    server.directory.tell("watcher", "hello")
    assert server.look() == []
    assert "unexpected message" in caplog.text
