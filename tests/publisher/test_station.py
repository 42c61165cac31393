"""One station: reads its driver at its interval and keeps every reading."""

from __future__ import annotations

import itertools
import json
import math
import threading

import pytest

from actors import publisher as publisher_module
from actors.drivers import Driver, EndOfReadingsError
from actors.drivers.base import DriverOptions
from actors.outbox import OutboxUnavailableError, Put
from actors.publisher import PublisherActor, Station, StationBoard
from actors.runtime import Directory, Runtime
from supervisor import ChildSpec, Root, Supervisor
from tests.support.wait import eventually, throughout

DEADLINE = 10.0


class Bench(Driver):
    """Gives what it is told to: numbers, or exceptions."""

    def __init__(self, script):
        self.script = iter(script)
        self.opened = self.closed = 0
        self.at = []
        self.wait = None

    def open(self):
        self.opened += 1

    def read(self, now):
        self.at.append(now)
        answer = next(self.script)
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer

    def pause(self):
        return self.wait

    def close(self):
        self.closed += 1


class Shelf:
    """Stands for the outbox: answers puts, or does not."""

    def __init__(self):
        self.items = []
        self.full = False
        self.actor_stopped = threading.Event()
        self.actor_inbox = self

    def put(self, envelope):
        message = envelope.message
        assert isinstance(message, Put)
        if self.full:
            error = OutboxUnavailableError("the disk is full")
            message.reply_to.set_exception((type(error), error, None))
        else:
            self.items += [item for item in message.items if item not in self.items]
            message.reply_to.set(len(message.items))

    @property
    def readings(self):
        return [json.loads(item.payload) for item in self.items]


class World:
    def __init__(self, script, *, station=None, hang_after=None, start=None):
        self.runtime = Runtime.system()
        self.runtime.start()
        self.directory = Directory()
        self.shelf = Shelf()
        self.directory.publish("outbox", self.shelf)
        self.board = StationBoard()
        self.driver = Bench(script)
        self.options = []
        self.station = station or Station(publisher_id="S-1", interval=0.02)
        tree = Supervisor(runtime=self.runtime, children=(ChildSpec("station", self.build, hang_after=hang_after),))
        self.root = Root(self.runtime, tree)

    def build(self):
        return PublisherActor(
            self.station,
            self.make_driver,
            DriverOptions(publisher_id="S-1"),
            outbox="outbox",
            directory=self.directory,
            runtime=self.runtime,
            board=self.board,
        )

    def make_driver(self, options):
        self.options.append(options)
        return self.driver

    def wait_readings(self, number):
        eventually(lambda: len(self.shelf.items) >= number, DEADLINE, f"{number} readings")
        return self.shelf.readings

    def close(self):
        self.root.stop(DEADLINE)
        self.runtime.stop()


@pytest.fixture
def make():
    worlds = []

    def build(script, **settings):
        worlds.append(World(script, **settings))
        return worlds[-1]

    yield build
    for world in worlds:
        world.close()


def numbers():
    return ({"N": number} for number in itertools.count())


def test_every_interval_gives_a_reading_of_the_agreed_shape(make):
    world = make(numbers())
    first, second = world.wait_readings(2)[:2]
    assert set(first) - {"clock"} == {"timestamp", "publisher_id", "id", "sensor_readings"}
    assert first["publisher_id"] == "S-1"
    assert first["timestamp"][-1] == "Z"
    assert len(first["timestamp"]) == len("2026-01-01T00:00:00.000Z")
    assert (first["sensor_readings"], second["sensor_readings"]) == ({"N": 0}, {"N": 1})
    item = world.shelf.items[0]
    assert (item.topic, item.kind, item.id) == ("harit-samarth/sensor/data", "reading", first["id"])


def test_no_two_readings_have_the_same_id(make):
    readings = make(numbers()).wait_readings(20)
    assert len({reading["id"] for reading in readings}) == len(readings)


def test_a_driver_that_raises_costs_that_reading_and_is_opened_anew(make):
    world = make([{"N": 1}, OSError("no answer from the probe"), {"N": 2}, EndOfReadingsError("over")])
    readings = world.wait_readings(2)
    assert [reading["sensor_readings"] for reading in readings] == [{"N": 1}, {"N": 2}]
    eventually(lambda: world.board.finished, DEADLINE)
    assert world.board.failures == 1
    assert (world.driver.opened, world.driver.closed) == (2, 1)


