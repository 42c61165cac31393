"""The fleet by HTTP."""

from __future__ import annotations

import json

import pytest

from tests.web.fakes import NOON, Client, make_face, view
from web.face import ConflictError

FIELDS = [
    "serial",
    "kind",
    "type",
    "device_id",
    "site",
    "label",
    "group",
    "presence",
    "reason",
    "since",
    "ip_address",
    "hostname",
    "mac_address",
    "first_seen",
    "last_seen",
    "offline_after",
    "flapping",
    "quarantined",
    "pinned",
    "services",
    "system_info",
    "device_token",
    "metadata",
    "supervised",
    "labels",
]


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def test_a_device_looks_exactly_like_this():
    device = view(
        "817994ccfe14",
        type="raspberry_pi",
        ip_address="192.168.1.100",
        hostname="raspberrypi",
        mac_address="2c:cf:67:6c:45:f2",
        services=b'{"ssh": {"port": 22}}',
        flapping=True,
    )
    body = Client(make_face(device)).get("/api/devices/817994ccfe14").json
    assert list(body) == FIELDS
    assert body == {
        "serial": "817994ccfe14",
        "kind": "raspberry_pi",
        "type": "raspberry_pi",
        "device_id": None,
        "site": None,
        "label": None,
        "group": None,
        "presence": "online",
        "reason": "heartbeat",
        "since": "2025-10-09T08:53:20.000Z",
        "ip_address": "192.168.1.100",
        "hostname": "raspberrypi",
        "mac_address": "2c:cf:67:6c:45:f2",
        "first_seen": "2025-10-09T08:53:20.000Z",
        "last_seen": "2025-10-09T08:53:20.000Z",
        "offline_after": 60.0,
        "flapping": True,
        "quarantined": False,
        "pinned": False,
        "services": {"ssh": {"port": 22}},
        "system_info": {},
        "device_token": None,
        "metadata": {},
        "supervised": False,
        "labels": {},
    }


def test_times_are_cut_to_milliseconds_and_never_is_null():
    device = view("a", since_us=NOON + 123_999, last_seen_us=0)
    body = Client(make_face(device)).get("/api/devices/a").json
    assert (body["since"], body["last_seen"]) == ("2025-10-09T08:53:20.123Z", None)


@pytest.mark.parametrize("serial", ["nobody", "%00", "%FF", "a%2Fb", "x" * 65])
def test_a_serial_that_is_not_known_is_404(serial):
    answer = Client(make_face()).get(f"/api/devices/{serial}")
    assert (answer.status, answer.error["code"]) == (404, "not_found")


def test_pages_follow_each_other_without_gap_or_overlap():
    client = Client(make_face(*(view(f"pi-{number:03}") for number in range(25))))
    serials, cursor = [], ""
    while cursor is not None:
        page = client.get(f"/api/devices?limit=10&cursor={cursor}").json
        serials += [device["serial"] for device in page["items"]]
        cursor = page["cursor"]
    assert serials == [f"pi-{number:03}" for number in range(25)]


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "", "ten", "1.0", "+5", "1_0", "%D9%A1", "99999999999"])
def test_a_limit_that_is_not_1_to_1000_is_400_and_named(limit):
    answer = Client(make_face()).get(f"/api/devices?limit={limit}")
    assert (answer.status, answer.error["details"]) == (400, {"field": "limit"})


@pytest.mark.parametrize("limit", ["1", "1000"])
def test_the_ends_of_the_range_are_allowed(limit):
    assert Client(make_face()).get(f"/api/devices?limit={limit}").status == 200


def test_a_made_up_cursor_is_400():
    assert Client(make_face()).get("/api/devices?cursor=a/b").error["details"] == {"field": "cursor"}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("site=harbour", ["gw-7"]),
        ("kind=gateway", ["gw-7"]),
        ("type=monstro", ["dl-1"]),
        ("group=north", ["dl-1"]),
        ("presence=offline", ["dl-1"]),
        ("presence=unknown", ["gw-7"]),
        ("q=RASP", ["pi-1"]),
        ("q=10.0.0.9", ["gw-7"]),
        ("q=monstro%2F1", ["dl-1"]),
        ("kind=gateway&presence=online", []),
        ("site=", ["dl-1", "gw-7", "pi-1"]),
    ],
)
def test_filters_restrict_the_list(query, found):
    client = Client(
        make_face(
            view("pi-1", hostname="raspberrypi"),
            view("dl-1", "offline", kind="datalogger", type="monstro", group="north", label="monstro/1"),
            view("gw-7", "unknown", kind="gateway", site="harbour", ip_address="10.0.0.9"),
        )
    )
    assert [device["serial"] for device in client.get(f"/api/devices?{query}").json["items"]] == found


