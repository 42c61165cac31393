"""Groups, rosters, labels and picks over HTTP."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.web.fake_soil import NOON
from tests.web.fakes import Client, make_face, view

RULE = {"site": "plant-1"}


@pytest.fixture
def client():
    return Client(make_face(view("a", group="spares", labels="row=12\nzone=north"), view("b", "offline")))


@pytest.fixture
def reader(client):
    """The same server, for somebody who may only read."""
    return Client(client.face, token="the-read-token")


def test_a_group_is_made_and_looks_like_this(client):
    answer = client.post("/api/groups", {"name": "hall 1", "members": ["b", "a"], "rule": RULE})
    assert (answer.status, answer.headers["Location"]) == (201, "/api/groups/hall%201")
    assert answer.json == {
        "name": "hall 1",
        "description": "",
        "rule": RULE,
        "members": ["a", "b"],
        "declared": True,
        "updated": "2025-10-09T08:53:20.000Z",
        "changed_by": "admin ops",
    }
    shown = client.get("/api/groups/hall%201").json
    assert shown == answer.json | {"devices": 2, "present": 1}
    assert client.face.groups.told[0][2:] == ("admin ops", "192.0.2.7")


def test_groups_are_listed_a_page_at_a_time(client):
    for name in "abc":
        client.post("/api/groups", {"name": name, "members": ["a"] if name == "b" else []})
    page = client.get("/api/groups?limit=2").json
    assert ([item["name"] for item in page["items"]], page["cursor"]) == (["a", "b"], "b")
    assert [item["name"] for item in client.get("/api/groups?limit=2&cursor=b").json["items"]] == ["c"]
    assert [item["name"] for item in client.get("/api/groups?device=a").json["items"]] == ["b"]


def test_the_devices_of_a_group_are_listed(client):
    client.post("/api/groups", {"name": "all", "members": ["a", "b"]})
    page = client.get("/api/groups/all/devices?limit=1").json
    assert ([item["serial"] for item in page["items"]], page["cursor"]) == (["a"], "a")
    assert [item["serial"] for item in client.get("/api/groups/all/devices?cursor=a").json["items"]] == ["b"]


def test_a_change_tells_only_what_was_given(client):
    client.post("/api/groups", {"name": "g", "rule": RULE})
    assert client.call("PATCH", "/api/groups/g", {"description": "x", "rule": None, "add": ["a"]}).status == 200
    _, name, changes, by, address = client.face.groups.told[-1]
    assert (name, by, address) == ("g", "admin ops", "192.0.2.7")
    assert changes == {"description": "x", "rule": None, "add": ("a",), "remove": ()}


def test_a_group_is_forgotten(client):
    client.post("/api/groups", {"name": "g"})
    assert client.call("DELETE", "/api/groups/g").status == 204
    answer = client.get("/api/groups/g")
    assert (answer.status, answer.error["code"], answer.error["details"]) == (404, "not_found", {"name": "g"})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "a/b"}, "name"),
        ({"name": "."}, "name"),
        ({"name": ".."}, "name"),
        ({"name": " pumps"}, "name"),
        ({"name": "pumps\u00a0"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"members": []}, "name"),
        ({"name": "g", "members": ["a b"]}, "members"),
        ({"name": "g", "rule": {}}, "rule"),
        ({"name": "g", "rule": {"kind": "toaster"}}, "rule.kind"),
        ({"name": "g", "rule": {"sites": "x"}}, "rule.sites"),
        ({"name": "g", "size": 3}, "size"),
    ],
)
def test_a_bad_group_is_refused_by_its_field(client, body, field):
    answer = client.post("/api/groups", body)
    assert answer.status == 400
    assert answer.error["details"]["field"].startswith(field)


@pytest.mark.parametrize("name", ["ümlaut", "a b", "100%", "a?b#c", "...", "x"])
def test_a_group_may_be_called_what_people_call_it_and_is_found_by_it(client, name):
    assert client.post("/api/groups", {"name": name}).status == 201
    assert client.get(f"/api/groups/{quote(name)}").json["name"] == name


@pytest.mark.parametrize("name", ["hall/2", "..", " pumps"])
def test_a_device_names_no_group_that_nobody_could_ask_for(client, name):
    for method, path, body in (("POST", "/api/devices", {"serial": "new"}), ("PATCH", "/api/devices/a", {})):
        answer = client.call(method, path, {**body, "group": name})
        assert (answer.status, answer.error["details"]) == (400, {"field": "group"})
    assert client.call("PATCH", "/api/devices/a", {"group": ""}).json["group"] is None


def test_a_second_group_of_a_name_is_a_conflict(client):
    assert client.post("/api/groups", {"name": "g"}).status == 201
    answer = client.post("/api/groups", {"name": "g"})
    assert (answer.status, answer.error["code"]) == (409, "exists")


def test_who_may_only_read_changes_nothing(client, reader):
    client.post("/api/groups", {"name": "g"})
    assert reader.get("/api/groups").status == 200
    for method, path, body in (
        ("POST", "/api/groups", {"name": "h"}),
        ("PATCH", "/api/groups/g", {"description": "x"}),
        ("DELETE", "/api/groups/g", None),
        ("PUT", "/api/rosters/plant-1", {"serials": []}),
        ("DELETE", "/api/rosters/plant-1", None),
    ):
        assert reader.call(method, path, body).status == 403


# Picks


def test_a_pick_tells_the_device_and_why(reader):
    picked = reader.get("/api/devices/pick?label=zone=north").json
    assert (picked["serial"], picked["commands"], picked["load_average"]) == ("a", 2, 0.5)
    assert picked["device"]["labels"] == {"row": "12", "zone": "north"}


def test_a_pick_of_nobody_is_a_conflict(reader):
    answer = reader.get("/api/devices/pick?site=nowhere")
    assert (answer.status, answer.error["code"]) == (409, "none_present")
    assert reader.get("/api/devices/pick?presence=offline").status == 400


# Labels


def test_devices_are_found_by_their_labels(client):
    for text, serials in (("zone", ["a"]), ("zone=north", ["a"]), ("zone=south", []), ("row=12", ["a"])):
        found = client.get(f"/api/devices?label={text}").json["items"]
        assert [item["serial"] for item in found] == serials


def test_labels_are_set_and_taken_away(client):
    answer = client.call("PATCH", "/api/devices/a", {"labels": {"row": None, "crop": "oats"}})
    assert answer.json["labels"] == {"crop": "oats", "zone": "north"}
    made = client.post("/api/devices", {"serial": "new", "labels": {"zone": "south"}})
    assert made.json["labels"] == {"zone": "south"}


@pytest.mark.parametrize(
    "labels",
    [{"a=b": "c"}, {"": "c"}, {"zone": ""}, {"zone": "a\nb"}, {"zone": 7}, {f"k{n}": "v" for n in range(65)}, ["zone"]],
)
def test_bad_labels_are_refused(client, labels):
    for method, path, body in (("PATCH", "/api/devices/a", {}), ("POST", "/api/devices", {"serial": "new"})):
        answer = client.call(method, path, body | {"labels": labels})
        assert answer.status == 400
        assert answer.error["details"]["field"].startswith("labels")


# Rosters


def test_a_roster_is_put_and_looks_like_this(client):
    answer = client.call("PUT", "/api/rosters/plant%201", {"serials": ["a"]})
    nobody = {"presence": None, "since": None, "last_seen": None, "label": None, "site": None}
    lists = {"healthy": [], "silent": [{"serial": "a"} | nobody], "unknown": [], "elsewhere": [], "undeclared": []}
    assert answer.json == {"site": "plant 1", "source": "api", "declared": 1} | lists
    assert client.get("/api/rosters/plant%201").json == answer.json
    assert [item["site"] for item in client.get("/api/rosters").json["items"]] == ["plant 1"]
    assert client.call("DELETE", "/api/rosters/plant%201").status == 204
    assert client.get("/api/rosters/plant%201").status == 404


@pytest.mark.parametrize(
    ("site", "body", "field"),
    [
        ("plant%2B1", {"serials": []}, "site"),
        ("%23", {"serials": []}, "site"),
        ("x" * 65, {"serials": []}, "site"),
        ("plant-1", {}, "serials"),
        ("plant-1", {"serials": ["a b"]}, "serials"),
    ],
)
def test_a_bad_roster_is_refused_by_its_field(client, site, body, field):
    answer = client.call("PUT", f"/api/rosters/{site}", body)
    assert answer.status == 400
    assert answer.error["details"]["field"].startswith(field)


def test_times_are_told_as_everywhere(client):
    client.face.groups.sites["plant-1"] = ["a"]
    roster = client.face.groups.roster("plant-1")
    roster["silent"][0] |= {"since_us": NOON, "last_seen_us": 0}
    client.face.groups.roster = lambda _site: roster
    (entry,) = client.get("/api/rosters/plant-1").json["silent"]
    assert (entry["since"], entry["last_seen"]) == ("2025-10-09T08:53:20.000Z", None)
