from __future__ import annotations

import logging
import threading

import msgspec

from actors.followers.progress import Place, ProgressFile
from actors.followers.query import FindEnd
from actors.messages import DeleteDevice
from actors.storage.errors import StoreUnavailable
from tests.followers.support import Box, soil, station
from tests.storage.build import device, reading
from tests.support.wait import eventually


def commit(store, *writes):
    store.commit(list(writes))


def test_every_reading_comes_once_in_the_order_of_the_table_with_its_device(store, follow):
    logger = device("log-1", family="datalogger", site="plant")
    commit(store, station(), logger, soil(1), reading("log-1"), soil(2))
    box = Box()
    follower = follow(box)
    eventually(lambda: len(box.ids) == 3)
    commit(store, soil(3))
    follower.wake()
    eventually(lambda: len(box.ids) == 4)
    assert box.ids == [1, 2, 3, 4]
    assert [(row.serial, row.family, row.site) for row in box.rows[:2]] == [
        ("soil-1", "sensor", "harit-samarth"),
        ("log-1", "datalogger", "plant"),
    ]
    assert [row.measures for row in box.rows[2:]] == ['{"N":2,"pH":6.4}', '{"N":3,"pH":6.4}']


def test_a_new_sink_begins_at_the_present_end_of_the_table(store, follow):
    commit(store, station(), soil(1), soil(2))
    box = Box()
    follower = follow(box, from_start=False)
    eventually(lambda: follower.board.status.cursor == 2)
    commit(store, soil(3))
    follower.wake()
    eventually(lambda: box.ids == [3])


def test_the_place_where_a_new_sink_began_survives_a_stop_without_any_reading(store, follow):
    commit(store, station(), soil(1))
    first = follow(Box(), from_start=False)
    eventually(lambda: first.board.status.cursor == 1)
    first.stop()
    commit(store, soil(2))
    box = Box()
    follow(box, from_start=False)
    eventually(lambda: box.ids == [2])


def test_a_sink_without_a_cursor_goes_on_where_it_stood(store, follow):
    commit(store, station(), soil(1), soil(2))
    first = follow(Box())
    eventually(lambda: first.board.status.cursor == 2)
    first.ref.stop(timeout=10)
    commit(store, soil(3))
    box = Box()
    follow(box)
    eventually(lambda: box.ids == [3])


def test_the_cursor_of_the_sink_itself_is_believed_before_the_note(store, follow, tmp_path):
    commit(store, station(), *(soil(at) for at in range(1, 6)))
    ProgressFile(tmp_path / "followers" / "box.json").save(Place(2, 4))
    box = Box(cursor=3)
    follow(box)
    eventually(lambda: box.ids == [4, 5])


def test_what_a_sink_was_not_to_have_is_not_looked_at_again_after_a_stop(store, follow, tmp_path):
    commit(store, station(), device("log-1"), soil(1), *(reading("log-1", at=at) for at in range(5)))
    first = follow(Box(cursor=0), is_ours=lambda row: row.family == "sensor")
    eventually(lambda: first.board.status.cursor == 6)
    first.stop()
    note = msgspec.json.decode((tmp_path / "followers" / "box.json").read_bytes(), type=Place)
    assert note == Place(1, 6)
    box = Box(cursor=1)
    second = follow(box, is_ours=lambda _row: True)
    eventually(lambda: second.board.status.cursor == 6)
    assert box.ids == []


def test_an_unreadable_note_counts_as_none(store, follow, tmp_path):
    commit(store, station(), soil(1))
    (tmp_path / "followers").mkdir()
    (tmp_path / "followers" / "box.json").write_bytes(b'{"writ')
    box = Box()
    follow(box)
    eventually(lambda: box.ids == [1])


def test_a_hundred_wakes_make_one_pass(store, follow, readers):
    commit(store, station(), soil(1))
    asked = []
    follower = follow(Box(), every=3600.0, ask=lambda query: asked.append(query) or readers.ask(query))
    eventually(lambda: follower.board.status.cursor == 1)
    count = len(asked)
    for _ in range(100):
        follower.wake()
    follower.settle()
    assert len(asked) == count


