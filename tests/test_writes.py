"""The way to the writer: one batch per round, in order, whatever happens to the batcher."""

from __future__ import annotations

import pytest

from actors.messages import StoreEvent, StoreLastSeen, WriteBatch
from actors.writes import LAST_SEEN_SLICE
from tests.support.world import Server


@pytest.fixture
def server() -> Server:
    return Server()


def event(number):
    return StoreEvent("test", "A", number, "{}")


def test_what_is_written_in_one_round_is_one_batch_in_order(server):
    for number in range(10):
        server.outgoing.add(event(number))
    server.run()

    assert server.told["registry"] == [WriteBatch([event(number) for number in range(10)])]


def test_times_of_last_sight_come_behind_the_writes_in_slices(server):
    for number in range(LAST_SEEN_SLICE + 1):
        server.outgoing.touch(str(number), number)
    server.outgoing.add(event(1))
    server.run()

    (batch,) = server.told["registry"]
    assert [type(write) for write in batch.items] == [StoreEvent, StoreLastSeen, StoreLastSeen]
    assert [len(write.items) for write in batch.items[1:]] == [LAST_SEEN_SLICE, 1]


def test_a_round_without_writes_tells_the_registry_nothing(server):
    server.outgoing.ask()
    server.run()

    assert server.told["registry"] == []


def test_what_was_written_while_the_batcher_was_down_is_sent_by_its_successor(server):
    server.runtime.kill(server.services.get("batcher"))
    server.outgoing.add(event(1))
    server.outgoing.add(event(2))
    server.run()
    server.advance(1.0)
    server.outgoing.add(event(3))
    server.run()

    assert server.writes == [event(1), event(2), event(3)]


def test_a_batcher_that_stops_sends_the_last_writes(server):
    server.outgoing.add(event(1))
    server.runtime.shutdown(server.services.get("batcher"))
    server.run()

    assert server.writes == [event(1)]


def test_a_page_that_cannot_be_told_does_not_hold_up_what_is_stored(server, caplog):
    def fail():
        raise ValueError("the page")

    server.outgoing.on_round_end = fail
    server.outgoing.add(event(1))
    server.run()

    assert server.writes == [event(1)]
    assert "its writes are sent all the same" in caplog.text
