"""The actor that looks after the releases."""

from __future__ import annotations

import pytest

from actors.runtime import Runtime
from actors.storage.errors import StoreUnavailable
from supervisor.server import ota
from supervisor.server.ota import ReleasesActor
from tests.release_store.sending import begin, build, send
from tests.support.wait import eventually


@pytest.fixture
def runtime():
    runtime = Runtime.system()
    runtime.start()
    yield runtime
    runtime.stop()


@pytest.fixture
def launch(runtime, monkeypatch):
    monkeypatch.setattr(ota, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(ota, "AGAIN_AFTER", 0.05)
    started = []

    def run(server, **options):
        started.append(runtime.launch(ReleasesActor(server.uploads, runtime, is_shared=False, **options)))
        return started[-1]

    yield run
    for ref in started:
        ref.stop()


def test_it_waits_for_a_database_that_is_away(server, launch, tmp_path, key):
    send(server.uploads, build(tmp_path / "build", key))
    after = server.restarted(load=False)
    after.away = StoreUnavailable("away")
    launch(after)
    with pytest.raises(Exception, match="not read yet"):
        after.store.check_loaded()
    after.away = None
    eventually(lambda: after.store.find("1.0"), what="the release is known")


def test_it_ends_uploads_that_nobody_goes_on_with(server, launch, tmp_path, key):
    begin(server.uploads, build(tmp_path / "build", key))
    launch(server)
    server.clock.advance(100_000)
    eventually(lambda: not server.uploads.open, what="the upload has ended")


def test_a_directory_that_cannot_be_used_leaves_the_releases_known(server, tmp_path, key, launch):
    send(server.uploads, build(tmp_path / "build", key))
    after = server.restarted(load=False)
    directory = after.store.files._directory
    directory.rename(tmp_path / "aside")
    directory.write_text("a file in the way")
    launch(after)
    eventually(lambda: after.store.of_version("1.0"), what="the release is known")
    assert after.store.find("1.0") is None
    assert not after.store.may_go(after.store.of_version("1.0").id)
