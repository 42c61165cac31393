"""The roll-ups: each reading counts once, in the hour and the day it speaks of, whatever is broken off and when."""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import sys

import msgspec
import pytest

from actors import rollups as module
from actors.messages import DeleteDevice, WriteBatch
from actors.registry import Execute, RegistryActor
from actors.rollups import Rebuild, RollupActor, RollupBoard, Wake
from actors.runtime import Directory
from actors.storage.rollups import (
    DAY_US,
    HOUR_US,
    ROLLUP,
    Cursor,
    CursorMoved,
    Sum,
    advance,
    put,
    read_cursor,
    sum_days,
)
from tests.storage.build import NOON, Look, device, reading, station
from tests.support.wait import eventually

MINUTE = 60_000_000


class House:
    """A writer, two readers, and roll-ups that run as fast as they may."""

    def __init__(self, url, runtime, readers):
        self.url = url
        self.runtime = runtime
        self.services = Directory()
        self.readers = readers
        self.refs = []
        self.registry = runtime.launch(RegistryActor(url, self.services, runtime), child_id="registry")
        self.services.publish("registry", self.registry)

    def start(self, **options) -> RollupActor:
        actor = RollupActor(self.readers, self.services, self.runtime, **({"every": 0.01} | options))
        self.refs.append(self.runtime.launch(actor, child_id="rollups"))
        return actor

    def write(self, *writes):
        self.registry.tell(WriteBatch(list(writes)))

    def newest(self) -> int:
        return self.ask(lambda database: database.execute_sql("SELECT COALESCE(MAX(id), 0) FROM reading").fetchone()[0])

    def ask(self, work):
        return self.registry.ask(Execute(work), timeout=20)

    def settle(self, actor):
        """Wait until everything written so far is rolled up."""
        newest = self.newest()
        actor.actor_ref.tell(Wake())
        eventually(lambda: self.ask(lambda db: read_cursor(db, ROLLUP)) == Cursor(newest), 30, "the roll-ups are done")

    def close(self):
        for ref in [*self.refs, self.registry]:
            if ref.is_alive():
                ref.stop(timeout=10)


@pytest.fixture
def house(database_url, runtime, readers):
    made = House(database_url, runtime, readers)
    yield made
    made.close()


@pytest.fixture
def small(monkeypatch):
    """Rounds and slices so small that there are many."""
    for name, value in {"PAGE": 7, "MOST_ROWS": 20, "SLICE": 3, "BREATH": 0.0}.items():
        monkeypatch.setattr(module, name, value)


def table_of(look, name):
    """What a roll-up holds, as {(serial, metric, start): (n, min, max, sum)}."""
    sql = f"SELECT serial, metric, start_us, {name}.* FROM {name} JOIN device ON device.id = {name}.device_id"
    rows = look.run(sql)
    return {row[:3]: (row[6], *(round(number, 6) for number in row[7:10])) for row in rows}


def computed(look, size):
    """The same from the raw readings."""
    found = {}
    for serial, ts_us, measures in look.run(
        "SELECT serial, ts_us, measures FROM reading JOIN device ON device.id = reading.device_id"
    ):
        for metric, value in msgspec.json.decode(measures).items():
            found.setdefault((serial, metric, ts_us - ts_us % size), []).append(value)
    return {key: (len(v), min(v), max(v), round(sum(v), 6)) for key, v in found.items()}


def check(look):
    assert table_of(look, "rollup_hour") == computed(look, HOUR_US)
    assert table_of(look, "rollup_day") == computed(look, DAY_US)


def some_readings(count, seed=0, devices=5):
    chance = random.Random(seed)
    for at in range(count):
        body = {"pH": round(chance.uniform(4, 9), 2), "N": chance.randrange(100)}
        body |= {f"extra{chance.randrange(3)}": chance.randrange(-5, 5)} if at % 3 == 0 else {}
        yield reading(
            f"soil-{chance.randrange(devices)}", chance.randrange(3 * DAY_US), msgspec.json.encode(body).decode()
        )


def stations(count=5):
    return [station(f"soil-{number}") for number in range(count)]


