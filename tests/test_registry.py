from __future__ import annotations

import itertools
import threading
import time
from functools import partial

import pykka
import pytest

from actors.link.messages import Replay
from actors.messages import DeleteDevice, Settled, StoreDeadLetter, StoreEvent, WriteBatch
from actors.registry import Execute, LoadDeadLetter, LoadDevices, MarkReplayed, RegistryActor, RegistryBoard
from actors.runtime import Directory, Exit, ExitReason, Runtime
from actors.storage.errors import ConfigurationError, StoreSevered, StoreUnavailable
from actors.storage.retention import RetentionRules
from actors.storage.store import Store
from actors.storage.tokens import create_token
from tests.storage.build import NOON, Look, device, reading
from tests.support.wait import eventually


class Collector(pykka.ThreadingActor):
    """Keeps what it is told."""

    use_daemon_thread = True

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[object] = []

    def on_receive(self, message):
        self.heard.append(message)


class Listener:
    def __init__(self) -> None:
        self.ref = Collector.start()
        self.heard: list[object] = self.ref._actor_weakref().heard

    def tokens(self) -> list[int]:
        return [token for message in list(self.heard) if isinstance(message, Settled) for token in message.tokens]


class House:
    """A registry with a link and a supervisor that only listen."""

    def __init__(self, url: str, runtime: Runtime, **options) -> None:
        self.url = url
        self.options = options
        self.runtime = runtime
        self.directory = Directory()
        self.board = RegistryBoard()
        self.link = Listener()
        self.monitor = Listener()
        self.results: list[object] = []
        self.effects = [self.results.append]
        self.directory.publish("a.data", self.link.ref)
        self.ref = None

    def start(self, preload=()):
        actor = RegistryActor(
            self.url,
            self.directory,
            self.runtime,
            board=self.board,
            links=["a.data"],
            on_committed=self.effects,
            **self.options,
        )
        self.actor = actor
        self.ref = self.runtime.launch(actor, monitor=self.monitor.ref, child_id="registry", preload=preload)
        return self.ref

    def write(self, *writes):
        self.ref.tell(WriteBatch(list(writes)))

    def exit(self) -> Exit:
        ended = eventually(lambda: [m for m in list(self.monitor.heard) if isinstance(m, Exit)], 10, "the exit")
        return ended[-1]

    def close(self):
        if self.ref is not None and self.ref.is_alive():
            self.ref.stop(timeout=10)
        for listener in (self.link, self.monitor):
            listener.ref.stop(timeout=5)


@pytest.fixture
def runtime():
    running = Runtime.system()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def make_house(runtime):
    houses: list[House] = []

    def make(url: str, **options) -> House:
        houses.append(House(url, runtime, **options))
        return houses[-1]

    yield make
    for house in houses:
        house.close()


@pytest.fixture
def house(make_house, tmp_path):
    made = make_house(f"sqlite:///{tmp_path}/muster.db")
    made.start()
    return made


def test_what_is_committed_is_settled_at_its_link(make_house, database_url):
    house = make_house(database_url)
    house.start()
    house.write(device(), reading(link="a.data", token=65_536 + 7))
    house.write(StoreDeadLetter("not_json", "", "a.data", "t", b"", NOON, token=65_536 + 8))
    eventually(lambda: house.link.tokens() == [65_543, 65_544], 20, "both deliveries are settled")
    with Look(database_url) as look:
        assert look.column("SELECT COUNT(*) FROM reading") == [1]
        assert look.column("SELECT COUNT(*) FROM dead_letter") == [1]
    counters = house.board.counters
    assert (counters.rows, counters.duplicates, counters.dead_letters) == (1, 0, 1)
    assert counters.dead_letters_by_reason == {"not_json": 1}
    assert sum(counters.times.within) == counters.commits
    assert counters.times.seconds > 0


def test_a_starting_registry_lets_the_links_replay(house):
    eventually(lambda: house.link.heard == [Replay()], what="the link is asked to replay")


def test_what_arrives_during_a_commit_goes_into_one_transaction(house):
    gate = threading.Event()
    entered = threading.Event()
    house.effects.append(lambda _: entered.set() or gate.wait(10))
    house.write(device())
    assert entered.wait(10)
    for at in range(100):
        house.write(reading(at=at, link="a.data", token=at + 1))
    gate.set()
    eventually(lambda: house.link.tokens() == list(range(1, 101)), 10, "all is settled, in order")
    assert house.board.counters.commits == 2