def test_at_rest_it_does_nothing(store, follow, readers, runtime):
    commit(store, station(), soil(1))
    follower = follow(Box())
    eventually(lambda: follower.board.status.cursor == 1)
    follower.wake()
    eventually(lambda: len(runtime.timers) == 0)
    follower.settle()
    eventually(lambda: len(runtime.timers) == 0)


def test_a_backlog_comes_in_batches_and_a_stop_comes_in_between(store, follow):
    commit(store, station(), *(soil(at) for at in range(1, 251)))
    box = Box()
    box.gate.clear()
    follower = follow(box, batch=100)
    assert box.entered.wait(10)
    stopped = follower.ref.stop(block=False)
    box.gate.set()
    stopped.get(timeout=10)
    assert [len(batch) for batch in box.batches] == [100]
    rest = Box()
    follow(rest, batch=100)
    eventually(lambda: box.ids + rest.ids == list(range(1, 251)))
    assert all(len(batch) <= 100 for batch in rest.batches)


def test_a_sink_that_fails_gets_the_same_batch_again_and_nothing_is_lost(store, follow, caplog):
    caplog.set_level(logging.INFO)
    commit(store, station(), soil(1), soil(2))
    box = Box()
    box.error = OSError("the other side is away")
    follower = follow(box)
    eventually(lambda: len(box.refused) >= 2, 20)
    commit(store, soil(3))
    follower.wake()
    eventually(lambda: follower.board.status.lag == 3, 20)
    status = follower.board.status
    assert not status.ok
    assert status.errors >= 2
    assert "the other side is away" in status.last_error
    assert all(ids == [1, 2] for ids in box.refused)
    box.error = None
    eventually(lambda: box.ids == [1, 2, 3], 30)
    eventually(lambda: follower.board.status.ok and follower.board.status.lag == 0)
    assert follower.board.status.written == 3
    assert len([record for record in caplog.records if "waits at row" in record.message]) == 1
    assert len([record for record in caplog.records if "works again" in record.message]) == 1


def test_a_sink_that_cannot_be_opened_is_tried_again_without_a_crash(store, follow):
    commit(store, station(), soil(1))
    boxes = []

    def make():
        boxes.append(Box())
        boxes[-1].open = lambda: 1 / 0 if len(boxes) < 3 else None
        return boxes[-1]

    follower = follow(make)
    eventually(lambda: len(boxes) == 3 and boxes[-1].ids == [1], 20)
    assert [box.closed for box in boxes[:2]] == [1, 1]
    assert follower.ref.is_alive()


def test_a_database_that_is_not_there_yet_is_waited_for(follow, make_store):
    box = Box()
    follower = follow(box)
    eventually(lambda: not follower.board.status.ok)
    assert follower.board.status.last_error
    store = make_store()
    commit(store, station(), soil(1))
    eventually(lambda: box.ids == [1], 30)
    eventually(lambda: follower.board.status.ok)


def test_a_database_that_goes_away_costs_only_time(store, follow, readers):
    commit(store, station(), soil(1))
    away = []

    def ask(query):
        if away:
            raise StoreUnavailable("no answer")
        return readers.ask(query)

    box = Box()
    follower = follow(box, ask=ask)
    eventually(lambda: box.ids == [1])
    away.append(True)
    commit(store, soil(2))
    follower.wake()
    eventually(lambda: not follower.board.status.ok)
    away.clear()
    eventually(lambda: box.ids == [1, 2], 30)


def test_what_is_committed_while_the_database_is_away_needs_no_further_wake(store, follow, readers):
    commit(store, station(), soil(1))
    away, asked = [True], threading.Event()

    def ask(query):
        asked.set()
        if away:
            raise StoreUnavailable("no answer")
        return readers.ask(query)

    box = Box()
    follower = follow(box, ask=ask)
    assert asked.wait(10)  # the end of this pass is known: reading 1
    commit(store, soil(2))
    follower.wake()
    follower.settle()
    away.clear()
    eventually(lambda: box.ids == [1, 2], 30)


