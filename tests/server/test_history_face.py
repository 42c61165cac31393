"""What the server notes for the history of a presence, and what it tells of it: a real registry and readers."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from actors.messages import DeviceSnapshot, StoreDevice, StoreEvent, StorePresence, WriteBatch
from actors.notary import Notary
from actors.reader import ReaderActor
from actors.runtime import Runtime
from actors.timestamps import rfc3339
from actors.writes import Batcher
from supervisor.server.history import HistoryFace, note_start
from supervisor.server.parts import READERS, Parts
from supervisor.server.settings import Config
from supervisor.server.tree import registry
from tests.support.wait import eventually

SECOND = 1_000_000


@pytest.fixture
def server(tmp_path):
    """Parts with a registry, a notary and readers."""
    url = f"sqlite:///{tmp_path}/muster.db"
    runtime = Runtime.system()
    runtime.start()
    parts = Parts(Config(api_token="the-admin-token", data_dir=str(tmp_path)), runtime, "test")
    refs = []

    def launch(name, actor):
        refs.append(runtime.launch(actor))
        parts.services.publish(name, refs[-1])

    launch("registry", registry(parts, url))
    launch("batcher", Batcher(parts.outgoing, runtime.timers))
    launch("notary", Notary(parts.outgoing))
    for name in READERS:
        launch(name, ReaderActor(url))
    eventually(lambda: parts.registry_board.status.ok and parts.registry_board.status.since, what="the database")
    yield SimpleNamespace(parts=parts, history=HistoryFace(parts))
    for ref in reversed(refs):
        ref.stop(timeout=5)
    runtime.stop()


def now_us(server):
    return int(server.parts.runtime.clock.time() * SECOND)


def store(server, *writes):
    """Let the registry commit these writes."""
    before = server.parts.registry_board.counters.commits
    server.parts.services.get("registry").tell(WriteBatch(list(writes)))
    eventually(lambda: server.parts.registry_board.counters.commits > before, what="the commit")


def pi(server, **fields):
    """A Pi that is known, and in the database."""
    snapshot = DeviceSnapshot(serial="pi-1", kind="raspberry_pi", family="pi", broker="local", **fields)
    server.parts.fleet.add(snapshot)
    store(server, StoreDevice(snapshot), StorePresence("pi-1", snapshot.presence, "data", snapshot.since_us))


def events(server):
    """What happened to the fleet: kind and data, oldest first."""
    return [(row["kind"], row["data"]) for row in reversed(server.history.events("", **EVERYTHING)[0])]


EVERYTHING = {"kind": None, "since_us": None, "until_us": None, "limit": 100, "cursor": ""}


def test_a_start_is_noted_once_with_the_last_trace_of_the_run_before(server):
    last_us = now_us(server) - 60 * SECOND
    store(server, StoreEvent("presence", "pi-1", last_us, '{"presence":"online","reason":"data"}'))
    note_start(server.parts)
    note_start(server.parts)
    started = {"server": server.parts.server_id, "since": rfc3339(last_us)}
    eventually(lambda: events(server) == [("start", started)], what="the start is noted, once")


def test_a_process_that_was_stopped_notes_since_when_it_had_heard_nothing(server):
    server.parts.runtime.timers.on_late(12.0)
    ((kind, data),) = eventually(lambda: events(server), what="the event")
    assert (kind, data["server"]) == ("asleep", server.parts.server_id)
    assert data["since"] < rfc3339(now_us(server) - 11 * SECOND)


def test_the_sight_of_each_link_is_noted_as_this_servers(server):
    server.parts.sights["local"].control.regained(server.parts.runtime.clock.monotonic())
    noted = eventually(lambda: events(server), what="the event")
    assert noted == [("sight", {"link": "local.control", "server": server.parts.server_id})]


def test_the_history_of_a_presence_goes_through_blindness_to_this_moment(server):
    began_us = now_us(server) - 100 * SECOND
    pi(server, presence="online", reason="data", first_seen_us=began_us, since_us=began_us)
    link = json.dumps({"link": "local.control", "server": server.parts.server_id})
    store(
        server,
        StoreEvent("blind", "", began_us + 20 * SECOND, link),
        StoreEvent("sight", "", began_us + 30 * SECOND, link),
        StoreEvent("blind", "", began_us + 90 * SECOND, link),
    )
    told = server.history.presence("pi-1", since_us=began_us - 10 * SECOND, until_us=None)
    assert [(segment["presence"], segment["reason"]) for segment in told] == [
        (None, None),
        ("online", "data"),
        ("unknown", "link_lost"),
        ("online", "data"),
        ("unknown", "link_lost"),
    ]
    assert told[0]["since_us"] == began_us - 10 * SECOND
    assert now_us(server) - told[-1]["until_us"] < 10 * SECOND
    past = server.history.presence("pi-1", since_us=began_us, until_us=began_us + 25 * SECOND)
    assert past[-1]["until_us"] == began_us + 25 * SECOND


def test_a_device_that_nobody_knows_has_no_history(server):
    assert server.history.presence("nobody", since_us=0, until_us=None) == []
