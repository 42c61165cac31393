"""Groups, rosters and picks: the adapter and the actor with a real registry and real devices; no broker."""

from __future__ import annotations

import json
from collections import Counter

import msgspec
import pytest
from pykka import ActorDeadError

from actors.groups.actor import GroupsActor
from actors.groups.book import GroupBook
from actors.groups.messages import CreateGroup, Group, Origin
from actors.groups.pick import Picker
from actors.groups.rules import Rule
from actors.messages import DeviceSnapshot
from actors.reader import ReaderActor
from actors.registry import Execute
from actors.runtime import Runtime, Undelivered
from actors.storage.errors import StoreUnavailable
from actors.storage.groups import load_groups
from actors.targets import Target, resolve
from actors.writes import Batcher
from supervisor.server.faces import FleetFace
from supervisor.server.groups import GroupsFace, groups_actor
from supervisor.server.parts import READERS, Parts
from supervisor.server.settings import Config, SiteRoster
from supervisor.server.tree import device_supervisor, registry
from tests.support.wait import eventually
from web.face import ConflictError
from web.fleet import Filter
from web.groups import GroupsRefusedError

OPS = ("ops", "10.0.0.9")


class Server:
    """Parts with what groups need running; `again` starts them anew on the same database."""

    def __init__(self, directory):
        directory.mkdir(exist_ok=True)
        self.url = f"sqlite:///{directory}/muster.db"
        self.config = Config(data_dir=str(directory), roster={"plant-9": SiteRoster(serials=("x-1",))})
        self.start()

    def start(self):
        self.runtime = Runtime.system()
        self.runtime.start()
        self.parts = Parts(self.config, self.runtime, "test")
        self.refs = []
        for name, make in (
            ("registry", lambda: registry(self.parts, self.url)),
            ("batcher", lambda: Batcher(self.parts.outgoing, self.runtime.timers)),
            *((name, lambda: ReaderActor(self.url)) for name in READERS),
            ("groups", lambda: groups_actor(self.parts)),
            ("devices", lambda: device_supervisor(self.parts)),
        ):
            self.refs.append(self.runtime.launch(make()))
            self.parts.services.publish(name, self.refs[-1])
        devices, services = self.parts.devices, self.parts.services
        devices.fallback = lambda serial, message: services.tell("devices", Undelivered(serial, message))
        eventually(lambda: self.parts.registry_board.status.since, what="the database")
        self.face, self.fleet = GroupsFace(self.parts), FleetFace(self.parts)

    def stop(self):
        for ref in reversed(self.refs):
            ref.stop(timeout=5)
        self.runtime.stop()

    def again(self):
        self.stop()
        self.start()

    def declare(self, *serials, **fields):
        for serial in serials:
            self.fleet.create(DeviceSnapshot(serial=serial, **({"kind": "controller", "family": "pi"} | fields)))

    def create(self, name, **fields):
        return self.face.create({"name": name, "members": (), **fields}, *OPS)

    def records(self, kind):
        sql = f"SELECT data FROM event WHERE kind = '{kind}' ORDER BY id"
        found = self.parts.ask_registry(Execute(lambda database: database.execute_sql(sql).fetchall()))
        return [json.loads(data) for (data,) in found]


@pytest.fixture
def server(tmp_path):
    made = Server(tmp_path / "data")
    yield made
    made.stop()


def refused(call, *args):
    with pytest.raises(GroupsRefusedError) as caught:
        call(*args)
    return caught.value.status, caught.value.code


def test_a_group_is_made_changed_and_forgotten_and_there_is_a_record_of_each(server):
    server.declare("a", "b")
    made = server.create("pumps", members=("b",), description="of hall 1")
    assert {key: made[key] for key in ("name", "members", "rule", "declared", "changed_by")} == {
        "name": "pumps",
        "members": ["b"],
        "rule": None,
        "declared": True,
        "changed_by": "ops",
    }
    changed = server.face.change("pumps", {"add": ("a",), "remove": ("b",), "rule": Rule(kind="gateway")}, *OPS)
    assert (changed["members"], changed["rule"], changed["description"]) == (["a"], {"kind": "gateway"}, "of hall 1")
    server.face.delete("pumps", *OPS)
    assert server.face.items("", 10, None) == ([], None)
    created, changed, deleted = server.records("group")
    assert (created["action"], created["by"], created["from"], created["name"]) == ("created", *OPS, "pumps")
    assert (changed["added"], changed["removed"]) == (
        {"count": 1, "serials": ["a"]},
        {"count": 1, "serials": ["b"]},
    )
    assert deleted["action"] == "deleted"
    assert server.parts.group_counts == Counter(created=1, changed=1, deleted=1)