def test_what_is_committed_during_a_backlog_needs_no_further_wake(store, follow):
    commit(store, station(), *(soil(at) for at in range(1, 5)))
    box = Box()
    box.gate.clear()
    follower = follow(box, batch=2)
    assert box.entered.wait(10)
    commit(store, soil(5))
    follower.wake()
    box.gate.set()
    eventually(lambda: box.ids == [1, 2, 3, 4, 5])


def test_the_readings_of_deleted_devices_are_passed_over(store, follow):
    commit(store, station(), station("soil-2"), soil(1), soil(2, "soil-2"), soil(3))
    commit(store, DeleteDevice("soil-2"))
    box = Box()
    follow(box)
    eventually(lambda: box.ids == [1, 3])


def test_rows_of_other_servers_are_left_to_them(store, follow, tmp_path):
    commit(store, station("soil-1", "north"), station("soil-2", "south"))
    for at in range(1, 31):
        commit(store, soil(at, f"soil-{1 + at % 2}"))
    north, south = Box(), Box()
    follow(north, is_ours=lambda row: row.site == "north", progress=ProgressFile(tmp_path / "n.json"))
    follow(south, is_ours=lambda row: row.site == "south", progress=ProgressFile(tmp_path / "s.json"))
    eventually(lambda: len(north.ids) == len(south.ids) == 15)
    assert sorted(north.ids + south.ids) == list(range(1, 31))


def test_it_goes_no_further_than_its_own_writer_has_come(store, follow):
    """Rows of another server may be seen while ours, with lower ids, are still being committed."""
    commit(store, station("soil-1", "north"), station("soil-2", "south"), soil(1, "soil-2"), soil(2, "soil-2"))
    end = [0]
    box = Box()
    follower = follow(box, is_ours=lambda row: row.site == "north", find_end=lambda: end[0])
    eventually(lambda: follower.board.status.since)
    follower.wake()
    follower.settle()
    assert follower.board.status.cursor == 0
    commit(store, soil(3, "soil-1"))
    end[0] = 3
    follower.wake()
    eventually(lambda: box.ids == [3])


def test_another_database_is_followed_from_its_end(store, follow, tmp_path, caplog):
    ProgressFile(tmp_path / "followers" / "box.json").save(Place(5000, 5000))
    commit(store, station(), soil(1))
    box = Box(cursor=5000)
    follower = follow(box)
    eventually(lambda: follower.board.status.cursor == 1)
    assert "another one or was restored" in caplog.text
    follower.stop()
    commit(store, soil(2))
    again = Box(cursor=5000)
    follow(again)
    eventually(lambda: again.ids == [2])


def test_the_sink_is_closed_by_a_stop_and_by_a_crash(store, follow, runtime):
    commit(store, station(), soil(1))
    stopped = Box()
    first = follow(stopped)
    eventually(lambda: stopped.ids == [1])
    first.stop()
    assert stopped.closed == 1

    class Broken(Box):
        def write(self, rows):
            raise SystemExit

    crashed = Broken(cursor=0)
    second = follow(crashed, find_end=lambda: 1)
    eventually(lambda: not second.ref.is_alive())
    eventually(lambda: crashed.closed == 1)


def test_a_follower_that_was_given_up_in_a_write_leaves_everything_to_its_successor(store, follow, runtime, tmp_path):
    commit(store, station(), soil(1))
    hung = Box()
    hung.gate.clear()
    follower = follow(hung)
    assert hung.entered.wait(10)
    runtime.kill(follower.ref)
    box = Box()
    follow(box)
    eventually(lambda: box.ids == [1])
    commit(store, soil(2))
    note = (tmp_path / "followers" / "box.json").read_bytes()
    hung.gate.set()
    eventually(lambda: hung.closed == 1)
    assert (tmp_path / "followers" / "box.json").read_bytes() == note


def test_the_end_of_an_empty_table_is_nought(store, readers):
    assert readers.ask(FindEnd()) == 0
