"""The promise under fire: numbered messages stream in while something is done to the server; then they are counted."""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from tests.support.muster import Muster, query
from tests.support.processes import Process
from tests.support.wait import eventually


class Outcome(NamedTuple):
    """What became of one stream."""

    sent: int
    lost: list[int]
    twice: list[int]
    dead_letters: int
    kills: int
    seconds: float

    @property
    def kept(self) -> bool:
        """Every message is stored exactly once."""
        return not (self.lost or self.twice or self.dead_letters)


class Stream:
    """Messages `first` to `first + messages`, published by a process of its own to a running server."""

    def __init__(self, server: Muster, broker_url: str, *, first: int = 0, messages: int = 20_000, rate: float = 0.0):
        self.server = server
        self.first = first
        self.messages = messages
        self._after = self._last_id("reading")
        self._letters = self._last_id("dead_letter")
        options = ("--first", str(first), "--messages", str(messages), "--rate", str(rate))
        self.publisher = Process.module("tests.support.publisher", broker_url, *options)

    def _last_id(self, table: str) -> int:
        return query(self.server.database_url, f"SELECT coalesce(max(id), 0) FROM {table}")[0][0]

    @property
    def stored(self) -> int:
        """How many rows the stream has so far."""
        return query(self.server.database_url, f"SELECT count(*) FROM reading WHERE id > {self._after}")[0][0]

    def wait_stored(self, count: int, timeout: float = 60.0) -> None:
        """Wait until so many rows are there."""

        def enough() -> bool:
            assert self.publisher.returncode in (None, 0), self.publisher.describe()
            return self.stored >= count

        eventually(enough, timeout, f"{count} rows of the stream")

    def finish(self, timeout: float = 60.0) -> None:
        """Wait until everything is published, and everything that was is stored or refused."""
        assert self.publisher.wait(timeout) == 0, self.publisher.describe()
        with contextlib.suppress(AssertionError):  # what is missing is named by the comparison
            eventually(lambda: self.stored + self._refused() >= self.messages, timeout)
        self.server.wait_settled(timeout)

    def _refused(self) -> int:
        return query(self.server.database_url, f"SELECT count(*) FROM dead_letter WHERE id > {self._letters}")[0][0]

    def compare(self, *, kills: int = 0, seconds: float = 0.0) -> Outcome:
        """Compare message by message."""
        url = self.server.database_url
        number = (
            "(r.measures::json->>'seq')::int" if url.startswith("postgres") else "json_extract(r.measures, '$.seq')"
        )
        sql = f"SELECT d.serial, {number} FROM reading r JOIN device d ON d.id = r.device_id WHERE r.id > {self._after}"
        stored = Counter(number for serial, number in query(url, sql) if serial.startswith("CROWD-"))
        sent = Counter(range(self.first, self.first + self.messages))
        lost, twice = sorted((sent - stored).elements()), sorted((stored - sent).elements())
        return Outcome(self.messages, lost, twice, self._refused(), kills, seconds)


@contextlib.contextmanager
def streaming(server: Muster, broker_url: str, **options: float) -> Iterator[Stream]:
    """A stream that ends with the block, whatever happens."""
    stream = Stream(server, broker_url, **options)
    try:
        yield stream
    finally:
        stream.publisher.close()


def kill_round(
    server: Muster,
    broker_url: str,
    *,
    first: int = 0,
    messages: int = 20_000,
    kills: int = 1,
    chance: random.Random | None = None,
    timeout: float = 60.0,
) -> Outcome:
    """Stream messages into `server`, SIGKILL it `kills` times on the way and start it again; say what became of them.

    Kills are spread over the stream by what has been stored, each a little later by chance.
    """
    chance = chance or random.Random(first)
    started = time.monotonic()
    with streaming(server, broker_url, first=first, messages=messages) as stream:
        for number in range(kills):
            share = (number + chance.uniform(0.2, 0.8)) / (kills + 1)
            stream.wait_stored(int(messages * share), timeout)
            server.kill()
            server.restart()
        stream.finish(timeout)
        return stream.compare(kills=kills, seconds=time.monotonic() - started)
