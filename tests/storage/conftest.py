from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

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
