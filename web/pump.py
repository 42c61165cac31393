"""All event streams, served by one thread.

A request for events hands its connection over once its headers are written, and holds no thread of the server any more.
At most four times a second the pump looks at the ring for all of them: what is new is read once for each place in the
ring that streams have got to, and put together once for each choice of events. Nothing waits for a client. What he has
not taken yet is kept, one look's worth at most, and he is written nothing newer until he has: who stays behind falls
off the ring and is told to fetch everything again, at no cost to others.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Final, Literal, NamedTuple, Protocol

from actors.events import Batch, Event, EventRing, coalesce
from actors.sockets import tune
from web.board import HttpBoard

WAKE: Final = 0.25
"""Seconds between two looks at the ring."""
BEAT_EVERY: Final = 10.0
"""Seconds between two signs of life."""
CHECK_EVERY: Final = 1.0
"""Seconds between two questions whether those who listen still may."""
BATCH: Final = 2000
"""Events read from the ring at one look."""
LOOK_BYTES: Final = 256 * 1024
"""Bytes written to one stream at one look, give or take an event, and so the most that is kept for a slow client."""
CATCHING_UP: Final = 16
"""Places in the ring behind that of most streams which are served at one look; the other streams wait for the next."""
TAKE_WITHIN: Final = 30.0
"""Seconds in which a client takes what was written to him, or is cut."""
SEND_BUFFER: Final = 128 * 1024
"""Bytes that the kernel may keep for one client: what he takes must not be minutes old."""
MOST_SAID: Final = 4096
"""Bytes that a client may send behind his request, which has no use for any."""
LAST_CHUNK: Final = b"0\r\n\r\n"
WOULD_BLOCK: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

HAND_OVER: Final = "muster.hand_over"
"""Where in its environment an application finds what gives the connection of a `Stream` to the pump."""

Ended = Literal["closed", "stuck", "rude", "revoked", "stopped"]
"""Why a stream ended: the client went, took nothing for long, said too much; his token ended; the server stops."""
Missed = Literal["gone", "slow", "flood"]
"""Why a client has to fetch everything again: what he saw last is not in the ring any more; he was slow; more has
happened at once than is told one by one."""


class Choice(NamedTuple):
    """Which events a stream is for."""

    kinds: frozenset[str] = frozenset()
    """Empty for all."""
    device: str = ""
    """Leaves out what is about another one; empty for none."""

    def takes(self, event: Event) -> bool:
        """Tell whether an event is among them."""
        return (not self.kinds or event.kind in self.kinds) and (not self.device or event.serial in ("", self.device))


class Written(NamedTuple):
    """What a stream is written at one look."""

    data: bytes
    seq: int
    """Where in the ring it is then."""
    resync: bool


class Look:
    """One look at the ring for all streams: each place is read once, each choice of it put together once."""

    def __init__(self, ring: EventRing, *, beat: bool = False) -> None:
        self._ring = ring
        self._beat = beat
        self._batches: dict[int, Batch] = {}
        self._written: dict[tuple[int, Choice, bool], Written] = {}

    def at(self, seq: int, choice: Choice, *, chunked: bool = False) -> Written:
        """Return what is new to a stream that has got to `seq`."""
        key = (seq, choice, chunked)
        written = self._written.get(key)
        if written is None:
            data, reached, resync = self._write(seq, choice)
            if self._beat:
                data += beat(self._ring, reached)
            written = Written(_chunk(data) if chunked and data else data, reached, resync)
            self._written[key] = written
        return written

    def _write(self, seq: int, choice: Choice) -> Written:
        batch = self._batches.get(seq)
        if batch is None:
            batch = self._batches[seq] = self._ring.since(seq, BATCH)
        if batch.resync:
            return Written(resync(self._ring, batch.seq), batch.seq, resync=True)
        wanted = coalesce([event for event in batch.events if choice.takes(event)])
        fitting = _fitting(wanted)
        reached = batch.seq if len(fitting) == len(wanted) else fitting[-1].seq
        return Written(b"".join(event.frame for event in fitting), reached, resync=False)


def resync(ring: EventRing, seq: int) -> bytes:
    """Return what tells a client to fetch everything again, and to go on from `seq`."""
    return b"id: %s\nevent: resync\ndata: {}\n\n" % ring.event_id(seq).encode()


def beat(ring: EventRing, seq: int) -> bytes:
    """Return a sign of life. The comment keeps proxies open; the event tells a quiet fleet from a dead connection.

    Its id is where the stream is: who wants few kinds would come back with one that has left the ring long ago.
    """
    return b": beat\nid: %s\nevent: beat\ndata: {}\n\n" % ring.event_id(seq).encode()


def _fitting(events: list[Event]) -> list[Event]:
    size = 0
    for number, event in enumerate(events):
        size += len(event.frame)
        if size > LOOK_BYTES and number:
            return events[:number]
    return events


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Wire(Protocol):
    """What a stream is written to: a connection of the listener."""

    socket: socket.socket

    def close(self) -> None:
        """Close it."""
        ...


class Stream:
    """One client who listens. Whoever has it last calls `release`."""

    def __init__(
        self, choice: Choice, seq: int, *, who: Hashable, may_stay: Callable[[], bool], release: Callable[[], None]
    ) -> None:
        """Assign.

        Args:
            choice: which events it is for.
            seq: the number of the last event that the client has seen.
            who: streams of the same one are asked about together.
            may_stay: tells whether he may still listen; may wait for the database.
            release: gives back what the stream holds; called once.

        """
        self.choice = choice
        self.seq = seq
        self.who = who
        self.may_stay = may_stay
        self.chunked = False
        """Whether it is written in the chunks of HTTP/1.1, as its headers say."""
        self.pending = memoryview(b"")
        """What the client has not taken yet."""
        self.due = 0.0
        """Until when he has to; monotonic seconds."""
        self.slow = False
        """Whether he has kept something waiting since he was up to date."""
        self.said = 0
        """Bytes that he has sent."""
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        """Give back what it holds; once, however often it is called."""
        release, self._release = self._release, None
        if release is not None:
            release()


class Pump:
    """Serves all streams. `run` on a thread of its own, all else from any thread, `look` from tests."""

    def __init__(self, ring: EventRing, board: HttpBoard, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._ring = ring
        self._board = board
        self._monotonic = monotonic
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            end.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._streams: dict[Stream, Wire] = {}
        self._coming: deque[tuple[Stream, Wire]] = deque()
        self._condemned: deque[Stream] = deque()
        self._next_beat = monotonic() + BEAT_EVERY
        self._lock = threading.Lock()
        self._stopped = False

    def take(self, stream: Stream, wire: Wire) -> None:
        """Serve a stream from now on: what has been written to it so far has been taken."""
        with self._lock:
            if not self._stopped:
                self._coming.append((stream, wire))
                self._wake()
                return
        wire.close()
        stream.release()

    def check(self) -> None:
        """End the streams of those who may not listen any more; called every second or so, may take its time."""
        verdicts: dict[Hashable, bool] = {}
        for stream in list(self._streams):
            if stream.who not in verdicts:
                verdicts[stream.who] = stream.may_stay()
            if not verdicts[stream.who]:
                self._condemned.append(stream)
        if self._condemned:
            self._wake()

    def stop(self) -> None:
        """End all streams, and `run`; returns at once."""
        with self._lock:
            if not self._stopped:
                self._stopped = True
                self._wake()

    def run(self) -> None:
        """Serve until `stop`. Without streams it sleeps."""
        due = 0.0
        try:
            while not self._stopped:
                self.serve(max(0.0, due - self._monotonic()) if self._streams else None)
                now = self._monotonic()
                if now >= due:
                    due = now + WAKE
                    self.look(now)
        finally:
            self.close()

    def close(self) -> None:
        """End all streams and give back what it holds; where `run` was called, that does so at its end."""
        self.stop()
        while self._coming:
            self._adopt(*self._coming.popleft())
        for stream in list(self._streams):
            self._end(stream, "stopped")
        self._selector.close()
        self._woken.close()
        self._waker.close()

    def serve(self, timeout: float | None = 0.0) -> None:
        """Wait for so many seconds, or for clients; see to those who come, go, or take what waits for them."""
        for key, events in self._selector.select(timeout):
            if key.data is None:
                self._drain()
                continue
            if events & selectors.EVENT_READ:
                self._hear(key.data)
            if events & selectors.EVENT_WRITE:
                self._send(key.data)
        while self._coming:
            self._adopt(*self._coming.popleft())
        while self._condemned:
            self._end(self._condemned.popleft(), "revoked")

    def look(self, now: float) -> None:
        """Write to each stream what is new to it (monotonic `now`)."""
        look = Look(self._ring, beat=now >= self._next_beat)
        if now >= self._next_beat:
            self._next_beat = now + BEAT_EVERY
        ready: list[Stream] = []
        for stream in list(self._streams):
            if not stream.pending:
                ready.append(stream)
            elif stream.due < now:
                self._end(stream, "stuck")
        served = _served({stream.seq for stream in ready})
        for stream in ready:
            if stream.seq in served:
                self._write(stream, look.at(stream.seq, stream.choice, chunked=stream.chunked), now)

    def _write(self, stream: Stream, written: Written, now: float) -> None:
        if written.resync:
            self._board.miss("slow" if stream.slow else "flood")
        stream.seq = written.seq
        stream.slow = stream.slow and written.seq != self._ring.last
        if written.data:
            stream.pending, stream.due = memoryview(written.data), now + TAKE_WITHIN
            self._send(stream)
            stream.slow = stream.slow or bool(stream.pending)

    def _send(self, stream: Stream) -> None:
        """Write what the client takes without waiting; the selector tells when he takes more."""
        wire = self._streams.get(stream)
        if wire is None:
            return
        try:
            while stream.pending:
                stream.pending = stream.pending[wire.socket.send(stream.pending) :]
        except WOULD_BLOCK:
            pass
        except OSError:
            self._end(stream, "closed")
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if stream.pending else 0)
        if self._selector.get_key(wire.socket).events != events:
            self._selector.modify(wire.socket, events, stream)

    def _hear(self, stream: Stream) -> None:
        """Notice the end of a client, who has nothing more to say."""
        try:
            said = len(self._streams[stream].socket.recv(MOST_SAID))
        except WOULD_BLOCK:
            return
        except OSError:
            said = 0
        stream.said += said
        if not said:
            self._end(stream, "closed")
        elif stream.said > MOST_SAID:
            self._end(stream, "rude")

    def _adopt(self, stream: Stream, wire: Wire) -> None:
        try:
            wire.socket.settimeout(0)
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            tune(wire.socket)
            self._selector.register(wire.socket, selectors.EVENT_READ, stream)
        except (OSError, ValueError):
            # The client is gone, or the kernel watches no more of them.
            self._board.streams_ended["closed"] += 1
            self._let_go(stream, wire)
            return
        self._streams[stream] = wire
        self._board.streams = len(self._streams)

    def _end(self, stream: Stream, why: Ended) -> None:
        wire = self._streams.pop(stream, None)
        if wire is None:
            return
        self._selector.unregister(wire.socket)
        self._board.streams = len(self._streams)
        self._board.streams_ended[why] += 1
        if stream.chunked and not stream.pending and why != "closed":
            with suppress(OSError):
                wire.socket.send(LAST_CHUNK)
        self._let_go(stream, wire)

    @staticmethod
    def _let_go(stream: Stream, wire: Wire) -> None:
        with suppress(OSError):
            wire.close()
        stream.release()

    def _wake(self) -> None:
        # Full, it wakes all the same; closed, nobody sleeps.
        with suppress(OSError):
            self._waker.send(b"x")

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass


def _served(places: set[int]) -> set[int]:
    """Return the places in the ring that are read at this look: the foremost, where most are, and the last ones."""
    if len(places) <= CATCHING_UP:
        return places
    return {max(places), *sorted(places)[:CATCHING_UP]}
