"""The fleet as a whole by HTTP: sorted and filtered pages of it, and its sites."""

from __future__ import annotations

import base64

import pytest

from tests.web.fakes import NOON, Client, make_face, view

FLEET = (
    view("pi-1", hostname="zeta", since_us=NOON + 3_000, last_seen_us=NOON, flapping=True),
    view("dl-1", "offline", kind="datalogger", label="Alpha", site="plant-2", since_us=NOON, last_seen_us=NOON - 9),
    view("gw-7", "unknown", kind="gateway", site="Harbour", since_us=NOON - 1, last_seen_us=NOON - 5, quarantined=True),
)


@pytest.fixture
def client():
    return Client(make_face(*FLEET))


def serials(answer):
    return [device["serial"] for device in answer.json["items"]]


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("serial", ["dl-1", "gw-7", "pi-1"]),
        ("label", ["dl-1", "gw-7", "pi-1"]),
        ("presence", ["dl-1", "gw-7", "pi-1"]),
        ("since", ["gw-7", "dl-1", "pi-1"]),
        ("last_seen", ["dl-1", "gw-7", "pi-1"]),
        ("kind", ["dl-1", "gw-7", "pi-1"]),
        ("site", ["gw-7", "dl-1", "pi-1"]),
    ],
)
def test_every_order_goes_both_ways_and_a_page_at_a_time(client, sort, found):
    for order, expected in (("asc", found), ("desc", found[::-1])):
        shown, cursor = [], ""
        while cursor is not None:
            answer = client.get(f"/api/devices?sort={sort}&order={order}&limit=1&cursor={cursor}")
            shown += serials(answer)
            cursor = answer.json["cursor"]
            assert answer.json["matches"] == 3
        assert shown == expected


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("flapping=true", ["pi-1"]),
        ("flapping=false", ["dl-1", "gw-7"]),
        ("quarantined=true", ["gw-7"]),
        ("quarantined=false&flapping=false", ["dl-1"]),
        ("no_site=true", ["pi-1"]),
        ("no_site=false", ["dl-1", "gw-7", "pi-1"]),
        ("q=alp", ["dl-1"]),
    ],
)
def test_what_is_remarkable_can_be_asked_for_and_is_counted(client, query, found):
    answer = client.get(f"/api/devices?{query}")
    assert (serials(answer), answer.json["matches"]) == (found, len(found))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("sort=colour", "sort"),
        ("order=up", "order"),
        ("flapping=yes", "flapping"),
        ("quarantined=1", "quarantined"),
        ("no_site=0", "no_site"),
        ("no_site=true&site=plant-2", "no_site"),
        ("presence=here", "presence"),
    ],
)
def test_a_value_that_cannot_be_meant_is_400_and_named(client, query, field):
    answer = client.get(f"/api/devices?{query}")
    assert (answer.status, answer.error["details"]) == (400, {"field": field})


def packed(text):
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "pi-1",
        "a/b",
        "ü",
        "=",
        "x" * 3001,
        packed("{}"),
        packed('["serial", "a"]'),
        packed('["since", "a", "a"]'),
        packed('["since", 1.5, "a"]'),
        packed('["since", true, "a"]'),
        packed('["label", "a", "a"]'),
    ],
)
@pytest.mark.parametrize("sort", ["since", "serial"])
def test_a_made_up_cursor_or_one_of_another_order_is_400(client, cursor, sort):
    answer = client.get(f"/api/devices?sort={sort}&cursor={cursor}")
    assert (answer.status, answer.error["details"]) == (400, {"field": "cursor"})


@pytest.mark.parametrize("letter", ["\U0001f331", "\x01", "İ"])
def test_a_page_goes_on_behind_the_longest_name_that_a_device_can_tell(letter):
    name = letter * 253
    client = Client(make_face(*(view(serial * 64, hostname=name, site=name) for serial in "01")))
    for sort in ("label", "site"):
        first = client.get(f"/api/devices?sort={sort}&limit=1").json
        assert serials(client.get(f"/api/devices?sort={sort}&cursor={first['cursor']}")) == ["1" * 64]


def test_too_many_who_ask_at_once_are_told_so(client, monkeypatch):
    def page(*_):
        raise TimeoutError

    monkeypatch.setattr(client.face.fleet, "page", page, raising=False)
    answer = client.get("/api/devices?sort=label")
    assert (answer.status, answer.error["code"]) == (503, "unavailable")
    assert "too many" in answer.error["message"]


def test_sites_come_the_worst_first_with_all_that_counts(client):
    client.face.fleet.put(view("ok-1", site="calm"))
    client.face.fleet.put(view("ok-2", site="rung"))
    client.face.fleet.alarms_at.update({"rung": 2})
    body = client.get("/api/sites").json
    assert [(site["site"], site["health"]) for site in body["items"]] == [
        ("plant-2", "dark"),
        ("Harbour", "troubled"),
        (None, "troubled"),
        ("rung", "troubled"),
        ("calm", "well"),
    ]
    counts = {"total": 1, "online": 0, "offline": 0, "unknown": 1, "flapping": 0, "quarantined": 1, "alarms": 0}
    assert body["items"][1] == {"site": "Harbour", "health": "troubled"} | counts
    assert body["fleet"] == {
        "total": 5, "online": 3, "offline": 1, "unknown": 1, "flapping": 1, "quarantined": 1, "alarms": 2,
    }  # fmt: skip
    assert (body["matches"], body["cursor"]) == (5, None)


def test_a_site_of_which_nothing_can_be_said_is_neither_dark_nor_well():
    client = Client(make_face(view("a", "unknown", site="north"), view("b", "online", site="north")))
    assert client.get("/api/sites").json["items"][0]["health"] == "unknown"


def test_sites_are_searched_and_paged(client):
    names, cursor = [], ""
    while cursor is not None:
        page = client.get(f"/api/sites?limit=1&cursor={cursor}").json
        names += [site["site"] for site in page["items"]]
        cursor = page["cursor"]
    assert names == ["plant-2", "Harbour", None]
    found = client.get("/api/sites?q=HARB").json
    assert ([site["site"] for site in found["items"]], found["matches"], found["fleet"]["total"]) == (["Harbour"], 1, 3)
    assert client.get("/api/sites?cursor=x").error["details"] == {"field": "cursor"}
    assert client.get("/api/sites?limit=0").error["details"] == {"field": "limit"}