def test_a_change_that_changes_nothing_leaves_no_record(server):
    made = server.create("pumps", rule=Rule(serial="x*"))
    assert server.face.change("pumps", {"rule": Rule(serial="x*"), "remove": ("nobody",)}, *OPS) == made
    assert len(server.records("group")) == 1


def test_groups_and_labels_are_there_after_a_restart(server):
    server.declare("a", "b", labels="zone=north")
    server.create("pumps", members=("b",))
    server.create("north", rule=Rule(labels={"zone": "north"}))
    server.face.put_roster("plant-1", ("a", "lost"), *OPS)
    before = [server.face.items("", 10, None), server.face.rosters()]
    server.again()
    eventually(lambda: server.parts.groups.groups, what="the groups are loaded")
    assert [server.face.items("", 10, None), server.face.rosters()] == before


def test_what_cannot_be_is_refused_and_counted(server):
    server.declare("a")
    server.create("pumps", members=("a",))
    assert refused(server.create, "pumps") == (409, "exists")
    assert refused(lambda: server.create("valves", members=("typo",))) == (404, "unknown_device")
    assert refused(server.face.change, "valves", {}, *OPS) == (404, "not_found")
    assert refused(server.face.change, "pumps", {"add": ("typo",)}, *OPS) == (404, "unknown_device")
    assert refused(server.face.change, "pumps", {"members": ("typo",)}, *OPS) == (404, "unknown_device")
    assert refused(server.face.delete, "valves", *OPS) == (404, "not_found")
    assert refused(server.face.get, "valves") == (404, "not_found")
    assert refused(server.face.page, "valves", "", 10) == (404, "not_found")
    assert refused(server.face.items, "", 10, "typo") == (404, "unknown_device")
    assert refused(server.face.put_roster, "plant-9", ("a",), *OPS) == (409, "configured")
    assert refused(server.face.delete_roster, "plant-9", *OPS) == (409, "configured")
    assert refused(server.face.delete_roster, "plant-1", *OPS) == (404, "not_found")
    assert refused(server.face.roster, "plant-1") == (404, "not_found")
    assert server.parts.group_counts["refused"] == 9


def test_there_is_a_bounded_number_of_groups(server, monkeypatch):
    monkeypatch.setattr("actors.groups.steps.MOST_GROUPS", 1)
    server.create("the last one")
    assert refused(server.create, "one more") == (409, "full")


def test_a_group_names_a_bounded_number_of_devices(server, monkeypatch):
    monkeypatch.setattr("actors.groups.steps.MOST_SERIALS", 2)
    server.declare("a", "b", "c")
    server.create("pumps", members=("a", "b"))
    assert refused(server.face.change, "pumps", {"add": ("c",)}, *OPS) == (409, "full")
    assert server.face.change("pumps", {"add": ("c",), "remove": ("a",)}, *OPS)["members"] == ["b", "c"]


def test_the_groups_are_listed_with_those_that_only_devices_name(server):
    server.declare("a", group="spares")
    server.declare("b", site="plant-1")
    server.create("hall 1", rule=Rule(site="plant-1"))
    items, cursor = server.face.items("", 1, None)
    assert ([item["name"] for item in items], cursor) == (["hall 1"], "hall 1")
    items, cursor = server.face.items(cursor, 1, None)
    assert [(item["name"], item["declared"], cursor) for item in items] == [("spares", False, None)]
    assert [item["name"] for item in server.face.items("", 9, "b")[0]] == ["hall 1"]
    assert server.face.get("spares")["devices"] == 1


def serials_of(page):
    return [view.snapshot.serial for view in page.devices]


