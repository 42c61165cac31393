"""Rollouts as operators meet them: the adapter and the actor with a real registry and real devices; no broker."""

from __future__ import annotations

import json

import pytest
from pykka import ActorDeadError

from actors.messages import DeviceSnapshot
from actors.reader import ReaderActor
from actors.runtime import Runtime, Undelivered
from actors.targets import Target
from actors.updates.messages import UPDATES, Offer, ReleaseFacts, Report
from actors.updates.plan import Plan, Wave
from actors.updates.settings import UpdateSettings
from actors.updates.windows import Window
from actors.writes import Batcher
from supervisor.server.faces import FleetFace
from supervisor.server.parts import READERS, Parts
from supervisor.server.settings import Config
from supervisor.server.tree import device_supervisor, registry
from supervisor.server.updates import RolloutsFace, rollout_metrics, updates_actor
from tests.support.wait import eventually
from web.rollouts import RolloutsRefusedError

OPS = {"by": "ops", "address": "10.0.0.9"}
ALWAYS = Window(begin="00:00", end="00:00")


class Releases:
    """One release."""

    def find(self, version):
        return ReleaseFacts("id-2", "2.0") if version == "2.0" else None

    def facts(self, release_id):
        return ReleaseFacts("id-2", "2.0") if release_id == "id-2" else None


class Server:
    """Parts with what rollouts need running."""

    def __init__(self, directory, **config):
        self.url = f"sqlite:///{directory}/muster.db"
        self.runtime = Runtime.system()
        self.runtime.start()
        self.parts = Parts(Config(data_dir=str(directory), **config), self.runtime, "test")
        self.parts.releases = Releases()
        self.refs = []
        for name, make in (
            ("registry", lambda: registry(self.parts, self.url)),
            ("batcher", lambda: Batcher(self.parts.outgoing, self.runtime.timers)),
            *((name, lambda: ReaderActor(self.url)) for name in READERS),
            ("devices", lambda: device_supervisor(self.parts)),
            (UPDATES, lambda: updates_actor(self.parts)),
        ):
            self.refs.append(self.runtime.launch(make()))
            self.parts.services.publish(name, self.refs[-1])
        devices, services = self.parts.devices, self.parts.services
        devices.fallback = lambda serial, message: services.tell("devices", Undelivered(serial, message))
        eventually(lambda: self.parts.registry_board.status.since, what="the database")
        self.face, self.fleet = RolloutsFace(self.parts), FleetFace(self.parts)

    def stop(self):
        for ref in reversed(self.refs):
            ref.stop(timeout=5)
        self.runtime.stop()

    def declare(self, *serials, **fields):
        for serial in serials:
            self.fleet.create(DeviceSnapshot(serial=serial, **({"kind": "raspberry_pi", "family": "pi"} | fields)))

    def start(self, target, *, release="2.0", share=1.0, plan=None, windows=()):
        plan = plan or Plan(waves=(Wave(share=1.0, success=0.5),), failures=1.0)
        return self.face.start(target, release=release, share=share, plan=plan, windows=windows, **OPS)

    def ask(self, message):
        return self.parts.services.get(UPDATES).ask(message, timeout=10)

    def events(self, kind):
        frames = [event.frame for event in self.parts.ring.since(0).events if event.kind == kind]
        return [json.loads(frame.split(b"data: ")[1]) for frame in frames]

    def metrics(self):
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in rollout_metrics(self.parts)
            for sample in family.samples
        }


@pytest.fixture
def server(tmp_path):
    made = Server(tmp_path, updates=UpdateSettings(windows={"plant-9": ALWAYS}))
    yield made
    made.stop()


def refused(ask, *args, **fields):
    with pytest.raises(RolloutsRefusedError) as caught:
        ask(*args, **fields)
    return caught.value.status, caught.value.code, caught.value.details


def test_all_are_those_that_run_an_edge(server):
    server.declare("pi-1", "pi-2")
    server.declare("plc-1", kind="datalogger", family="site", site="plant-1")
    made = server.start(Target(all=True))
    assert (made["devices"], made["target"], made["wave"]) == (2, "all devices", 1)
    assert [row["device"] for row in server.face.devices(made["id"], state=None, limit=10, cursor="")[0]] == [
        "pi-1",
        "pi-2",
    ]
    assert refused(server.start, Target(device="plc-1")) == (409, "nobody", {"device": "plc-1"})
    assert refused(server.start, Target(device="pi-1")) == (
        409,
        "in_rollout",
        {"device": "pi-1", "rollout": made["id"]},
    )
    assert server.metrics()["muster_rollout_actions_total", "refused"] == 2