def test_readings_count_in_the_hour_and_the_day_they_speak_of(house, look):
    bodies = [(0, 4.0), (10 * MINUTE, 6.5), (HOUR_US, 7.0), (DAY_US, -1.0)]
    house.write(station(), *(reading("soil-1", at, f'{{"pH":{value}}}') for at, value in bodies))
    house.settle(house.start())
    day = NOON - NOON % DAY_US
    assert table_of(look, "rollup_hour") == {
        ("soil-1", "pH", NOON): (2, 4.0, 6.5, 10.5),
        ("soil-1", "pH", NOON + HOUR_US): (1, 7.0, 7.0, 7.0),
        ("soil-1", "pH", NOON + DAY_US): (1, -1.0, -1.0, -1.0),
    }
    assert table_of(look, "rollup_day") == {
        ("soil-1", "pH", day): (3, 4.0, 7.0, 17.5),
        ("soil-1", "pH", day + DAY_US): (1, -1.0, -1.0, -1.0),
    }


def test_what_comes_later_is_added_and_late_data_counts_where_it_belongs(house, look):
    actor = house.start()
    house.write(*stations())
    for seed in range(3):
        house.write(*some_readings(60, seed))
        house.settle(actor)
        check(look)
    house.write(reading("soil-0", -9 * DAY_US, '{"pH":5}'))
    house.settle(actor)
    check(look)


def test_a_round_may_take_many_transactions(house, look, small):
    house.write(*stations(), *some_readings(150))
    house.settle(house.start())
    check(look)


def test_one_device_with_a_long_backlog_ends_a_round_early(house, look, monkeypatch):
    monkeypatch.setattr(module, "MOST_OF_ONE", 10)
    monkeypatch.setattr(module, "BREATH", 0.0)
    house.write(station("soil-0"), *(reading("soil-0", at * HOUR_US, f'{{"pH":{at}}}') for at in range(100)))
    house.settle(house.start())
    check(look)


def test_a_round_that_was_broken_off_at_any_transaction_is_ended_by_the_next_incarnation(house, look, small):
    house.write(*stations(), *some_readings(60))
    broken = 0
    for after in (1, 2, 3, 5):
        actor = Broken(house.readers, house.services, house.runtime, every=3600, writes=after)
        ref = house.runtime.launch(actor)
        eventually(lambda actor=actor: actor.is_broken, 20, "it breaks off")
        broken += house.ask(lambda db: read_cursor(db, ROLLUP)).until is not None
        ref.stop(timeout=10)
        house.write(*some_readings(10, seed=100 + after))
    assert broken, "at least one round was left in the middle"
    house.settle(house.start())
    check(look)


class Broken(RollupActor):
    """Loses its writer after some transactions."""

    def __init__(self, *args, writes, **kwargs):
        super().__init__(*args, **kwargs)
        self._left = writes
        self.is_broken = False

    def _write(self, work):
        if self._left == 0:
            self.is_broken = True
            raise module.StoreUnavailable("as if it were killed here")
        self._left -= 1
        return super()._write(work)


def test_a_transaction_that_was_run_twice_counts_once(store, look):
    store.commit([station(), reading("soil-1", body='{"pH":5}')])
    total = Sum()
    total.add(1, NOON, {"pH": 5.0})
    work = lambda db: advance(db, ROLLUP, Cursor(), Cursor(1), total.devices)  # noqa: E731
    store.run(work)
    with pytest.raises(CursorMoved):
        store.run(work)
    assert table_of(look, "rollup_hour") == {("soil-1", "pH", NOON): (1, 5.0, 5.0, 5.0)}


def test_a_device_that_was_deleted_meanwhile_leaves_no_sums(store, look):
    store.commit([station("a"), station("b"), DeleteDevice("a")])
    total = Sum()
    for device_id in (1, 2, 99):
        total.add(device_id, NOON, {"pH": 5.0})
    store.run(lambda db: advance(db, ROLLUP, Cursor(), Cursor(1), total.devices))
    assert look.column("SELECT device_id FROM rollup_hour") == [2]