def test_the_last_error_is_shown_until_a_reading_succeeds(make):
    gate = threading.Event()

    def wait():
        gate.wait(DEADLINE)
        return {"N": 1}

    world = make([OSError("no answer"), wait, EndOfReadingsError("over")])
    eventually(lambda: world.board.last_error == "OSError: no answer", DEADLINE)
    gate.set()
    world.wait_readings(1)
    assert world.board.last_error == ""


def test_measures_that_are_no_finite_number_are_left_out_and_counted(make):
    world = make([{"N": 1, "pH": math.nan, "K": math.inf, "P": True, "CO2": "400"}, EndOfReadingsError("over")])
    (reading,) = world.wait_readings(1)
    assert reading["sensor_readings"] == {"N": 1}
    assert world.board.left_out == 4


def test_a_reading_without_any_number_is_a_failure(make):
    world = make([{"pH": math.nan}, EndOfReadingsError("over")])
    eventually(lambda: world.board.finished, DEADLINE)
    assert (world.board.failures, world.shelf.items) == (1, [])


def test_a_driver_that_hangs_is_closed_and_the_station_goes_on(make):
    released = threading.Event()

    def hang():
        released.wait(DEADLINE)
        return {"N": -1}

    world = make([{"N": 1}, hang, {"N": 2}, EndOfReadingsError("over")], hang_after=0.3)
    eventually(lambda: world.driver.closed, DEADLINE, "the driver was closed from outside")
    released.set()
    eventually(lambda: world.board.finished, DEADLINE)
    assert [reading["sensor_readings"]["N"] for reading in world.shelf.readings] == [1, 2]
    assert world.board.failures == 1


def test_what_the_outbox_cannot_take_is_kept_and_put_later_in_order(make, monkeypatch):
    monkeypatch.setattr(publisher_module, "SAVE_AGAIN", 0.02)
    world = make(numbers())
    world.wait_readings(1)
    world.shelf.full = True
    eventually(lambda: len(world.board.unsaved) >= 5, DEADLINE)
    assert world.board.last_error == "the disk is full"
    world.shelf.full = False
    eventually(lambda: not world.board.unsaved, DEADLINE)
    found = [reading["sensor_readings"]["N"] for reading in world.shelf.readings]
    assert found == list(range(len(found)))


def test_what_could_not_be_kept_for_very_long_is_counted(make, monkeypatch):
    world = make([], station=Station(publisher_id="S-1", interval=60))
    board = StationBoard()
    actor = PublisherActor(
        world.station,
        world.make_driver,
        DriverOptions(publisher_id="S-1"),
        outbox="outbox",
        directory=world.directory,
        runtime=world.runtime,
        board=board,
    )
    monkeypatch.setattr(actor, "_save", lambda: None)
    for number in range(publisher_module.MOST_UNSAVED + 3):
        actor._keep(number, {"N": 1})
    assert (len(board.unsaved), board.not_kept) == (publisher_module.MOST_UNSAVED, 3)


def test_once_is_one_reading(make):
    world = make(numbers(), station=Station(publisher_id="S-1", interval=0.01, once=True))
    eventually(lambda: world.board.finished, DEADLINE)
    throughout(0.2, lambda: len(world.shelf.items) == 1)


def test_the_pace_of_a_driver_wins_over_the_interval(make):
    world = make(numbers(), station=Station(publisher_id="S-1", interval=3600))
    world.wait_readings(1)
    assert world.board.next_at > world.runtime.clock.monotonic() + 3000
    world = make(itertools.chain([{"N": 0}] * 5, [EndOfReadingsError("over")]), station=world.station)
    world.driver.wait = 0.01
    if not world.shelf.items:
        world.wait_readings(5)


def test_the_last_values_are_there_for_the_next_run(make, tmp_path):
    station = Station(publisher_id="S.1", interval=60, once=True, memory=tmp_path / "stations" / "S.1.json")
    world = make([{"N": 41.5}], station=station)
    world.wait_readings(1)
    eventually(lambda: world.board.finished, DEADLINE)
    again = make([{"N": 42}], station=station)
    again.wait_readings(1)
    assert (world.options[0].start, again.options[0].start) == ({}, {"N": 41.5})


def test_memory_that_cannot_be_read_is_no_memory(tmp_path):
    path = tmp_path / "S.json"
    path.write_text("not json")
    assert publisher_module.recall(path) == {}