def test_a_flood_is_cut_into_transactions(house):
    house.write(device(), *(reading(at=at, link="a.data", token=at + 1) for at in range(5_000)))
    eventually(lambda: len(house.link.tokens()) == 5_000, 20, "all is settled")
    assert house.board.counters.commits == 3


def test_effects_run_for_new_identities_only(house):
    house.write(device(), reading(), reading())
    house.write(reading(), reading(at=1))
    eventually(lambda: house.board.counters.duplicates == 2, what="the duplicates are counted")
    news = [new.ts_us for result in house.results for new in result.new]
    assert news == [NOON, NOON + 1]


def test_a_failing_effect_does_not_stop_the_writer(house, caplog):
    house.effects.insert(0, lambda _: 1 / 0)
    house.write(device(), reading(link="a.data", token=1))
    house.write(reading(at=1, link="a.data", token=2))
    eventually(lambda: house.link.tokens() == [1, 2], what="both are settled")
    eventually(lambda: sum(len(result.new) for result in house.results) == 2, what="the other effect still runs")
    assert house.board.counters.effect_errors == len(house.results)
    assert "ZeroDivisionError" in caplog.text


def test_an_ask_finds_what_was_told_before(house):
    for serial in ("B", "A", "C"):
        house.write(device(serial, last_seen_us=NOON))
    assert [one.serial for one in house.ref.ask(LoadDevices(limit=2), timeout=10)] == ["A", "B"]
    (last,) = house.ref.ask(LoadDevices(after_serial="B"), timeout=10)
    assert (last.serial, last.last_seen_us) == ("C", NOON)


def test_dead_letters_are_loaded_and_marked(house):
    house.write(StoreDeadLetter("r", "d", "a.data", "t", b"\xff", NOON))
    assert house.ref.ask(LoadDeadLetter(1), timeout=10).payload == b"\xff"
    assert house.ref.ask(LoadDeadLetter(2), timeout=10) is None
    assert house.ref.ask(MarkReplayed(1), timeout=10) is True
    assert house.ref.ask(MarkReplayed(2), timeout=10) is False


def test_rare_writes_go_through_the_writer(house):
    plain = house.ref.ask(
        Execute(lambda database: create_token(database, role="read", name="n", now_us=NOON)), timeout=10
    )
    assert plain.startswith("muster_")


def test_a_failing_rare_write_harms_only_its_asker(house):
    with pytest.raises(ZeroDivisionError):
        house.ref.ask(Execute(lambda _: 1 / 0), timeout=10)
    house.write(device(), reading(link="a.data", token=1))
    eventually(lambda: house.link.tokens() == [1], what="the writer goes on")


def test_an_unknown_message_is_logged_and_dropped(house, caplog):
    house.ref.tell("what")
    house.write(device(), reading(link="a.data", token=1))
    eventually(lambda: house.link.tokens() == [1], what="the writer goes on")
    assert "does not know 'what'" in caplog.text


def test_a_wrong_url_is_refused_when_the_actor_is_made():
    with pytest.raises(ConfigurationError):
        RegistryActor("oracle://x/y", Directory(), Runtime.manual())


def test_a_deleted_device_disappears_slice_by_slice_while_writes_go_on(house, monkeypatch):
    monkeypatch.setattr("actors.storage.purge.SLICE", 10)
    house.write(device("A"), *(reading("A", at=at) for at in range(95)), device("B"))
    house.write(DeleteDevice("A"))
    house.write(reading("B", link="a.data", token=1))
    eventually(lambda: house.link.tokens() == [1], what="the others go on")
    with Look(house.url) as look:
        eventually(lambda: look.column("SELECT COUNT(*) FROM reading") == [1], what="the readings are gone")
        eventually(lambda: look.column("SELECT serial FROM device") == ["B"], what="the device is gone")


def test_a_question_in_the_middle_of_a_deletion_does_not_end_it(house, monkeypatch):
    monkeypatch.setattr("actors.storage.purge.SLICE", 10)
    purge, in_slice, gate = Store.purge, threading.Event(), threading.Event()

    def slow(store):
        in_slice.set()
        gate.wait(30)
        return purge(store)

    monkeypatch.setattr(Store, "purge", slow)
    house.write(device("A"), *(reading("A", at=at) for at in range(95)), device("B"), reading("B"))
    house.write(DeleteDevice("A"))
    assert in_slice.wait(10)
    asked = house.ref.ask(LoadDevices(), block=False)
    gate.set()

    assert [one.serial for one in asked.get(timeout=10)] == ["B"]
    with Look(house.url) as look:
        eventually(lambda: look.column("SELECT serial FROM device") == ["B"], what="the device is gone")