def test_the_roll_ups_of_a_deleted_device_go_in_slices(store, look, monkeypatch):
    monkeypatch.setattr("actors.storage.purge.SLICE", 10)
    store.commit([station("a"), station("b")])
    hours = {(metric, start * HOUR_US): [1, 0.0, 0.0, 0.0] for metric in ("N", "pH") for start in range(13)}
    store.run(lambda db: put(db, {1: hours, 2: hours}))
    store.commit([DeleteDevice("a")])
    left = [26]
    while store.purge():
        left.append(look.column("SELECT COUNT(*) FROM rollup_hour WHERE device_id = 1")[0])
    assert max(before - after for before, after in itertools.pairwise(left)) == 10
    assert left[-1] == 0
    assert look.run("SELECT device_id, COUNT(*) FROM rollup_hour GROUP BY device_id") == [(2, 26)]
    assert look.run("SELECT device_id, COUNT(*) FROM rollup_day GROUP BY device_id") == [(2, 2)]
    assert look.column("SELECT serial FROM device") == ["b"]


def test_another_servers_devices_are_passed_over(house, look):
    house.write(station("ours"), station("theirs"))
    house.write(*(reading(["ours", "theirs"][at % 2], at, '{"pH":5}') for at in range(10)))
    house.settle(house.start(is_ours=lambda serial: serial == "ours"))
    assert table_of(look, "rollup_hour") == {("ours", "pH", NOON): (5, 5.0, 5.0, 25.0)}


def test_numbers_that_no_sum_can_hold_are_left_out(house, look):
    house.write(station(), *(reading("soil-1", at, f'{{"a":{1.7e308},"b":{at}}}') for at in range(3)))
    house.settle(house.start())
    assert set(table_of(look, "rollup_hour")) == {("soil-1", "b", NOON)}


def test_names_with_any_character_are_rolled_up(house, look):
    body = {'say "when"': 1, "back\\slash": 2, "it's %s :x ?": 3, "grün": 4, "": 5, "x" * 120: 6, "PH": 7, "ph": 8}
    house.write(station(), reading("soil-1", body=msgspec.json.encode(body).decode()))
    house.settle(house.start())
    check(look)


def test_a_burst_of_commits_makes_one_run_in_each_interval(house):
    board = RollupBoard()
    actor = house.start(every=3600.0, board=board)
    eventually(lambda: actor._ran_at, 10, "the run at the start")
    house.write(station(), reading("soil-1"))
    newest = house.newest()
    for _ in range(100):
        actor.actor_ref.tell(Wake())
    eventually(lambda: actor._armed, 10, "one run is set for later")
    assert (board.after, newest) == (0, 1)


def test_while_the_writer_is_away_the_roll_ups_wait(house, look):
    house.services.withdraw("registry")
    board = RollupBoard()
    actor = house.start(board=board)
    eventually(lambda: board.failures >= 2, 20, "it tries again and again")
    house.services.publish("registry", house.registry)
    house.write(station("soil-0"), reading("soil-0"))
    house.settle(actor)
    check(look)
    assert (board.after, board.rows) == (1, 1)


def test_a_device_is_computed_anew_from_its_readings(house, look):
    actor = house.start()
    house.write(*stations(2), *some_readings(80, devices=2))
    house.settle(actor)
    look.run(f"UPDATE rollup_hour SET n = 99 WHERE device_id = 1 AND start_us < {NOON + DAY_US}")
    look.run("DELETE FROM rollup_day WHERE device_id = 1")
    assert actor.actor_ref.ask(Rebuild("soil-0", NOON, NOON + 3 * DAY_US), timeout=30) == 4
    check(look)


def test_computing_anew_leaves_what_has_no_readings_any_more(house, look):
    actor = house.start()
    house.write(station("soil-0"), reading("soil-0", body='{"pH":5}'))
    house.settle(actor)
    house.ask(lambda db: put(db, {1: {("pH", NOON - 30 * DAY_US): [1, 1.0, 1.0, 1.0]}}))
    assert actor.actor_ref.ask(Rebuild("soil-0", 0, NOON + DAY_US), timeout=30) == 1
    assert len(table_of(look, "rollup_day")) == 2
    assert actor.actor_ref.ask(Rebuild("nobody", 0, NOON), timeout=30) == 0


