"""`muster groups` and `muster roster` against a fake of the API."""

from __future__ import annotations

import pytest

from actors.groups.messages import Group
from actors.groups.rules import Rule
from actors.storage.database import open_database
from actors.storage.groups import put_group
from actors.storage.store import Store
from tests.cli.conftest import error
from tests.storage.build import device as stored_device
from tests.storage.build import reading

STATES = ("healthy", "silent", "unknown", "elsewhere", "undeclared")


def group(name="pumps", **fields):
    known = {
        "name": name,
        "description": "",
        "rule": None,
        "members": [],
        "declared": True,
        "updated": "2026-01-31T12:00:00.000Z",
        "changed_by": "ops",
    }
    return known | fields


def device(serial, **fields):
    known = dict.fromkeys(("label", "hostname", "site", "last_seen", "ip_address"))
    return known | {"serial": serial, "kind": "sensor", "presence": "online", "labels": {}} | fields


@pytest.fixture
def told(muster_at, server):
    """Runs a command; `told.body` is what the server was sent first."""

    def call(*arguments):
        server.calls.clear()
        result = muster_at(*arguments)
        call.body = server.calls[0].body if server.calls else None
        call.query = server.calls[0].query if server.calls else None
        return result

    return call


def test_the_groups_are_listed_with_their_rules(server, told):
    rule = {"site": "plant-*", "labels": {"zone": "*"}}
    items = [group(rule=rule), group("hand", members=["a", "b"]), group("s\x1b[31m", declared=False, updated=None)]
    server.answers["GET", "/api/groups"] = 200, {"items": items, "cursor": None}
    shown = told("groups", "list", "--device", "a")
    _, pumps, hand, odd = shown.out.splitlines()
    assert "site:plant-* zone=*" in pumps
    assert hand.split()[:3] == ["hand", "-", "2"]
    assert "\x1b" not in odd
    assert told.query["device"] == "a"
    assert told("groups", "list", "--json").json == {"items": items}


def test_the_devices_of_a_group_are_shown(server, told):
    server.answers["GET", "/api/groups/hall 1/devices"] = 200, {"items": [device("a", hostname="gate")], "cursor": None}
    server.answers["GET", "/api/groups/hall 1"] = 200, group("hall 1", devices=1, present=1)
    assert told("groups", "show", "hall 1").out.splitlines()[1].split()[:3] == ["a", "gate", "sensor"]
    shown = told("groups", "show", "hall 1", "--json").json
    assert (shown["present"], [item["serial"] for item in shown["items"]]) == (1, ["a"])


def test_a_group_is_made_from_options(server, told):
    server.answers["POST", "/api/groups"] = 201, group()
    server.answers["GET", "/api/groups/pumps"] = 200, group(devices=3, present=1)
    made = told("groups", "create", "pumps", "--site", "plant-*", "--kind", "controller", "--name", "Pump *",
                "--label", "zone=north", "--label", "row=*", "--member", "a", "--description", "all")  # fmt: skip
    assert made.out == "The group pumps is made: it has 3 devices now, 1 present.\n"
    assert told.body == {
        "name": "pumps",
        "description": "all",
        "members": ["a"],
        "rule": {
            "site": "plant-*",
            "kind": "controller",
            "label": "Pump *",
            "labels": {"zone": "north", "row": "*"},
        },
    }
    told("groups", "create", "pumps", "--member", "a")
    assert told.body["rule"] is None


def test_members_come_and_go(server, told):
    server.answers["PATCH", "/api/groups/pumps"] = 200, group()
    server.answers["GET", "/api/groups/pumps"] = 200, group(devices=1, present=0)
    assert told("groups", "add", "pumps", "a", "b").out.endswith("it has 1 device now, 0 present.\n")
    assert told.body == {"add": ["a", "b"]}
    assert told("groups", "remove", "pumps", "a", "--json").json["devices"] == 1
    assert told.body == {"remove": ["a"]}


def test_a_group_is_forgotten(server, told):
    server.answers["DELETE", "/api/groups/pumps"] = 204, b""
    assert told("groups", "delete", "pumps").out == "The group pumps is forgotten.\n"
    assert told("groups", "delete", "pumps", "--json").json == {"name": "pumps", "deleted": True}
    server.answers["DELETE", "/api/groups/pumps"] = error(404, "nobody has declared a group pumps")
    assert told("groups", "delete", "pumps").code == 1


def test_a_pick_prints_the_serial_for_scripts(server, told):
    picked = {"serial": "a", "commands": 0, "load_average": 0.5, "device": device("a")}
    server.answers["GET", "/api/devices/pick"] = 200, picked
    assert told("groups", "pick", "--group", "pumps", "--label", "zone=north").out == "a\n"
    assert told.query == {"group": "pumps", "label": "zone=north"}
    assert told("groups", "pick", "--type", "plc").out == "a\n"
    assert told.query == {"type": "plc"}
    assert told("groups", "pick", "--json").json == picked


def test_labels_are_set_and_taken_away(server, told):
    server.answers["PATCH", "/api/devices/a"] = 200, device("a", labels={"zone": "north"})
    assert told("groups", "label", "a", "zone=north", "row=").out == "a: zone=north\n"
    assert told.body == {"labels": {"zone": "north", "row": None}}
    server.answers["PATCH", "/api/devices/a"] = 200, device("a")
    assert told("groups", "label", "a", "zone=").out == "a: no label\n"
    assert told("groups", "label", "a", "zone=", "--json").json["labels"] == {}