@pytest.fixture
def tidy(make_house, tmp_path, monkeypatch):
    """A registry that looks all the time for what is a day old, four rows at a time."""
    monkeypatch.setattr("actors.registry.EXPIRE_FIRST", 0.0)
    monkeypatch.setattr("actors.registry.EXPIRE_EVERY", 0.01)
    monkeypatch.setattr("actors.registry.EXPIRE_PAUSE", 0.001)
    monkeypatch.setattr("actors.storage.retention.STEP", 4)
    made = make_house(f"sqlite:///{tmp_path}/muster.db", rules=RetentionRules(readings_days=1, events_days=1))
    made.start()
    return made


def test_what_is_too_old_goes_when_nothing_else_is_to_do_and_is_counted(tidy):
    now_us = time.time_ns() // 1000
    tidy.write(device(), *(reading(at=at, rx_us=at) for at in range(50)), reading(at=99, rx_us=now_us))
    tidy.write(*(StoreEvent("x", "", at, "{}") for at in range(10)), StoreEvent("y", "", now_us, "{}"))
    eventually(lambda: tidy.board.counters.expired == {"reading": 50, "event": 10}, 20, "the old ones are gone")
    with Look(tidy.url) as look:
        assert look.column("SELECT COUNT(*) FROM reading") == [1]
        assert look.column("SELECT kind FROM event") == ["y"]


def test_while_writes_wait_nothing_is_deleted(tidy):
    gate, entered = threading.Event(), threading.Event()
    tidy.effects.append(lambda _: entered.set() or gate.wait(20))
    tidy.write(device(), *(reading(at=at, rx_us=at) for at in range(50)), reading(at=99, link="a.data", token=1))
    assert entered.wait(20)
    tidy.write(reading(at=100, link="a.data", token=2))
    assert tidy.board.counters.expired == {}
    gate.set()
    eventually(lambda: tidy.link.tokens() == [1, 2], 20, "what waited is committed")
    eventually(lambda: tidy.board.counters.expired == {"reading": 51}, 20, "then the old ones go")


def test_dead_letters_that_newer_ones_push_out_are_counted(make_house, tmp_path, monkeypatch):
    monkeypatch.setattr("actors.registry.Store", partial(Store, keep_each=10))
    house = make_house(f"sqlite:///{tmp_path}/muster.db")
    house.start()
    house.write(*(StoreDeadLetter("not_json", "", "a", "t", b"", NOON + at, "S") for at in range(30)))
    eventually(lambda: house.board.counters.expired["dead_letter"], 20, "the oldest are gone")
    with Look(house.url) as look:
        (kept,) = look.column("SELECT COUNT(*) FROM dead_letter")
    assert house.board.counters.expired == {"dead_letter": 30 - kept}


def test_a_retention_that_finds_the_database_away_waits_and_goes_on(make_house, tmp_path, monkeypatch):
    monkeypatch.setattr("actors.registry.EXPIRE_FIRST", 0.0)
    monkeypatch.setattr("actors.registry.EXPIRE_PAUSE", 0.01)
    house = make_house(f"sqlite:///{tmp_path}/missing/muster.db", rules=RetentionRules(readings_days=1))
    house.start()
    house.write(device(), reading(rx_us=0), reading(at=1))
    eventually(lambda: house.board.counters.retries, 20, "the database is away")
    (tmp_path / "missing").mkdir()
    eventually(lambda: house.board.counters.expired == {"reading": 1}, 30, "the old reading is gone")


def test_while_the_database_is_away_everything_is_kept_and_nothing_acknowledged(make_house, tmp_path):
    house = make_house(f"sqlite:///{tmp_path}/missing/muster.db")
    house.start()
    house.write(device())
    for at in range(50):
        house.write(reading(at=at, link="a.data", token=at + 1))
    status = eventually(lambda: house.board.status.pending == 51 and house.board.status, what="all wait")
    assert not status.ok
    assert "missing/muster.db" in status.last_error
    assert status.oldest_age_s(house.runtime.clock.monotonic() + 5) > 5
    assert house.link.tokens() == []
    with pytest.raises(StoreUnavailable):
        house.ref.ask(LoadDevices(), timeout=5)
    (tmp_path / "missing").mkdir()
    eventually(lambda: house.link.tokens() == list(range(1, 51)), 20, "all is settled, in order")
    eventually(lambda: house.board.status.ok and house.board.status.pending == 0, what="the state is told")
    assert house.board.status.oldest_age_s(time.monotonic()) == 0
    assert house.board.counters.retries >= 1