def test_everything_that_lists_devices_takes_a_group_of_any_kind(server):
    server.declare("a", "b", site="plant-1")
    server.declare("c", labels="zone=north")
    server.create("rule", rule=Rule(site="plant-?"), members=("c",))
    assert serials_of(server.fleet.page(Filter(group="rule"))) == ["a", "b", "c"]
    assert serials_of(server.fleet.page(Filter(group="rule", label="zone"))) == ["c"]
    assert serials_of(server.fleet.page(Filter(group="nobody"))) == []
    found, cursor = server.face.page("rule", "", 2)
    assert ([view.snapshot.serial for view in found], cursor) == (["a", "b"], "b")
    assert resolve(Target(group="rule"), server.parts.fleet, server.parts.groups) == ["a", "b", "c"]


def test_a_deleted_device_is_in_no_group_and_comes_back_to_none(server):
    server.declare("a", "b")
    server.create("pumps", members=("a", "b"))
    server.fleet.delete("a")
    eventually(lambda: server.parts.groups.groups["pumps"].members == {"b"}, what="the group has lost it")
    server.declare("a")
    assert server.parts.groups.members("pumps") == ["b"]
    server.again()
    eventually(lambda: server.parts.groups.groups, what="the groups are loaded")
    assert server.parts.groups.groups["pumps"].members == {"b"}


def test_labels_are_merged_by_the_device_and_bounded(server):
    server.declare("a", labels="row=12")
    server.fleet.patch("a", {"labels": {"zone": "north"}})
    view = server.fleet.patch("a", {"labels": {"row": None, "crop": "oats"}, "label": "Gate"})
    assert (view.snapshot.labels, view.snapshot.label) == ("crop=oats\nzone=north", "Gate")
    with pytest.raises(ConflictError, match="at most 64 labels"):
        server.fleet.patch("a", {"labels": {f"k{number}": "v" for number in range(63)}, "label": "Door"})
    assert server.fleet.get("a").snapshot.label == "Gate"


def test_a_roster_tells_who_is_missing_and_who_was_not_expected(server):
    server.declare("here", "uncalled", site="plant-1")
    roster = server.face.put_roster("plant-1", ("here", "lost"), *OPS)
    assert (roster["source"], roster["declared"]) == ("api", 2)
    assert [entry["serial"] for entry in roster["silent"]] == ["here", "lost"]
    assert [entry["presence"] for entry in roster["silent"]] == ["offline", None]
    assert [entry["serial"] for entry in roster["undeclared"]] == ["uncalled"]
    in_short = {item["site"]: item for item in server.face.rosters()}
    assert in_short["plant-1"]["counts"] | {"silent": 2, "undeclared": 1} == in_short["plant-1"]["counts"]
    assert (in_short["plant-9"]["source"], in_short["plant-9"]["declared"]) == ("configuration", 1)
    assert [record["action"] for record in server.records("roster")] == ["put"]
    server.face.delete_roster("plant-1", *OPS)
    assert server.face.roster("plant-1")["source"] is None


def test_an_empty_roster_leaves_none(server):
    server.face.put_roster("plant-5", ("a",), *OPS)
    assert server.face.put_roster("plant-5", (), *OPS)["declared"] == 0
    assert [item["site"] for item in server.face.rosters()] == ["plant-9"]


def test_nobody_is_picked_where_nobody_is_present(server):
    server.declare("a")
    server.create("pumps", members=("a",))
    assert refused(server.face.pick, Filter(group="pumps")) == (409, "none_present")
    assert refused(server.face.pick, Filter(site="plant-1")) == (409, "none_present")
    assert refused(server.face.pick, Filter(group="valves")) == (404, "not_found")


def test_the_one_with_the_fewest_commands_under_way_is_picked(server):
    parts = server.parts
    server.declare("a", "b")
    server.create("pumps", members=("a", "b"))
    parts.sights["local"].control.regained(parts.runtime.clock.monotonic())
    for serial in ("a", "b"):
        record = parts.fleet.record(serial)
        parts.fleet.update(record, msgspec.structs.replace(record.snapshot, presence="online", broker="local"))
        parts.fleet.heard(record, parts.fleet.sight(record).epoch)
    parts.picker = Picker(parts.fleet, lambda serial: 3 if serial == "a" else 1)
    picked = server.face.pick(Filter(group="pumps"))
    assert (picked["device"].snapshot.serial, picked["commands"], picked["load"]) == ("b", 1, 0)


