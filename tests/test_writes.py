"""The way to the writer: one batch per round, in order, whatever happens to the batcher."""

from __future__ import annotations

import pytest

from actors.messages import StoreEvent, StoreLastSeen, StoreReading, WriteBatch
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


def test_what_is_written_while_the_registry_is_away_waits_for_it_however_much_it_is(server):
    registry = server.services.get("registry")
    server.services.withdraw("registry", registry)
    for number in range(3_000):  # in as many rounds: more than a supervisor keeps for a child that is down
        server.outgoing.add(event(number))
        server.run()
    assert server.told["registry"] == []

    server.services.publish("registry", registry)
    server.advance(0.5)

    assert server.writes == [event(number) for number in range(3_000)]


def test_a_registry_that_is_away_is_looked_for_at_one_pace_however_much_is_written_meanwhile(server):
    server.services.withdraw("registry")
    for number in range(100):
        server.outgoing.add(event(number))
        server.run()

    assert len(server.runtime.timers) == 1


def test_of_too_much_for_an_absent_registry_only_readings_are_left_which_their_link_tells_again(server, monkeypatch):
    monkeypatch.setattr("actors.writes.MOST_HELD", 3)
    server.services.withdraw("registry")
    reading = StoreReading("A", "input", 1, b"x" * 16, 1, "", "mqtt", "{}", link="local.data", token=7)
    for write in (event(1), reading, event(2), reading):
        server.outgoing.add(write)
    server.run()

    assert server.outgoing._writes == [event(1), event(2)]
