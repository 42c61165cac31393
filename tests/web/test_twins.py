"""The routes of twins, against a plain fake."""

from __future__ import annotations

import msgspec
import pytest

from tests.web.fakes import Client, make_face, view
from web.answers_twins import Twin, TwinOutcomes
from web.routes_twins import MAX_BODY

GROUND = {"heartbeat": 15, "led": {"on": True}}
PATH = "/api/devices/a/twin"


def at(token="the-operate-token"):
    return Client(make_face(view("a"), view("b"), view("pi-1")), token=token)


def patch(client, desired, path=PATH, **how):
    headers = {name: how.pop(name) for name in list(how) if name.startswith("HTTP_")}
    return client.call("PATCH", path, {"desired": desired, **how}, **headers)


def hold(answer, type_):
    """The answer has all fields of the type and no other field."""
    assert msgspec.to_builtins(msgspec.convert(answer, type_)) == answer


def test_a_device_of_which_nothing_is_desired_has_a_twin_all_the_same():
    answer = at("the-read-token").get(PATH)
    assert (answer.status, answer.headers["ETag"]) == (200, '"0"')
    hold(answer.json, Twin)
    assert answer.json == {
        "serial": "a",
        "desired": {},
        "desired_version": 0,
        "reported": {},
        "reported_version": 0,
        "difference": {},
        "updated": None,
        "desired_updated": None,
        "reported_updated": None,
        "changed_by": None,
    }


def test_a_change_is_answered_with_the_twin_and_noted_with_who_made_it():
    client = at("the-admin-token")
    answer = patch(client, GROUND, version=0)
    assert (answer.status, answer.headers["ETag"], answer.json["difference"]) == (200, '"1"', GROUND)
    hold(answer.json, Twin)
    assert client.face.twins.changed_by == [("a", "admin ops", "192.0.2.7")]


def test_the_difference_is_told_as_far_as_the_device_has_not_followed():
    client = at()
    patch(client, GROUND, version=0)
    client.face.twins.report("a", 1, heartbeat=15, led={"on": False}, uptime=9)
    told = client.get(PATH).json
    assert (told["difference"], told["reported_version"]) == ({"led": {"on": True}}, 1)
    assert told["updated"] == told["reported_updated"] != told["desired_updated"]


@pytest.mark.parametrize("tag", ['"0"', "0", ' "0" '])
def test_the_version_may_stand_in_the_header(tag):
    assert patch(at(), GROUND, HTTP_IF_MATCH=tag).status == 200


def test_another_version_is_a_conflict_that_tells_the_present_one():
    client = at()
    patch(client, GROUND, version=0)
    for how in ({"version": 0}, {"HTTP_IF_MATCH": '"7"'}):
        answer = patch(client, {"x": 1}, **how)
        assert (answer.status, answer.error["code"]) == (409, "conflict")
        assert answer.error["details"] == {"serial": "a", "desired_version": 1}
    assert client.get(PATH).json["desired"] == GROUND


def test_a_change_without_a_version_is_refused_since_it_could_overwrite_another():
    answer = patch(at(), GROUND)
    assert (answer.status, answer.error["code"], answer.error["details"]) == (
        428,
        "version_required",
        {"field": "version"},
    )


@pytest.mark.parametrize(
    ("body", "headers", "field"),
    [
        ({"desired": GROUND}, {"HTTP_IF_MATCH": "*"}, "If-Match"),
        ({"desired": GROUND}, {"HTTP_IF_MATCH": 'W/"1"'}, "If-Match"),
        ({"desired": GROUND, "version": 0}, {"HTTP_IF_MATCH": '"1"'}, "version"),
        ({"desired": GROUND, "version": -1}, {}, "version"),
        ({"desired": GROUND, "version": "0"}, {}, "version"),
        ({"desired": [1], "version": 0}, {}, "desired"),
        ({"version": 0}, {}, "desired"),
        ({"desired": GROUND, "version": 0, "reported": {}}, {}, "reported"),
    ],
)
def test_a_change_that_cannot_be_read_is_400_and_names_the_field(body, headers, field):
    answer = at().call("PATCH", PATH, body, **headers)
    assert (answer.status, answer.error["details"]) == (400, {"field": field})


def test_a_document_that_is_too_large_is_413():
    client = at()
    assert patch(client, {"a": "x" * 50_000}, version=0).status == 413
    assert patch(client, {"a": "x" * MAX_BODY}, version=0).status == 413


def test_of_an_unknown_device_there_is_no_twin():
    client = at()
    assert client.get("/api/devices/nobody/twin").status == 404
    assert patch(client, GROUND, "/api/devices/nobody/twin", version=0).status == 404


def test_who_may_read_may_not_change_and_a_device_sees_its_own_alone():
    assert patch(at("the-read-token"), GROUND, version=0).status == 403
    device = at("the-device-token")
    assert device.get("/api/devices/pi-1/twin").status == 200
    assert device.get(PATH).status == 403
    assert patch(device, GROUND, "/api/devices/pi-1/twin", version=0).status == 403


# Several


def test_a_change_of_several_tells_what_became_of_each():
    client = at()
    patch(client, {"a": 1}, version=0)
    answer = patch(client, {"a": 1}, "/api/twins", devices=["a", "b"])
    assert answer.status == 200
    hold(answer.json, TwinOutcomes)
    assert {name: answer.json[name] for name in ("changed", "unchanged", "refused")} == {
        "changed": 1,
        "unchanged": 1,
        "refused": 0,
    }
    assert [(item["device"], item["state"]) for item in answer.json["items"]] == [("a", "unchanged"), ("b", "changed")]


@pytest.mark.parametrize("target", [{"device": "a"}, {"devices": ["a", "b"]}, {"group": "pumps"}, {"all": True}])
def test_whatever_takes_a_device_takes_several_a_group_or_all(target):
    assert patch(at(), {"a": 1}, "/api/twins", **target).status == 200


@pytest.mark.parametrize("target", [{}, {"device": "a", "all": True}, {"all": False}])
def test_exactly_one_target_is_wanted(target):
    answer = patch(at(), {"a": 1}, "/api/twins", **target)
    assert answer.status == 400
    assert "exactly one of device, devices, group, all" in answer.error["message"]


def test_an_unknown_group_is_404_and_named():
    answer = patch(at(), {"a": 1}, "/api/twins", group="nobody")
    assert (answer.status, answer.error["details"]) == (404, {"group": "nobody"})


def test_what_was_refused_of_several_is_told_with_its_reason():
    answer = patch(at(), {"a": "x" * 50_000}, "/api/twins", device="a")
    assert (answer.json["refused"], answer.json["items"][0]["state"]) == (1, "refused")
    assert "too large" in answer.json["items"][0]["reason"]
