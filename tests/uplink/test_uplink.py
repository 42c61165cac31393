"""The uplink with a real outbox, a real broker and a real HTTP server: nothing leaves but by a receipt."""

from __future__ import annotations

import logging

import msgspec
import pytest

from actors.link.options import parse_broker_url
from actors.link.status import LinkBoard
from actors.outbox import GetStats, Item, ListRefused, Outbox, OutboxBoard, OutboxUnavailableError, Put
from actors.runtime import Directory, GuardedFuture, Runtime
from actors.sight import Sight
from actors.uplink import actor as uplink_module
from actors.uplink import mode as mode_module
from actors.uplink import window as window_module
from actors.uplink.actor import Uplink, Wake
from actors.uplink.board import UplinkBoard
from actors.uplink.link import LinkWatch, UplinkLink, uplink_routes
from actors.uplink.poster import ServerAddress
from tests.support.wait import eventually, throughout
from tests.uplink.fake_muster import PATH, TOKEN, FakeMuster

SERIAL = "S-1"
DEADLINE = 20.0


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Seconds become tenths: what is tested is the order of things."""
    monkeypatch.setattr(uplink_module, "TICK", 0.05)
    monkeypatch.setattr(uplink_module, "POST_BACKOFF_CAP", 0.4)
    monkeypatch.setattr(window_module, "RESEND_AFTER", 0.5)


class World:
    """An outbox, a link and an uplink without their supervisors, and a Muster to talk to."""

    def __init__(self, mosquitto, tmp_path, *, configured="auto"):
        self.known = True
        """Whether the server counts as proved; `on_lost` ends that."""
        self.mosquitto = mosquitto
        self.muster = FakeMuster(mosquitto)
        self.runtime = Runtime.system()
        self.runtime.start()
        self.directory = Directory()
        self.sight = Sight("link", self.runtime.clock.monotonic())
        self.sight.on_change = lambda _sight: self.directory.tell("uplink", Wake())
        self.link_board, self.watch, self.board = LinkBoard.of("link"), LinkWatch(), UplinkBoard()
        self.path = tmp_path / "outbox.db"
        self.configured = configured
        self.actors = {}
        self.number = 0
        self.losses = 0
        self.must_prove = False
        self.launch("outbox", self.outbox())
        if configured != "api":
            self.launch("link", self.link())

    def launch(self, name, actor):
        self.actors[name] = actor
        self.directory.publish(name, self.runtime.launch(actor, child_id=name))

    def outbox(self):
        return Outbox(self.path, self.runtime.clock, OutboxBoard(), directory=self.directory, notify=("uplink",))

    def link(self):
        return UplinkLink(
            watch=self.watch,
            has_moved=lambda: False,
            name="link",
            client_id="muster-pub-test",
            options=parse_broker_url(self.mosquitto.url),
            routes=uplink_routes([SERIAL], "uplink"),
            directory=self.directory,
            clock=self.runtime.clock,
            sight=self.sight,
            board=self.link_board,
        )

    def start(self):
        uplink = Uplink(
            name="uplink",
            link="link",
            outbox="outbox",
            destination="server",
            configured=self.configured,
            paths={"reading": PATH},
            locate=lambda: ServerAddress(self.muster.url, TOKEN) if self.known else None,
            directory=self.directory,
            runtime=self.runtime,
            sight=self.sight,
            watch=self.watch,
            link_board=self.link_board,
            board=self.board,
            on_lost=self.lose,
            post_timeout=2.0,
        )
        self.launch("uplink", uplink)
        return self

    def lose(self):
        """By default the server is proved again at once."""
        self.losses += 1
        self.known = not self.must_prove

    def put(self, number=1, n=1):
        """Put so many readings, in one transaction; return their ids."""
        items = []
        for _ in range(number):
            self.number += 1
            item_id = f"id-{self.number:05}"
            body = {"id": item_id, "publisher_id": SERIAL, "sensor_readings": {"N": n}}
            items.append(Item(item_id, "reading", "field/sensor/data", msgspec.json.encode(body), self.number))
        future = GuardedFuture()
        self.directory.tell("outbox", Put(tuple(items), future))
        future.get(timeout=DEADLINE)
        return [item.id for item in items]

    @property
    def stats(self):
        return self.directory.get("outbox").ask(GetStats(), timeout=DEADLINE)

    @property
    def mode(self):
        return self.board.status.mode

    def until_empty(self):
        eventually(lambda: self.stats.items == 0, DEADLINE, "the outbox is empty")

    def until_mode(self, mode):
        eventually(lambda: self.mode == mode, DEADLINE, f"mode {mode}")

    def until_up(self):
        eventually(lambda: not self.sight.blind, DEADLINE, "the link is up")

    def stop_actor(self, name):
        ref = self.directory.get(name)
        if ref is not None:
            self.directory.withdraw(name)
            self.runtime.shutdown(ref)
            eventually(lambda: self.actors[name].actor_inbox.closed, DEADLINE)

    def stop(self):
        for name in ("uplink", "link", "outbox"):
            self.stop_actor(name)
        self.muster.close()
        self.runtime.stop()


@pytest.fixture
def make(mosquitto, tmp_path):
    worlds = []

    def build(**settings):
        worlds.append(World(mosquitto, tmp_path, **settings))
        return worlds[-1]

    yield build
    for world in worlds:
        world.stop()


@pytest.fixture
def world(make):
    return make().start()


def test_what_is_put_arrives_in_order_and_goes_by_its_receipt(world):
    world.muster.connect()
    ids = world.put(50)
    world.until_empty()
    assert world.muster.stored == ids
    assert set(world.muster.ways) == {"mqtt"}
    assert world.board.counters.confirmed_mqtt == 50
    assert world.board.status.last_success_us > 0


def test_without_a_receipt_everything_stays_and_is_sent_again_by_its_id(world):
    world.muster.gives_receipts = False
    world.muster.connect()
    ids = world.put(3)
    eventually(lambda: world.muster.copies >= 6, DEADLINE, "each was sent three times")
    assert world.muster.stored == ids
    assert world.stats.items == 3
    world.muster.gives_receipts = True
    world.until_empty()
    assert world.muster.stored == ids


def test_a_receipt_for_what_was_sent_again_is_a_receipt(world):
    world.muster.gives_receipts = False
    world.muster.connect()
    (item_id,) = world.put(1)
    eventually(lambda: world.muster.copies >= 1, DEADLINE)
    world.muster.receipt(SERIAL, stored=[item_id, "of somebody else"], refused={})
    world.until_empty()


def test_a_refused_item_leaves_the_queue_and_its_reason_stays(world):
    world.muster.poison = {-1}
    world.muster.connect()
    world.put(1)
    (bad,) = world.put(1, n=-1)
    world.put(1)
    world.until_empty()
    (refused,) = world.directory.get("outbox").ask(ListRefused(), timeout=DEADLINE)
    assert (refused.id, refused.reason) == (bad, "beyond physics")
    assert world.board.counters.refused == 1
    assert len(world.muster.stored) == 2


def test_what_is_no_receipt_harms_nobody(world):
    world.muster.connect()
    world.until_up()
    world.muster._client.publish(f"devices/{SERIAL}/receipts", b"\xff{").wait_for_publish(10)
    world.muster._client.publish(f"devices/{SERIAL}/receipts", b'{"stored": 7}').wait_for_publish(10)
    eventually(lambda: world.board.counters.bad_receipts == 2, DEADLINE)
    world.put(1)
    world.until_empty()


def test_a_server_that_is_away_while_the_broker_is_there_gets_everything_later(world):
    world.muster.connect()
    world.put(5)
    world.until_empty()
    world.muster.disconnect()
    ids = world.put(30)
    throughout(0.5, lambda: world.stats.items == 30 and world.mode == "mqtt", "they wait")
    world.muster.connect()
    world.until_empty()
    assert world.muster.stored[5:] == ids


def test_a_new_uplink_begins_with_what_the_last_one_left(make):
    world = make()
    ids = world.put(20)
    world.start()
    world.until_up()
    world.stop_actor("uplink")
    world.muster.connect()
    world.start()
    world.until_empty()
    # Not in their order: what the last one had on its way may come while the server is still subscribing.
    assert sorted(world.muster.stored) == ids


def test_more_than_a_window_of_backlog_drains_in_order(make):
    world = make()
    ids = world.put(2 * window_module.SIZE + 300)
    world.muster.connect()
    world.start()
    world.until_empty()
    assert world.muster.stored == ids


def test_a_broker_that_is_away_leads_to_http_and_back(world, mosquitto, caplog):
    caplog.set_level(logging.INFO, logger="actors.uplink.actor")
    world.muster.connect()
    world.muster.listen()
    ids = world.put(5)
    world.until_empty()
    mosquitto.stop()
    ids += world.put(5)
    world.until_empty()
    assert world.mode == "api"
    assert world.muster.ways == ["mqtt"] * 5 + ["api"] * 5
    mosquitto.start()
    world.until_mode("mqtt")
    ids += world.put(5)
    world.until_empty()
    assert world.muster.stored == ids
    assert world.muster.ways[-5:] == ["mqtt"] * 5
    assert next(line for line in caplog.messages if "mode " in line).startswith(
        "uplink: mode api, sending over HTTP now"
    )
    assert sum("mode " in line for line in caplog.messages) == 2


def test_with_both_away_everything_is_kept_and_sent_later_in_order(world, mosquitto):
    world.muster.connect()
    mosquitto.stop()
    ids = world.put(20)
    world.until_mode("api")
    eventually(lambda: world.board.status.http_error, DEADLINE, "a post has failed")
    ids += world.put(20)
    assert world.stats.items == 40
    mosquitto.start()
    world.until_empty()
    assert world.muster.stored == ids


def test_with_both_away_http_may_be_the_first_to_return(world, mosquitto):
    mosquitto.stop()
    ids = world.put(20)
    eventually(lambda: world.board.status.http_error, DEADLINE, "a post has failed")
    world.muster.listen()
    world.until_empty()
    assert world.muster.stored == ids
    assert world.board.status.http_error == ""


def test_a_poison_reading_over_http_is_refused_with_the_servers_reason(make):
    world = make(configured="api").start()
    world.muster.poison = {-1}
    world.muster.listen()
    world.put(1, n=-1)
    ids = world.put(2)
    world.until_empty()
    assert world.muster.stored == ids
    (refused,) = world.directory.get("outbox").ask(ListRefused(), timeout=DEADLINE)
    assert refused.reason == "N: beyond physics (status 400)"


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_an_answer_that_says_nothing_of_the_reading_keeps_it(make, status):
    world = make(configured="api").start()
    world.muster.status = status
    world.muster.listen()
    world.put(1)
    eventually(lambda: world.board.status.http_error == f"told so (status {status})", DEADLINE)
    assert world.stats.items == 1
    world.muster.status = None
    world.until_empty()


def test_mode_mqtt_never_posts(make, mosquitto):
    world = make(configured="mqtt").start()
    world.muster.listen()
    mosquitto.stop()
    world.put(3)
    eventually(lambda: world.watch.failed_attempts >= 4, DEADLINE, "the broker was tried again and again")
    assert (world.mode, world.stats.items, world.muster.stored) == ("mqtt", 3, [])


def test_mode_api_never_publishes(make):
    world = make(configured="api").start()
    world.muster.connect()
    world.muster.listen()
    world.put(3)
    world.until_empty()
    assert set(world.muster.ways) == {"api"}


def test_a_server_that_gives_no_receipts_for_long_is_reached_over_http(make, monkeypatch):
    monkeypatch.setattr(mode_module, "PATIENCE", 0.3)
    world = make().start()
    world.muster.listen()
    ids = world.put(5)
    world.until_mode("api")
    world.until_empty()
    assert world.muster.stored == ids
    assert set(world.muster.ways) == {"api"}
    assert "no receipt" in world.board.status.reason


def test_where_neither_receipts_nor_answers_come_mqtt_keeps_its_turn(make, monkeypatch):
    monkeypatch.setattr(mode_module, "PATIENCE", 0.3)
    world = make().start()
    ids = world.put(5)
    eventually(lambda: world.board.counters.mode_changes >= 2, DEADLINE, "a detour was tried and ended")
    world.muster.connect()
    world.until_empty()
    assert world.muster.stored == ids


def test_a_broker_killed_with_items_in_flight_costs_none(world, mosquitto):
    world.muster.connect()
    ids = world.put(100)
    mosquitto.kill()
    ids += world.put(100)
    mosquitto.start()
    world.until_empty()
    assert sorted(world.muster.stored) == ids


def test_before_anything_is_posted_because_the_broker_is_away_the_server_has_to_prove_itself(world, mosquitto):
    world.must_prove = True
    world.muster.listen()
    mosquitto.stop()
    world.put(1)
    world.until_mode("api")
    eventually(lambda: world.board.status.http_error == "no server is known", DEADLINE)
    assert (world.muster.stored, world.muster.keys) == ([], [])
    world.known, world.must_prove = True, False
    world.until_empty()


def test_a_stranger_on_the_servers_port_empties_nothing(make):
    world = make(configured="api").start()
    world.must_prove = True
    world.muster.status = 200
    world.muster.listen()
    world.put(1)
    eventually(lambda: world.losses, DEADLINE, "it is no longer trusted")
    eventually(lambda: world.board.status.http_error == "no server is known", DEADLINE)
    assert world.stats.items == 1


def test_an_item_of_another_device_blocks_nobody_over_http(make):
    world = make(configured="api").start()
    world.muster.unbound = {7}
    world.muster.listen()
    world.put(1, n=7)
    ids = world.put(2)
    world.until_empty()
    assert world.muster.stored == ids
    assert world.board.counters.refused == 1


def test_on_a_full_disk_what_was_posted_is_not_posted_again_and_what_is_behind_it_goes_too(make):
    world = make(configured="api")
    ids = world.put(50)
    file = world.actors["outbox"]._file
    world.muster.listen()
    full = file.done

    def fail(*_):
        raise OutboxUnavailableError("the outbox is full of sand")

    file.done = fail
    world.start()
    world.muster.wait_stored(50)
    throughout(0.5, lambda: world.muster.copies == 0, "none is posted twice")
    assert world.stats.last_error == "the outbox is full of sand"
    file.done = full
    world.until_empty()
    eventually(lambda: world.stats.last_error == "", DEADLINE)
    assert (world.muster.stored, world.muster.copies) == (ids, 0)


def test_what_is_in_the_outbox_long_after_its_answer_is_posted_again(make, monkeypatch):
    """The file was corrupt, and another one counts from 1 again."""
    monkeypatch.setattr(uplink_module, "POST_AGAIN", 0.3)
    world = make(configured="api").start()
    world.muster.listen()
    world.put(3)
    world.until_empty()
    world.actors["uplink"]._posted_to = 1_000
    world.put(1)
    world.until_empty()


def test_a_new_uplink_that_finds_the_broker_away_trusts_the_server_that_has_just_been_found(make):
    world = make(configured="auto")
    world.stop_actor("link")
    world.watch.attempts = 10
    world.muster.listen()
    world.put(1)
    world.start()
    world.until_empty()
    assert (world.mode, world.losses) == ("api", 0)