@pytest.mark.parametrize("query", ["presence=here", "kind=toaster", "q=" + "x" * 201, "site=%00", "q=%FF"])
def test_a_filter_that_cannot_be_meant_is_400(query):
    assert Client(make_face()).get(f"/api/devices?{query}").status == 400


def test_a_device_can_be_entered_before_it_speaks():
    client = Client(make_face())
    body = {"serial": "DL-9", "kind": "datalogger", "site": "harbour", "label": "monstro/9", "metadata": {"rack": 4}}
    answer = client.post("/api/devices", body)
    assert answer.status == 201
    assert answer.headers["Location"] == "/api/devices/DL-9"
    assert (answer.json["presence"], answer.json["last_seen"]) == ("offline", None)
    shown = client.get("/api/devices/DL-9").json
    assert (shown["label"], shown["metadata"]) == ("monstro/9", {"rack": 4})
    assert client.face.fleet.get("DL-9").snapshot.family == "datalogger"


def test_a_serial_that_exists_is_409():
    answer = Client(make_face(view("pi-1"))).post("/api/devices", {"serial": "pi-1"})
    assert (answer.status, answer.error["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "serial"),
        ({"serial": "a/b"}, "serial"),
        ({"serial": "a\n"}, "serial"),
        ({"serial": 7}, "serial"),
        ({"serial": "a", "kind": "toaster"}, "kind"),
        ({"serial": "a", "colour": "red"}, "colour"),
        ({"serial": "a", "label": "x\u0000y"}, "label"),
        ({"serial": "a", "label": "x" * 129}, "label"),
        ({"serial": "a", "offline_after": 0}, "offline_after"),
    ],
)
def test_a_wrong_body_is_400_and_names_the_field(body, field):
    answer = Client(make_face()).post("/api/devices", body)
    assert (answer.status, answer.error["details"]) == (400, {"field": field})


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b'{"serial": "\xff"}', b"[" * 100_000, b"NaN"])
def test_a_body_that_is_not_json_is_400(raw):
    answer = Client(make_face()).call("POST", "/api/devices", body=raw)
    assert (answer.status, answer.error["code"]) == (400, "bad_request")


def test_what_an_operator_may_change_is_changed():
    client = Client(make_face(view("pi-1", label="old", group="keep")))
    changes = {
        "label": "Line 4",
        "site": "harbour",
        "offline_after": 90,
        "metadata": {"note": "ü"},
        "device_token": "fcm:abc",
        "pinned": True,
    }
    answer = client.call("PATCH", "/api/devices/pi-1", changes)
    assert answer.status == 200
    assert {name: answer.json[name] for name in changes} == changes
    assert answer.json["group"] == "keep"


def test_offline_after_null_goes_back_to_the_policy():
    client = Client(make_face(view("pi-1")))
    client.call("PATCH", "/api/devices/pi-1", {"offline_after": 5})
    assert client.call("PATCH", "/api/devices/pi-1", {"offline_after": None}).json["offline_after"] == 60.0


def test_a_change_that_is_not_possible_now_is_409():
    client = Client(make_face(view("pi-1")))

    def refuse(serial, changes):
        raise ConflictError("pi-1 is quarantined")

    client.face.fleet.patch = refuse
    answer = client.call("PATCH", "/api/devices/pi-1", {"label": "x"})
    assert (answer.status, answer.error["message"]) == (409, "pi-1 is quarantined")


def test_a_patch_of_nothing_changes_nothing():
    assert Client(make_face(view("pi-1"))).call("PATCH", "/api/devices/pi-1", {}).json["serial"] == "pi-1"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"presence": "online"}, "presence"),
        ({"serial": "b"}, "serial"),
        ({"label": None}, "label"),
        ({"pinned": 1}, "pinned"),
        ({"offline_after": "60"}, "offline_after"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"a": "\u0000"}}, "metadata"),
        ({"metadata": {"a": "x" * 17_000}}, "metadata"),
        ({"metadata": {"a": 10**30}}, "metadata"),
        ({"metadata": {"a": nested(800)}}, "metadata"),
        ({"device_token": "two words"}, "device_token"),
    ],
)
def test_a_patch_of_anything_else_is_400_and_names_the_field(body, field):
    client = Client(make_face(view("pi-1")))
    before = client.get("/api/devices/pi-1").body
    answer = client.call("PATCH", "/api/devices/pi-1", body)
    assert (answer.status, answer.error["details"]) == (400, {"field": field})
    assert client.get("/api/devices/pi-1").body == before


@pytest.mark.parametrize("token", ["a/+/b", "1/2/3/4/5/6/7/8", "a//b", "server/requests", "devices/pi-2/commands"])
def test_a_device_token_that_is_no_topic_of_notifications_is_refused_when_it_is_given(token):
    client = Client(make_face(view("pi-1")))
    made = client.post("/api/devices", {"serial": "plc-1", "device_token": token})
    changed = client.call("PATCH", "/api/devices/pi-1", {"device_token": token})
    for answer in (made, changed):
        assert (answer.status, answer.error["details"]) == (400, {"field": "device_token"})
        assert answer.error["message"].startswith(f"device_token: {token!r}")
    assert client.get("/api/devices/plc-1").status == 404


