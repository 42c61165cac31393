from __future__ import annotations

import contextlib
from pathlib import Path
from typing import NamedTuple

import pytest

from actors.storage.database import open_database
from actors.storage.models import MODELS
from actors.storage.store import Store
from supervisor.backup.databases import copier_for
from supervisor.backup.make import Source
from supervisor.backup.restore import Target
from supervisor.backup.secret import Key
from tests.storage.build import device, reading

KEY = Key(b"0" * 32)


class Home(NamedTuple):
    """A server's data directory and database, without the server."""

    data: Path
    url: str

    @property
    def source(self) -> Source:
        return Source(self.data, copier_for(self.url))

    @property
    def target(self) -> Target:
        return Target(self.data, copier_for(self.url))


def rows_of(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    database = open_database(url)
    database.connect()
    with contextlib.closing(database):
        return {
            model._meta.table_name: sorted(
                (
                    tuple(bytes(v) if isinstance(v, memoryview) else v for v in row)
                    for row in model.select().tuples().execute(database)
                ),
                key=repr,
            )
            for model in MODELS
        }


def write(url: str, *writes) -> None:
    """Commit as the server does; makes the tables."""
    store = Store(open_database(url))
    store.open()
    store.commit(list(writes))
    store.close()


@pytest.fixture
def home(tmp_path, database_url) -> Home:
    """A server that has been used: rows, an id, keys, places, an audit trail."""
    data = tmp_path / "home"
    data.mkdir(mode=0o700)
    url = f"sqlite:///{data}/muster.db" if database_url.startswith("sqlite") else database_url
    write(url, device("A1"), *(reading("A1", at, body=f'{{"t":{at},"n":"ü%\\\\"}}') for at in range(50)))
    for name, text in {
        "instance": "0123456789abcdef\n",
        "followers/audit.json": '{"id":50}',
        "release-keys/own.pub": "muster-release-key ed25519 AAAA own",
        "pki/ca.key": "PRIVATE",
        "mqtt_sensor_received.csv": "id,time\n1,2\n",
        "edge/outbox.db": "the edge's",
        "instance.lock": "",
    }.items():
        (data / name).parent.mkdir(exist_ok=True, mode=0o700)
        (data / name).write_text(text)
        (data / name).chmod(0o600)
    return Home(data, url)
