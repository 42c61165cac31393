from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from actors.reader import ReaderActor, Readers
from actors.runtime import Directory, Runtime
from actors.storage.database import open_database
from actors.storage.store import Store
from tests.storage.build import Look


@pytest.fixture
def look(database_url) -> Iterator[Look]:
    """A second connection, which sees only what was committed."""
    with Look(database_url) as other:
        yield other


@pytest.fixture
def make_store(database_url) -> Iterator[Callable[..., Store]]:
    """Makes stores on the test's database, which are closed in the end."""
    stores: list[Store] = []

    def make(**limits: int) -> Store:
        stores.append(Store(open_database(database_url), **limits))
        stores[-1].open()
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def store(make_store) -> Store:
    return make_store()


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    running = Runtime.system()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def readers(database_url, runtime, store) -> Iterator[Readers]:
    """Two readers on the store's database."""
    directory = Directory()
    refs = [runtime.launch(ReaderActor(database_url)) for _ in range(2)]
    for number, ref in enumerate(refs):
        directory.publish(f"reader.{number}", ref)
    yield Readers(directory, ["reader.0", "reader.1"])
    for ref in refs:
        if ref.is_alive():
            ref.stop(timeout=5)