def test_an_idle_registry_notices_that_the_database_is_back(make_house, tmp_path):
    house = make_house(f"sqlite:///{tmp_path}/missing/muster.db")
    house.start()
    eventually(lambda: house.board.status.last_error, what="the database is away")
    (tmp_path / "missing").mkdir()
    eventually(lambda: house.board.status.ok, 20, "it is back")


def test_a_registry_stops_at_once_while_the_database_is_away_and_hands_its_writes_on(make_house, tmp_path, runtime):
    house = make_house(f"sqlite:///{tmp_path}/missing/muster.db")
    house.start()
    house.write(device(), reading(link="a.data", token=1))
    eventually(lambda: house.board.status.pending == 2, what="the writes wait")
    started = time.monotonic()
    runtime.shutdown(house.ref)
    ended = house.exit()
    assert time.monotonic() - started < 3
    assert ended.reason is ExitReason.SHUTDOWN
    (tmp_path / "missing").mkdir()
    house.start(preload=ended.pending)
    eventually(lambda: house.link.tokens() == [1], 20, "the next incarnation commits them")


def test_a_stopping_registry_commits_what_is_pending(house, runtime):
    gate = threading.Event()
    entered = threading.Event()
    house.effects.append(lambda _: entered.set() or gate.wait(10))
    house.write(device(), reading(link="a.data", token=1))
    assert entered.wait(10)
    # More than one transaction's worth: the first part is committed when it is taken, the rest by the stop.
    house.write(*(reading(at=at) for at in range(2_500)), reading(at=2_500, link="a.data", token=2))
    gate.set()
    eventually(lambda: len(house.results) >= 2, what="the flood has begun")
    runtime.shutdown(house.ref)
    assert house.exit().pending == []
    with Look(house.url) as look:
        assert look.column("SELECT COUNT(*) FROM reading") == [2_501]
    eventually(lambda: house.link.tokens() == [1, 2], what="all is settled")


def test_a_killed_registry_hands_on_what_it_had_taken(make_house, tmp_path, runtime):
    house = make_house(f"sqlite:///{tmp_path}/missing/muster.db")
    ref = house.start()
    house.write(device(), reading(link="a.data", token=1))
    eventually(lambda: house.board.status.pending == 2, what="the writes wait")
    runtime.kill(ref)
    ended = house.exit()
    assert ended.reason is ExitReason.KILLED
    (tmp_path / "missing").mkdir()
    house.start(preload=ended.pending)
    eventually(lambda: house.link.tokens() == [1], 20, "the next incarnation commits them")


def test_an_abandoned_predecessor_commits_nothing_more(house, runtime):
    calls = itertools.count(1)
    first, hung = threading.Event(), threading.Event()
    gates = {1: threading.Event(), 3: threading.Event()}

    def effect(_):
        number = next(calls)
        if number in gates:
            (first if number == 1 else hung).set()
            gates[number].wait(10)

    house.effects.append(effect)
    house.write(device())
    assert first.wait(10)
    house.write(*(reading(at=at) for at in range(5_000)))
    answer = house.ref.ask(LoadDevices(), block=False)  # commits slice after slice before it answers
    gates[1].set()
    assert hung.wait(10)
    runtime.kill(house.ref)
    gates[3].set()
    with pytest.raises(StoreSevered):
        answer.get(timeout=10)
    with Look(house.url) as look:
        assert look.column("SELECT COUNT(*) FROM reading") == [4_000]
    assert [len(envelope.message.items) for envelope in house.exit().pending] == [1_000]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_a_database_stopped_in_the_middle_of_the_load_loses_nothing_and_doubles_nothing(kind, request, make_house):
    server = request.getfixturevalue(kind)
    url = server.fresh_database()
    house = make_house(url)
    house.start()
    house.write(*(device(f"D{n}") for n in range(10)))
    tokens = itertools.count(1)
    sent = 0

    def send(count):
        nonlocal sent
        for _ in range(count):
            token = next(tokens)
            house.write(
                *(reading(f"D{n}", at=token, link="a.data", token=token * 10 + n) for n in range(10)),
                StoreEvent("x", "D0", NOON + token, "{}"),
            )
            sent += 10

    send(50)
    eventually(house.link.tokens, 20, "the load has begun")
    server.stop()
    send(50)
    eventually(lambda: not house.board.status.ok, 20, "the database is away")
    send(50)
    server.start()
    eventually(lambda: len(set(house.link.tokens())) == sent, 30, "all is settled")
    assert len(house.link.tokens()) == sent
    eventually(lambda: house.board.status.ok, what="the state is told")
    with Look(url) as look:
        assert look.column("SELECT COUNT(*) FROM reading") == [sent]
    assert house.board.counters.dead_letters == 0