def test_what_the_actor_does_not_know_is_dropped(server, caplog):
    server.refs[-2].tell("nonsense")
    server.create("pumps")
    assert "unexpected message str dropped" in caplog.text


def test_the_page_is_told_of_a_change(server):
    last = server.parts.ring.last
    server.create("pumps")
    told = server.parts.ring.since(last, 100).events
    assert [b'data: {"name":"pumps"}' in event.frame for event in told if event.kind == "group"] == [True]


# While things are down


def test_a_change_waits_for_nobody_while_the_actor_restarts(server):
    server.parts.services.withdraw("groups")
    with pytest.raises(ActorDeadError):
        server.create("pumps")


class Away:
    """A writer that is away until it is told otherwise."""

    def __init__(self):
        self.is_away = True
        self.asked = 0

    def __call__(self, message):
        self.asked += 1
        if self.is_away:
            raise StoreUnavailable("the database is away")
        return {"kept": Group(name="kept")} if message.work is load_groups else {}


def test_the_actor_is_ready_once_the_database_has_answered():
    runtime = Runtime.system()
    runtime.start()
    ask, fleet = Away(), Parts(Config(), runtime, "test").fleet
    book = GroupBook(fleet, {})
    made = GroupsActor(
        ask=ask,
        runtime=runtime,
        book=book,
        fleet=fleet,
        counts=Counter(),
        on_change=lambda _name: None,
        refresh_every=0.01,
    )
    ref = runtime.launch(made)
    eventually(lambda: ask.asked > 1, what="it asks again and again")
    with pytest.raises(StoreUnavailable, match="not loaded yet"):
        ref.ask(CreateGroup(name="kept", origin=Origin(*OPS)), timeout=10)
    assert book.groups == {}
    ask.is_away = False
    eventually(lambda: book.groups, what="the groups are loaded")
    ref.stop(timeout=5)
    runtime.stop()


def test_what_may_or_may_not_have_been_written_is_read_again(server):
    """The writer committed, and its answer did not come: the book must not go on without the group."""
    losing = []

    def ask(message):
        answer = server.parts.ask_registry(message)
        if losing:
            losing.clear()
            raise StoreUnavailable("the connection was lost")
        return answer

    book = server.parts.groups
    actor = GroupsActor(
        ask=ask,
        runtime=server.runtime,
        book=book,
        fleet=server.parts.fleet,
        counts=Counter(),
        on_change=lambda _name: None,
    )
    ref = server.runtime.launch(actor)
    server.parts.services.publish("groups", ref)
    server.create("first")
    losing.append(True)
    with pytest.raises(StoreUnavailable):
        server.create("second")
    eventually(lambda: set(book.groups) == {"first", "second"}, what="the book is right again")
    ref.stop(timeout=5)


def test_what_another_server_on_the_same_database_changes_is_seen_and_never_overwritten(server, tmp_path):
    server.create("pumps", description="ours")
    other = Server(tmp_path / "data")
    eventually(lambda: other.parts.groups.groups, what="the groups are loaded")
    other.face.change("pumps", {"description": "theirs"}, *OPS)
    other.create("valves")
    assert refused(server.create, "valves") == (409, "exists")
    assert server.face.change("pumps", {"rule": Rule(site="x")}, *OPS)["description"] == "theirs"
    actor = GroupsActor(
        ask=server.parts.ask_registry,
        runtime=server.runtime,
        book=server.parts.groups,
        fleet=server.parts.fleet,
        counts=Counter(),
        on_change=lambda _name: None,
        refresh_every=0.01,
    )
    ref = server.runtime.launch(actor)
    other.create("taps")
    eventually(lambda: set(server.parts.groups.groups) == {"pumps", "taps", "valves"}, what="the groups are read again")
    ref.stop(timeout=5)
    other.stop()
