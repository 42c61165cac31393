"""The thread that serves all event streams: slow clients, gone clients, tokens that end."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time

import pytest

from actors.events import EventRing
from tests.support.wait import eventually, throughout
from tests.web.test_stream import choice, ids_in, kinds_in
from web.board import HttpBoard
from web.pump import BEAT_EVERY, CATCHING_UP, LOOK_BYTES, MOST_SAID, SEND_BUFFER, TAKE_WITHIN, Pump, Stream

MUCH = {"x": "x" * 4000}


class Wire:
    """The server's end of a connection."""

    def __init__(self, sock):
        self.socket = sock
        self.closed = False

    def close(self):
        self.closed = True
        self.socket.close()


class Desk:
    """A pump that is moved by hand, and clients of it."""

    def __init__(self, monotonic=None):
        self.ring = EventRing(1000)
        self.board = HttpBoard()
        self.now = 0.0
        self.pump = Pump(self.ring, self.board, monotonic or (lambda: self.now))
        self.stay = {}
        self.asked = []
        self.released = []
        self.stack = contextlib.ExitStack()

    def open(self, *kinds, **given):
        client = self.hand_over(*kinds, **given)
        self.pump.serve()
        return client

    def hand_over(self, *kinds, who="me", seq=None, chunked=False):
        ours, theirs = socket.socketpair()
        self.stack.enter_context(ours)
        client = self.stack.enter_context(theirs)
        client.settimeout(5)

        def may_stay():
            self.asked.append(who)
            return self.stay.get(who, True)

        stream = Stream(
            choice(*kinds),
            self.ring.last if seq is None else seq,
            who=who,
            may_stay=may_stay,
            release=lambda: self.released.append(client),
        )
        stream.chunked = chunked
        self.pump.take(stream, Wire(ours))
        return client

    def look(self, after=0.25):
        self.now += after
        self.pump.serve()
        self.pump.look(self.now)

    def fill(self, count, kind="restart", body=None):
        for number in range(count):
            self.ring.publish(kind, "", body or {"n": number})

    def stall(self, client):
        """Let so much happen that the client, who reads nothing, keeps the pump waiting."""
        while not any(stream.pending for stream in self.pump._streams):
            self.fill(50, body=MUCH)
            self.look(0.01)
        return client

    @property
    def ended(self):
        return dict(self.board.streams_ended)


@pytest.fixture
def desk():
    made = Desk()
    with made.stack:
        yield made
        made.pump.stop()
        made.pump.run()


def received(client):
    """All that is there."""
    client.setblocking(False)
    parts = []
    with contextlib.suppress(BlockingIOError):
        while part := client.recv(1 << 20):
            parts.append(part)
    client.settimeout(5)
    return b"".join(parts)


def test_each_stream_is_written_what_it_asked_for(desk):
    all_, some = desk.open(), desk.open("presence")
    desk.ring.publish("presence", "a", {})
    desk.ring.publish("scan", "a", {})
    desk.look()
    assert kinds_in(received(all_)) == ["presence", "scan"]
    assert kinds_in(received(some)) == ["presence"]
    desk.look()
    assert received(all_) == received(some) == b""


def test_a_sign_of_life_comes_every_ten_seconds(desk):
    client = desk.open()
    beats = 0
    for _ in range(int(3 * BEAT_EVERY / 0.25)):
        desk.look()
        beats += received(client).count(b"event: beat")
    assert beats == 3


def test_a_stream_of_http_1_1_gets_chunks_and_their_end(desk):
    client = desk.open(chunked=True)
    desk.ring.publish("presence", "a", {})
    desk.look()
    size, _, rest = received(client).partition(b"\r\n")
    assert int(size, 16) == len(rest) - 2
    desk.pump.stop()
    desk.pump.run()
    assert client.recv(100) == b"0\r\n\r\n"
    assert client.recv(100) == b""


# Those who take little


def test_a_client_that_takes_nothing_costs_a_bounded_amount(desk):
    client = desk.stall(desk.open())
    (stream,) = desk.pump._streams
    kept = len(stream.pending)
    for _ in range(20):
        desk.fill(100, body=MUCH)
        desk.look(0.1)
    assert len(stream.pending) == kept <= LOOK_BYTES + 5000
    assert len(received(client)) < 4 * SEND_BUFFER


def test_a_client_that_was_slow_goes_on_where_he_was(desk):
    client = desk.stall(desk.open())
    seen = []
    while len(seen) < desk.ring.last:
        seen += ids_in(received(client))
        desk.look(0.01)
    assert seen == [desk.ring.event_id(seq) for seq in range(1, desk.ring.last + 1)]
    assert desk.board.resyncs == {}


def test_a_client_that_stayed_behind_is_told_to_resync_and_it_is_counted(desk):
    client = desk.stall(desk.open())
    desk.fill(2000)
    written = b""
    while b"event: resync" not in written:
        written += received(client)
        desk.look(0.01)
    assert kinds_in(written)[-1] == "resync"
    assert desk.board.resyncs == {"slow": 1}
    desk.ring.publish("presence", "a", {})
    desk.look()
    assert kinds_in(received(client)) == ["presence"]


def test_a_flood_that_nobody_could_be_told_is_a_resync_with_another_reason(desk):
    client = desk.open()
    desk.ring.skip()
    desk.look()
    assert kinds_in(received(client)) == ["resync"]
    assert desk.board.resyncs == {"flood": 1}


