"""`actors.events`: the ring of live events."""

from __future__ import annotations

import json
import threading

from actors.events import EventRing, coalesce


def fill(ring, count, kind="restart"):
    for number in range(count):
        ring.publish(kind, "", {"number": number})


def test_a_reader_gets_what_came_after_its_number_in_order():
    ring = EventRing(10)
    fill(ring, 3)
    batch = ring.since(1)
    assert [event.seq for event in batch.events] == [2, 3]
    assert (batch.seq, batch.resync) == (3, False)


def test_a_reader_that_is_up_to_date_gets_nothing():
    ring = EventRing(10)
    fill(ring, 3)
    assert ring.since(3) == ([], 3, False)


def test_an_event_is_a_complete_frame_with_an_id_of_this_ring():
    ring = EventRing(10)
    ring.publish("presence", "pi-1", {"serial": "pi-1", "presence": "online"})
    lines = ring.since(0).events[0].frame.decode().split("\n")
    assert lines[:2] == [f"id: {ring.epoch}-1", "event: presence"]
    assert json.loads(lines[2].removeprefix("data: ")) == {"serial": "pi-1", "presence": "online"}
    assert lines[3:] == ["", ""]


def test_a_line_break_in_the_data_cannot_end_the_frame():
    ring = EventRing(10)
    ring.publish("device", "x", {"label": "a\n\nevent: forged\ndata: {}"})
    assert ring.since(0).events[0].frame.count(b"\n") == 4


def test_a_reader_exactly_as_far_behind_as_the_ring_is_long_loses_nothing():
    ring = EventRing(4)
    fill(ring, 9)
    assert [event.seq for event in ring.since(5).events] == [6, 7, 8, 9]


def test_a_reader_that_fell_off_must_resync_and_goes_on_from_the_newest():
    ring = EventRing(4)
    fill(ring, 9)
    assert ring.since(4) == ([], 9, True)
    fill(ring, 1)
    assert len(ring.since(9).events) == 1


def test_a_number_from_the_future_is_a_resync():
    ring = EventRing(4)
    fill(ring, 2)
    assert ring.since(3).resync


def test_a_batch_is_limited_and_the_rest_comes_next():
    ring = EventRing(100)
    fill(ring, 50)
    first = ring.since(0, limit=20)
    assert (len(first.events), first.seq) == (20, 20)
    assert len(ring.since(first.seq, limit=100).events) == 30


def test_only_ids_of_this_ring_are_understood():
    ring = EventRing(4)
    assert ring.parse_id(ring.event_id(17)) == 17
    for foreign in ("", "17", "00000000-17", f"{ring.epoch}-", f"{ring.epoch}-x", f"{ring.epoch}-{'9' * 30}"):
        assert ring.parse_id(foreign) is None


def test_of_one_devices_states_only_the_latest_is_kept_and_in_its_place():
    ring = EventRing(10)
    ring.publish("presence", "a", {"presence": "online"})
    ring.publish("restart", "", {})
    ring.publish("presence", "b", {"presence": "online"})
    ring.publish("restart", "", {})
    ring.publish("presence", "a", {"presence": "offline"})
    assert [event.seq for event in coalesce(ring.since(0).events)] == [2, 3, 4, 5]


def test_a_state_of_another_kind_supersedes_nothing():
    ring = EventRing(10)
    ring.publish("presence", "a", {})
    ring.publish("device", "a", {})
    assert len(coalesce(ring.since(0).events)) == 2


def test_readers_see_every_event_once_while_threads_publish():
    ring = EventRing(100_000)
    seen = []
    done = threading.Event()

    def read():
        seq = 0
        while not (done.is_set() and seq == ring.last):
            batch = ring.since(seq, limit=97)
            assert not batch.resync
            seen.extend(event.seq for event in batch.events)
            seq = batch.seq

    reader = threading.Thread(target=read)
    reader.start()
    writers = [threading.Thread(target=fill, args=(ring, 2000)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(20)
    done.set()
    reader.join(20)
    assert seen == list(range(1, 8001))


def test_an_event_tells_the_device_that_it_is_about():
    ring = EventRing(10)
    ring.publish("presence", "pi-1", {})
    ring.publish("alarm", "7", {}, "pi-2")
    ring.publish("link", "local.data", {})
    assert [event.serial for event in ring.since(0).events] == ["pi-1", "pi-2", ""]