def test_labels_are_put_on_a_group_and_who_refuses_is_named(server, told):
    server.answers["GET", "/api/groups/pumps/devices"] = 200, {"items": [device("a"), device("b")], "cursor": None}
    server.answers["PATCH", "/api/devices/a"] = 200, device("a", labels={"zone": "north"})
    server.answers["PATCH", "/api/devices/b"] = error(400, "a device has at most 64 labels")
    result = told("groups", "label", "--group", "pumps", "zone=north")
    assert (result.code, result.out) == (1, "a: zone=north\n")
    assert "b: " in result.err
    assert "at most 64" in result.err
    server.answers["PATCH", "/api/devices/b"] = 200, device("b")
    result = told("groups", "label", "--group", "pumps", "zone=", "--json")
    assert (result.code, [item["serial"] for item in result.json["items"]]) == (0, ["a", "b"])
    assert [call.body for call in server.calls if call.method == "PATCH"] == [{"labels": {"zone": None}}] * 2


def test_labels_for_a_group_without_devices_are_no_success(server, told):
    server.answers["GET", "/api/groups/pumps/devices"] = 200, {"items": [], "cursor": None}
    result = told("groups", "label", "--group", "pumps", "zone=north")
    assert (result.code, "pumps has no devices" in result.err) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("groups", "label", "a"),
        ("groups", "label", "--group", "pumps"),
        ("groups", "label", "zone=north", "row=12"),
        ("groups", "label", "a", "zone"),
        ("groups", "create", "pumps", "--label", "zone"),
        ("groups", "create", "pumps", "--label", "zone="),
        ("groups", "add", "pumps"),
        ("roster", "set", "plant-1"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(told, arguments):
    assert told(*arguments).code == 2


def test_devices_are_found_by_a_label(server, told):
    server.answers["GET", "/api/devices"] = 200, {"items": [], "cursor": None}
    told("devices", "--label", "zone=north")
    assert told.query["label"] == "zone=north"


# Rosters


def entry(serial, **fields):
    return dict.fromkeys(("presence", "since", "last_seen", "label", "site")) | {"serial": serial} | fields


def roster(site="plant-1", **lists):
    return {"site": site, "source": "api", "declared": 2} | {state: lists.get(state, []) for state in STATES}


def test_a_roll_call_puts_those_first_who_are_missing(server, told):
    answer = roster(healthy=[entry("a", presence="online")], silent=[entry("b")])
    server.answers["GET", "/api/rosters/plant-1"] = 200, answer
    shown = told("roster", "show", "plant-1")
    assert shown.code == 1
    assert [line.split()[:4] for line in shown.out.splitlines()[1:]] == [
        ["b", "silent", "never", "seen"],
        ["a", "healthy", "online", "-"],
    ]
    assert told("roster", "show", "plant-1", "--json").json == answer


def test_a_roll_call_where_everybody_is_there_is_a_success(server, told):
    server.answers["GET", "/api/rosters/plant-1"] = 200, roster(healthy=[entry("a", presence="online")])
    assert told("roster", "show", "plant-1").code == 0


def test_the_rosters_are_listed(server, told):
    counts = dict.fromkeys(STATES, 0) | {"healthy": 3, "silent": 1}
    items = [{"site": "plant-1", "source": "configuration", "declared": 4, "counts": counts}]
    server.answers["GET", "/api/rosters"] = 200, {"items": items, "cursor": None}
    assert told("roster", "list").out.splitlines()[1].split() == [
        "plant-1", "configuration", "4", "1", "0", "0", "0", "3",
    ]  # fmt: skip
    assert told("roster", "list", "--json").json == {"items": items}


def test_a_roster_is_put_from_arguments_and_a_file(server, told, tmp_path):
    server.answers["PUT", "/api/rosters/plant 1"] = 200, roster("plant 1", silent=[entry("a"), entry("b")])
    (tmp_path / "list").write_text("b\nc\n")
    answer = told("roster", "set", "plant 1", "a", "--file", str(tmp_path / "list"))
    assert answer.out == "2 expected at plant 1: 2 silent.\n"
    assert told.body == {"serials": ["a", "b", "c"]}
    assert told("roster", "set", "plant 1", "a", "--json").json["declared"] == 2


def test_a_roster_is_forgotten(server, told):
    server.answers["DELETE", "/api/rosters/plant-1"] = 204, b""
    assert told("roster", "delete", "plant-1").out == "Nobody is expected at plant-1 any more.\n"
    assert told("roster", "delete", "plant-1", "--json").json == {"site": "plant-1", "deleted": True}


# Exports


@pytest.fixture
def stored(monkeypatch, tmp_path):
    """A database with a group by rule and by hand, and a reading of each device."""
    url = f"sqlite:///{tmp_path}/muster.db"
    monkeypatch.setenv("MUSTER_DATABASE_URL", url)
    store = Store(open_database(url))
    store.commit([*(item for serial in ("a1", "a2", "b1", "c1") for item in (device_of(serial), reading(serial)))])
    for kept in (Group(name="g", rule=Rule(serial="a*"), members=frozenset({"c1"})), Group(name="empty")):
        store.run(lambda database, kept=kept: put_group(database, None, kept))
    store.close()


def device_of(serial):
    return stored_device(serial, group="spares" if serial == "b1" else "")


@pytest.mark.parametrize(
    ("options", "serials"),
    [
        (("--group", "g"), ["a1", "a2", "c1"]),
        (("--group", "g", "--device", "b1"), ["a1", "a2", "b1", "c1"]),
        (("--group", "spares"), ["b1"]),
        (("--group", "empty"), []),
    ],
)
def test_the_readings_of_a_group_are_exported(stored, muster, options, serials):
    told = muster("export", "readings", *options)
    assert [line.split(",")[1] for line in told.out.splitlines()[1:]] == serials
    assert told.code == 0


def test_an_export_of_an_unknown_group_is_refused(stored, muster):
    told = muster("export", "readings", "--group", "typo")
    assert (told.code, told.err) == (1, "Error: There is no group typo.\n")
