from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from actors.followers.follower import WAKE, FollowerActor
from actors.followers.progress import ProgressFile
from actors.followers.query import FindEnd
from actors.reader import ReaderActor, Readers
from actors.runtime import Directory, Runtime
from actors.storage.database import open_database
from actors.storage.store import Store


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/muster.db"


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    running = Runtime.system()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def make_store(url) -> Iterator[Callable[[], Store]]:
    stores: list[Store] = []

    def make() -> Store:
        stores.append(Store(open_database(url)))
        stores[-1].open()
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def store(make_store) -> Store:
    return make_store()


@pytest.fixture
def readers(url, runtime) -> Iterator[Readers]:
    directory = Directory()
    ref = runtime.launch(ReaderActor(url))
    directory.publish("reader.0", ref)
    yield Readers(directory, ["reader.0"])
    ref.stop(timeout=5)


@pytest.fixture
def follow(readers, runtime, tmp_path) -> Iterator[Callable[..., SimpleNamespace]]:
    """`follow(sink, ...)` starts a follower and returns it with its board; it ends with the test."""
    started = []

    def start(sink, **options) -> SimpleNamespace:
        make = sink if callable(sink) else lambda: sink
        facts = {
            "ask": readers.ask,
            "find_end": lambda: readers.ask(FindEnd()),
            "runtime": runtime,
            "progress": ProgressFile(tmp_path / "followers" / "box.json"),
            "from_start": True,
            "every": 0.01,
        }
        actor = FollowerActor("box", make, **(facts | options))
        ref = runtime.launch(actor)
        started.append(ref)
        return SimpleNamespace(
            board=actor.board,
            ref=ref,
            wake=lambda: ref.tell(WAKE),
            settle=lambda: ref.ask("anything", timeout=10),
            stop=lambda: ref.stop(timeout=10),
        )

    yield start
    for ref in started:
        if ref.is_alive():
            ref.stop(timeout=10)