def test_a_slow_client_keeps_nothing_from_others(desk):
    desk.stall(desk.open())
    quick = desk.open()
    desk.ring.publish("presence", "a", {})
    desk.look()
    assert kinds_in(received(quick)) == ["presence"]


def test_a_client_that_takes_nothing_for_long_is_cut(desk):
    client = desk.stall(desk.open())
    desk.look(TAKE_WITHIN - 1)
    assert desk.ended == {}
    desk.look(2)
    assert desk.ended == {"stuck": 1}
    assert desk.released == [client]


def test_those_far_behind_are_led_on_a_few_places_at_a_time(desk, monkeypatch):
    desk.fill(900)
    clients = [desk.open(seq=seq * 10) for seq in range(CATCHING_UP * 2)]
    front = desk.open()
    read = []
    since = desk.ring.since
    monkeypatch.setattr(desk.ring, "since", lambda seq, limit: read.append(seq) or since(seq, limit))
    desk.ring.publish("scan", "new", {})
    desk.look()
    assert len(read) == CATCHING_UP + 1
    assert kinds_in(received(front)) == ["scan"]
    desk.look()
    assert all(ids_in(received(client))[-1] == desk.ring.event_id(901) for client in clients)


# Those who go


def test_a_client_that_goes_is_noticed_without_being_written_to(desk):
    client = desk.open()
    assert desk.board.streams == 1
    client.close()
    desk.pump.serve()
    assert (desk.ended, desk.released, desk.board.streams) == ({"closed": 1}, [client], 0)


def test_a_client_that_goes_while_something_waits_for_him_is_noticed(desk):
    client = desk.stall(desk.open())
    client.close()
    desk.pump.serve()
    assert (desk.ended, desk.released) == ({"closed": 1}, [client])


def test_a_client_that_talks_on_is_cut(desk):
    client = desk.open()
    client.sendall(b"x" * MOST_SAID)
    desk.pump.serve()
    assert desk.ended == {}
    client.sendall(b"x")
    desk.pump.serve()
    assert (desk.ended, desk.released) == ({"rude": 1}, [client])


def test_a_token_that_is_revoked_ends_its_streams_and_no_others(desk):
    mine, yours = desk.open(who="me"), desk.open(who="you")
    desk.stay["me"] = False
    desk.pump.check()
    desk.pump.serve()
    assert (desk.ended, desk.released) == ({"revoked": 1}, [mine])
    assert mine.recv(10) == b""
    desk.ring.publish("presence", "a", {})
    desk.look()
    assert kinds_in(received(yours)) == ["presence"]


def test_streams_of_one_token_are_asked_about_once_and_never_at_a_look(desk):
    for _ in range(10):
        desk.open(who="me")
    desk.open(who="you")
    desk.fill(10)
    desk.look(BEAT_EVERY)
    assert desk.asked == []
    desk.pump.check()
    assert sorted(desk.asked) == ["me", "you"]


def test_a_stream_that_comes_when_all_is_over_is_closed(desk):
    desk.pump.stop()
    client = desk.hand_over()
    assert client.recv(10) == b""
    assert desk.released == [client]


def test_a_client_that_is_gone_before_the_pump_has_him_is_noticed(desk):
    client = desk.hand_over()
    client.close()
    desk.pump.serve()
    desk.pump.serve()
    assert desk.released == [client]


def test_a_stream_that_the_kernel_does_not_watch_ends_alone(desk, monkeypatch):
    other = desk.open()

    def refuse(*_):
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr(desk.pump._selector, "register", refuse)
        client = desk.open()
    assert client.recv(10) == b""
    assert (desk.released, desk.ended, desk.board.streams) == ([client], {"closed": 1}, 1)
    desk.ring.publish("presence", "a", {})
    desk.look()
    assert kinds_in(received(other)) == ["presence"]


def test_a_connection_that_cannot_be_closed_keeps_no_other_open(desk, monkeypatch):
    clients = [desk.open() for _ in range(3)]

    def fail(wire):
        wire.socket.close()
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(Wire, "close", fail)
    desk.pump.stop()
    desk.pump.run()
    assert [client.recv(10) for client in clients] == [b""] * 3
    assert sorted(map(id, desk.released)) == sorted(map(id, clients))


# The thread


@pytest.fixture
def running():
    made = Desk(time.monotonic)
    thread = threading.Thread(target=made.pump.run)
    thread.start()
    with made.stack:
        yield made
        made.pump.stop()
        thread.join(10)
    assert not thread.is_alive()


def test_hundreds_of_streams_are_served_by_one_thread(running):
    before = threading.active_count()
    clients = [running.hand_over() for _ in range(200)]
    eventually(lambda: running.board.streams == 200, what="all of them")
    running.ring.publish("presence", "a", {})
    assert all(kinds_in(client.recv(1000)) == ["presence"] for client in clients)
    assert threading.active_count() == before


def test_without_streams_it_sleeps_until_one_comes(running, monkeypatch):
    looks = []
    monkeypatch.setattr(running.pump, "look", looks.append)
    running.hand_over().close()
    eventually(lambda: running.board.streams_ended["closed"], what="the end of the only stream")
    looks.clear()
    throughout(0.6, lambda: len(looks) <= 1, what="its sleep")
    running.hand_over()
    eventually(lambda: looks, what="a look")