def test_computing_anew_first_ends_a_round_that_was_broken_off(house, look, small):
    house.write(*stations(), *some_readings(20))
    newest = house.newest()
    total = Sum()
    for device_id, ts_us, measures in look.run("SELECT device_id, ts_us, measures FROM reading WHERE device_id = 1"):
        total.add(device_id, ts_us, msgspec.json.decode(measures))
    house.ask(lambda db: advance(db, ROLLUP, Cursor(), Cursor(0, newest, 1), total.devices))
    actor = Quiet(house.readers, house.services, house.runtime)
    ref = house.runtime.launch(actor)
    house.refs.append(ref)
    ref.ask(Rebuild("soil-0", NOON, NOON + 3 * DAY_US), timeout=30)
    check(look)


class Quiet(RollupActor):
    """Does nothing by itself."""

    def on_start(self):
        pass


def test_a_device_of_another_server_is_not_computed_anew(house):
    actor = house.start(is_ours=lambda _: False)
    with pytest.raises(ValueError, match="another server"):
        actor.actor_ref.ask(Rebuild("soil-0", 0, NOON), timeout=10)


def test_days_are_the_sums_of_their_hours():
    hours = {("a", NOON): [2, 1.0, 5.0, 6.0], ("a", NOON + HOUR_US): [1, -3.0, -3.0, -3.0], ("b", NOON): [1, 0, 0, 0]}
    day = NOON - NOON % DAY_US
    assert sum_days(hours) == {("a", day): [3, -3.0, 5.0, 3.0], ("b", day): [1, 0, 0, 0]}


CHILD = """
import sys, time
from actors import rollups
from actors.reader import ReaderActor, Readers
from actors.registry import RegistryActor
from actors.runtime import Directory, Runtime
rollups.PAGE, rollups.MOST_ROWS, rollups.SLICE, rollups.BREATH = 10, 40, 3, 0.0
runtime, services = Runtime.system(), Directory()
runtime.start()
services.publish("registry", runtime.launch(RegistryActor(sys.argv[1], services, runtime)))
services.publish("reader", runtime.launch(ReaderActor(sys.argv[1])))
actor = rollups.RollupActor(Readers(services, ["reader"]), services, runtime, every=0.01)
runtime.launch(actor)
print("up", flush=True)
while True:
    time.sleep(1)
"""


@pytest.mark.slow
def test_a_process_that_is_killed_again_and_again_counts_each_reading_once(tmp_path):
    url = f"sqlite:///{tmp_path}/killed.db"
    from actors.storage.database import open_database
    from actors.storage.store import Store

    store = Store(open_database(url))
    store.commit([*stations(), *some_readings(3000)])
    chance = random.Random(5)
    kills = 0
    with Look(url) as look:
        for _ in range(12):
            before = read_cursor_of(look)
            child = subprocess.Popen([sys.executable, "-c", CHILD, url], stdout=subprocess.PIPE)
            assert child.stdout.readline() == b"up\n"
            goal = before.after + chance.randrange(1, 300)
            eventually(lambda goal=goal: reached(read_cursor_of(look)) >= min(goal, 3000), 60, "it gets on")
            child.send_signal(signal.SIGKILL)
            child.wait(10)
            child.stdout.close()
            kills += read_cursor_of(look).after < 3000
        assert kills >= 3, "it was killed before it was done"
        store.close()
        child = subprocess.Popen([sys.executable, "-c", CHILD, url], stdout=subprocess.PIPE)
        eventually(lambda: read_cursor_of(look) == Cursor(3000), 60, "it is done")
        child.kill()
        child.wait(10)
        child.stdout.close()
        check(look)


def reached(cursor):
    return cursor.after if cursor.until is None else (cursor.after + cursor.until) / 2


def read_cursor_of(look):
    found = look.column(f"SELECT value FROM setting WHERE key = '{ROLLUP}'")
    return msgspec.json.decode(found[0], type=Cursor) if found else Cursor()


def test_a_device_unlike_a_station_is_rolled_up_too(house, look):
    house.write(device("logger"), reading("logger", body='{"flow.rate":2.5}'))
    house.settle(house.start())
    assert table_of(look, "rollup_day")["logger", "flow.rate", NOON - NOON % DAY_US] == (1, 2.5, 2.5, 2.5)
