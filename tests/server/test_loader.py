"""Loading the known devices before their actors are started."""

from __future__ import annotations

import pytest

from actors.fleet import Fleet
from actors.presence import OfflineAfter
from actors.registry import LoadDevices
from actors.runtime import Directory, Runtime, SystemClock, ThreadedActor
from actors.sight import BrokerSight
from actors.storage.errors import StoreUnavailable
from supervisor import ChildSpec, Root, Supervisor
from supervisor.server import loader
from supervisor.server.loader import LoaderActor
from tests.support.world import known


class Registry(ThreadedActor):
    """Answers from a list, after some refusals."""

    def __init__(self, devices, refusals):
        super().__init__()
        self._devices = devices
        self._refusals = refusals

    def on_receive(self, message):
        assert isinstance(message, LoadDevices)
        if self._refusals:
            self._refusals.pop()
            raise StoreUnavailable("away")
        later = [device for device in self._devices if device.serial > message.after_serial]
        return later[: message.limit]


@pytest.fixture
def load(monkeypatch):
    monkeypatch.setattr(loader, "SLICE", 3)
    monkeypatch.setattr(loader, "AGAIN_AFTER", 0.01)
    runtime = Runtime.system()
    runtime.start()

    def run(devices, *, refusals=0, is_ours=lambda device: True):
        services = Directory()
        fleet = Fleet(SystemClock(), {"local": BrokerSight("local", 0.0)}, OfflineAfter())
        tree = Supervisor(
            runtime=runtime,
            name="server",
            directory=services,
            children=(
                ChildSpec("registry", lambda: Registry(devices, [None] * refusals)),
                ChildSpec("loader", lambda: LoaderActor(fleet, services, is_ours)),
            ),
        )
        root = Root(runtime, tree)
        root.wait_ready(10.0)
        root.stop(5.0)
        return [record.snapshot.serial for record in fleet]

    yield run
    runtime.stop()


def test_every_device_is_loaded_slice_by_slice_before_the_loader_is_ready(load):
    assert load([known(f"d{number}") for number in range(8)]) == [f"d{number}" for number in range(8)]


def test_a_database_that_is_away_is_asked_again(load):
    assert load([known("a")], refusals=3) == ["a"]


def test_only_the_devices_of_this_servers_share_are_loaded(load):
    devices = [known("a", site="north"), known("b", site="south"), known("c", site="north")]
    assert load(devices, is_ours=lambda device: device.site == "north") == ["a", "c"]
