"""Commands from a request to a link: the face and the commander among the server's own parts."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest
from pykka import ActorDeadError

from actors.groups.messages import Group
from actors.link.messages import Publish, Published
from actors.messages import Deliveries, Delivery, DeviceSnapshot
from actors.reader import ReaderActor
from actors.runtime import Runtime
from actors.subscriber import PiSubscriber
from actors.targets import Target
from actors.writes import Batcher
from supervisor.server.commands import CommandsFace, commander, watch_presence
from supervisor.server.faces import FleetFace
from supervisor.server.metrics import make_metrics
from supervisor.server.parts import READERS, Parts
from supervisor.server.settings import Config, Database
from supervisor.server.tree import device_supervisor, registry
from tests.support.wait import eventually
from tests.support.world import Notebook
from web.commands import CommandRefusedError

WHO = {"by": "operate ops", "address": "10.0.0.7"}
PING = {"name": "ping", "args": {}, "timeout": 60.0} | WHO


@pytest.fixture
def server(tmp_path):
    runtime = Runtime.system()
    runtime.start()
    url = f"sqlite:///{tmp_path}/muster.db"
    parts = Parts(Config(data_dir=str(tmp_path), database=Database(url=url)), runtime, "0a1b2c3d")
    refs, told = [], []

    def launch(name, actor):
        refs.append(runtime.launch(actor))
        parts.services.publish(name, refs[-1])

    launch("registry", registry(parts, url))
    launch("batcher", Batcher(parts.outgoing, runtime.timers))
    for name in READERS:
        launch(name, ReaderActor(url))
    launch("devices", device_supervisor(parts))
    launch("local.control", Notebook(told))
    launch("subscriber.pi", PiSubscriber("subscriber.pi", parts.intake))
    launch("commander", commander(parts))
    watch_presence(parts)
    parts.devices.fallback = lambda serial, message: None
    eventually(lambda: parts.registry_board.status.ok and parts.registry_board.status.since, what="the database")
    parts.sights["local"].control.regained(runtime.clock.monotonic())
    fleet = FleetFace(parts)
    for serial in ("pi-1", "pi-2"):
        fleet.create(DeviceSnapshot(serial=serial, kind="raspberry_pi", family="pi", group="shed"))
    yield SimpleNamespace(parts=parts, face=CommandsFace(parts), told=told)
    for ref in reversed(refs):
        ref.stop(timeout=5)
    runtime.stop()


def beat(server, serial="pi-1"):
    clock = server.parts.runtime.clock
    payload = msgspec.json.encode({"device_id": serial, "status": "online"})
    times = {"rx_us": int(clock.time() * 1e6), "rx_at": clock.monotonic()}
    delivery = Delivery("local.control", 0, "devices/heartbeat", payload, 0, False, False, True, **times)
    server.parts.services.tell("subscriber.pi", Deliveries("local.control", [delivery], clock.monotonic()))


def sent(server):
    return [message for message in server.told if isinstance(message, Publish) and message.token]


def state(server, command_id):
    return server.face.get(command_id)["state"]


def refusal(ask, *args, **kwargs):
    with pytest.raises(CommandRefusedError) as refused:
        ask(*args, **kwargs)
    return refused.value


def test_a_command_goes_to_the_link_when_its_device_shows_itself(server):
    command = server.face.issue("pi-1", **PING)["id"]
    assert state(server, command) == "queued"
    assert sent(server) == []
    beat(server)
    (message,) = eventually(lambda: sent(server), what="the command is published")
    assert message.topic == "devices/pi-1/commands"
    assert state(server, command) == "sent"
    server.parts.services.tell("commander", Published(message.token, 0))
    eventually(lambda: server.face.get(command)["accepted_us"], what="it is noted that the broker has it")
    beat(server)
    assert len(sent(server)) == 1


def test_each_change_is_an_event_for_the_page(server):
    seen = server.parts.ring.last
    command = server.face.issue("pi-1", **PING)["id"]
    server.face.cancel(command, **WHO)
    events = [event for event in server.parts.ring.since(seen).events if event.kind == "command"]
    told = [msgspec.json.decode(event.frame.partition(b"data: ")[2]) for event in events]
    assert [(event["id"], event["device"], event["state"]) for event in told] == [
        (command, "pi-1", "queued"),
        (command, "pi-1", "cancelled"),
    ]


@pytest.mark.parametrize("target", [Target(group="shed"), Target(all=True), Target(devices=("pi-1", "pi-2"))])
def test_many_get_one_command(server, target):
    issued = server.face.issue_many(target, **PING)
    assert [made["device"] for made in issued["commands"]] == ["pi-1", "pi-2"]
    items, cursor = server.face.find(serial=None, batch=issued["id"], state="queued", limit=10, cursor="")
    assert ({item["id"] for item in items}, cursor) == ({made["id"] for made in issued["commands"]}, None)
    assert server.parts.command_board.in_flight("pi-2") == 1


def test_refusals_name_what_is_wrong_and_are_counted(server):
    unknown = refusal(server.face.issue_many, Target(devices=("pi-1", "pi-9")), **PING)
    assert (unknown.status, unknown.details) == (404, {"device": "pi-9"})
    assert refusal(server.face.issue_many, Target(group="attic"), **PING).details == {"group": "attic"}
    assert refusal(server.face.issue, "pi-9", **PING).status == 404
    large = refusal(server.face.issue, "pi-1", **(PING | {"args": {"text": "x" * 70_000}}))
    assert (large.status, "`args`" in large.message) == (413, True)
    over = refusal(server.face.cancel, "nothing", **WHO)
    assert (over.status, over.code) == (404, "not_found")
    metrics = make_metrics(server.parts, lambda: HEALTH)().decode()
    assert 'muster_commands_total{event="refused"} 5.0' in metrics
    assert "muster_commands_open 0.0" in metrics


HEALTH = {
    "status": "ok",
    "devices": {"online": 0, "offline": 0, "unknown": 0},
    "actors": {"alive": 0, "restarts": 0, "quarantined": 0},
}


def test_what_a_device_was_asked_is_kept_as_it_was_asked(server):
    command = server.face.issue("pi-1", **(PING | {"name": "set", "args": {"name": "Grüße", "on": [True]}}))["id"]
    row = server.face.get(command)
    assert (row["device"], row["name"], row["args"]) == ("pi-1", "set", {"name": "Grüße", "on": [True]})
    assert (row["by"], row["result"], row["deadline_us"] - row["created_us"]) == ("operate ops", None, 60_000_000)
    assert server.face.get("nothing") is None


def test_whoever_asks_while_the_commander_restarts_is_told_to_ask_again(server):
    server.parts.services.withdraw("commander")
    with pytest.raises(ActorDeadError):
        server.face.issue("pi-1", **PING)


def test_a_target_without_devices_and_one_with_too_many_are_refused(server, monkeypatch):
    monkeypatch.setattr("supervisor.server.commands.MOST_TARGETS", 1)
    assert refusal(server.face.issue_many, Target(all=True), **PING).status == 413
    server.parts.groups.groups = {"barn": Group(name="barn")}
    empty = refusal(server.face.issue_many, Target(group="barn"), **PING)
    assert (empty.status, empty.message) == (404, "group barn has no devices")
