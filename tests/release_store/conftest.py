"""A store of releases on a real database and a real directory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import pytest

from actors.runtime import ManualClock
from actors.storage.database import migrate, open_database
from actors.updates.settings import UpdateSettings
from supervisor.release.keys import PrivateKey
from supervisor.server.releases import ReleaseStore
from supervisor.server.uploads import Uploads


class Server:
    """What a process has; a new one on the same directory is the process after a restart."""

    running: ClassVar[list[Server]] = []

    def __init__(self, directory, key, *, name="srv", load=True, **settings):
        self.directory, self.name, self.settings = directory, name, settings
        self.key = key
        self.database = open_database(f"sqlite:///{directory}/muster.db")
        self.writer = ThreadPoolExecutor(1)  # as the registry, which has the one connection that writes
        self.writer.submit(self._open).result()
        self.running.append(self)
        self.clock = ManualClock()
        self.rollouts = []
        self.gone = []
        self.away = None
        self.store = ReleaseStore(
            UpdateSettings(**settings),
            directory,
            server=name,
            ask=self.ask,
            clock=self.clock,
            in_use=lambda release_id: self.rollouts,
            on_gone=self.gone.append,
        )
        self.uploads = Uploads(self.store)
        if load:
            self.uploads.load()

    def _open(self):
        self.database.connect()
        migrate(self.database)

    def ask(self, message):
        if self.away is not None:
            raise self.away
        return self.writer.submit(self._run, message.work).result()

    def _run(self, work):
        with self.database.atomic():
            return work(self.database)

    def close(self):
        self.writer.submit(self.database.close).result()
        self.writer.shutdown()
        self.running.remove(self)

    def trust(self, *keys):
        for key in keys:
            (self.store.keys_path / f"{key.public.key_id}.pub").write_text(key.public.line)

    def restarted(self, **settings):
        self.close()
        return Server(self.directory, self.key, name=self.name, **(self.settings | settings))

    @property
    def files(self):
        return sorted(path.name for path in self.store.files._directory.iterdir())


@pytest.fixture
def key():
    return PrivateKey.generate("release manager")


@pytest.fixture
def server(tmp_path, key):
    server = Server(tmp_path, key)
    server.trust(key)
    yield server
    for each in list(Server.running):
        each.close()