def test_a_group_without_an_edge_and_what_there_is_not_are_refused(server):
    server.declare("plc-1", kind="datalogger", family="site", site="plant-1", group="pumps")
    assert refused(server.start, Target(group="pumps"))[:2] == (409, "nobody")
    assert refused(server.start, Target(group="nobody"))[:2] == (404, "not_found")
    assert refused(server.start, Target(device="x")) == (404, "not_found", {"device": "x"})
    server.declare("pi-1")
    assert refused(server.start, Target(device="pi-1"), release="9.9")[:2] == (404, "not_found")
    assert refused(server.face.get, "f" * 32)[:2] == (404, "not_found")
    assert refused(server.face.devices, "f" * 32, state=None, limit=1, cursor="")[:2] == (404, "not_found")
    assert refused(server.face.command, "f" * 32, "pause", *OPS.values())[:2] == (404, "not_found")


def test_what_becomes_of_a_rollout_is_told_live_and_counted(server):
    server.declare("pi-1", "pi-2")
    made = server.start(Target(devices=("pi-1", "pi-2")))
    assert server.ask(Offer("pi-1", "1.0")).release_id == "id-2"
    server.ask(Report("pi-1", "downloading", "2.0", progress=0.5))
    (row,) = server.face.devices(made["id"], state="downloading", limit=10, cursor="")[0]
    assert (row["device"], row["progress"], row["attempts"]) == ("pi-1", 0.5, 1)
    server.face.command(made["id"], "pause", *OPS.values())
    told = server.events("rollout")
    assert [(event["status"], event["counts"]) for event in told] == [
        ("running", {"offered": 2}),
        ("running", {"offered": 1, "downloading": 1}),
        ("paused", {"offered": 1, "downloading": 1}),
    ]
    metrics = server.metrics()
    assert metrics["muster_rollouts",] == 1
    assert metrics["muster_rollout_devices", "downloading"] == 1
    assert metrics["muster_rollout_devices", "pending"] == 0
    assert metrics["muster_rollout_offers_total", "given"] == 1
    assert metrics["muster_rollout_reports_total", "downloading"] == 1
    assert [item["id"] for item in server.face.items(status="paused", limit=5, cursor="")[0]] == [made["id"]]
    assert server.face.retry(made["id"], ("pi-2",), *OPS.values())["status"] == "paused"


def test_a_share_is_told_in_words(server):
    server.declare("pi-1", "pi-2", "pi-3", "pi-4")
    made = server.start(Target(all=True), share=0.5)
    assert (made["devices"], made["target"]) == (2, "0.5 of all devices")


def test_a_device_that_is_deleted_leaves_its_rollout(server):
    server.declare("pi-1", "pi-2")
    made = server.start(Target(all=True))
    server.fleet.delete("pi-1")
    eventually(lambda: server.face.get(made["id"])["devices"] == 1, what="it has left")
    assert server.ask(Offer("pi-1", "1.0")).reason == "no_rollout"


def test_windows_come_from_the_configuration_and_from_operators(server):
    night = Window(begin="22:00", end="22:01", days=("mon",))
    assert server.face.put_windows("plant-1", (night,), *OPS.values())["source"] == "api"
    assert refused(server.face.put_windows, "plant-9", (), *OPS.values())[:2] == (409, "configured")
    rows = server.face.windows()
    assert [(row["site"], row["source"]) for row in rows] == [("plant-1", "api"), ("plant-9", "configuration")]
    assert rows[1]["open"]
    assert rows[0]["windows"][0]["days"] == ("mon",)
    assert server.face.put_windows("plant-1", (), *OPS.values()) == {
        "site": "plant-1",
        "source": None,
        "open": True,
        "windows": (),
    }


def test_without_its_actor_nothing_is_started(server):
    server.declare("pi-1")
    server.parts.services.withdraw(UPDATES, server.parts.services.get(UPDATES))
    with pytest.raises(ActorDeadError):
        server.start(Target(device="pi-1"))


def test_another_server_than_the_primary_says_so(tmp_path):
    server = Server(tmp_path, primary=False, sites=("plant-1",))
    try:
        server.declare("pi-1", site="plant-1")
        assert refused(server.start, Target(device="pi-1"))[:2] == (409, "not_here")
    finally:
        server.stop()