def test_a_device_token_can_be_taken_away():
    client = Client(make_face(view("pi-1", device_token="a/b")))
    assert client.call("PATCH", "/api/devices/pi-1", {"device_token": ""}).json["device_token"] is None


def test_a_deleted_device_is_gone():
    client = Client(make_face(view("pi-1")))
    answer = client.call("DELETE", "/api/devices/pi-1")
    assert (answer.status, answer.body) == (204, b"")
    assert client.get("/api/devices/pi-1").status == 404
    assert client.call("DELETE", "/api/devices/pi-1").status == 404
    assert client.call("PATCH", "/api/devices/pi-1", {"label": "x"}).status == 404


def test_a_body_that_declares_too_much_is_413_and_not_read():
    client = Client(make_face())
    answer = client.post("/api/devices", CONTENT_LENGTH="1000001", **{"wsgi.input": None})
    assert (answer.status, answer.error["code"], answer.error["details"]) == (413, "too_large", {"limit": 1_000_000})
    assert client.post("/api/devices", CONTENT_LENGTH="9" * 5000, **{"wsgi.input": None}).status == 413


def test_a_body_of_unknown_length_is_411():
    answer = Client(make_face()).post("/api/devices", HTTP_TRANSFER_ENCODING="chunked")
    assert (answer.status, answer.error["code"]) == (411, "length_required")


@pytest.mark.parametrize("declared", ["-1", "x", "1.5", "²"])
def test_a_length_that_is_no_number_is_400(declared):
    assert Client(make_face()).post("/api/devices", CONTENT_LENGTH=declared).status == 400


def test_a_body_that_ends_early_is_400():
    answer = Client(make_face()).call("POST", "/api/devices", body=b'{"serial": "a"}', CONTENT_LENGTH="99")
    assert answer.status == 400


def test_the_pi_view_holds_the_pis_alone():
    client = Client(make_face(view("pi-1"), view("gw-7", kind="gateway")))
    assert [item["serial"] for item in client.get("/api/pi_devices").json["items"]] == ["pi-1"]
    assert client.get("/api/pi_devices?limit=0").status == 400


def test_a_pi_is_found_by_serial_and_by_hostname():
    client = Client(make_face(view("pi-1", hostname="raspberrypi"), view("gw-7", kind="gateway", hostname="gw")))
    assert client.get("/api/pi_device/pi-1").json["serial"] == "pi-1"
    assert client.get("/api/pi_device/raspberrypi").json["serial"] == "pi-1"
    assert client.get("/api/pi_device/gw-7").status == 404
    assert client.get("/api/pi_device/gw").status == 404


def test_of_two_pis_with_one_hostname_the_one_present_answers():
    old = view("pi-1", "offline", hostname="raspberrypi", last_seen_us=NOON + 9)
    new = view("pi-2", "online", hostname="raspberrypi", last_seen_us=NOON)
    older = view("pi-3", "offline", hostname="raspberrypi", last_seen_us=NOON + 1)
    assert Client(make_face(old, new, older)).get("/api/pi_device/raspberrypi").json["serial"] == "pi-2"
    assert Client(make_face(older, old)).get("/api/pi_device/raspberrypi").json["serial"] == "pi-1"


def test_bytes_of_metadata_go_out_as_they_were_kept():
    device = view("pi-1", metadata=b'{"b":1,"a":[1,2]}')
    assert json.loads(Client(make_face(device)).get("/api/devices/pi-1").body)["metadata"] == {"b": 1, "a": [1, 2]}


def test_a_misspelt_filter_is_refused_and_not_passed_over():
    client = Client(make_face(view("a")))
    for url in ("/api/devices?presense=online", "/api/devices?limit=1&x=1", "/api/devices/a/readings?buckets=3600"):
        answer = client.get(url)
        assert (answer.status, answer.error["code"]) == (400, "bad_request")
        assert "is not known here; there are " in answer.error["message"]
    # Routes without parameters have no answer that could be mistaken for another.
    assert client.get("/api/health?now=1").status == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "it is empty or ends too early"),
        (b'{"serial"', "it is empty or ends too early"),
        (b'{"serial": "a b"}', "This text is too long or has characters that are not allowed - at `$.serial`"),
        (b'{"serial": "a", "offline_after": 0}', "Expected `float` >= 1.0 - at `$.offline_after`"),
    ],
)
def test_a_wrong_body_is_told_in_words(body, words):
    answer = Client(make_face()).call("POST", "/api/devices", body=body)
    assert (answer.status, answer.error["message"]) == (400, f"the body is not valid: {words}")
