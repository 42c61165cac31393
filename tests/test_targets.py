"""Who is meant by a target: one device, some, a group, everybody."""

from __future__ import annotations

import msgspec
import pytest

from actors.targets import Target, UnknownTargetError, resolve
from tests.test_fleet import known, make

GROUPS = {"pumps": ["c", "a", "gone"], "empty": [], "left": ["gone"]}


class Book:
    """Groups by hand; one names a device that was deleted."""

    def members(self, name):
        if name not in GROUPS:
            raise UnknownTargetError("group", name)
        return GROUPS[name]


@pytest.fixture
def fleet():
    return make(known("c"), known("a"), known("b"))


@pytest.mark.parametrize(
    ("body", "serials"),
    [
        ({"device": "b"}, ["b"]),
        ({"devices": ["c", "a", "c"]}, ["c", "a"]),
        ({"group": "pumps"}, ["a", "c"]),
        ({"all": True}, ["a", "b", "c"]),
        ({"device": "b", "title": "not part of the target"}, ["b"]),
    ],
)
def test_a_target_becomes_serials_each_of_them_once(fleet, body, serials):
    assert resolve(Target.of(body), fleet, Book()) == serials


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"device": "x"}, "there is no device x"),
        ({"devices": ["a", "x", "y"]}, "there is no device x"),
        ({"group": "x"}, "there is no group x"),
    ],
)
def test_who_is_not_known_is_named(fleet, body, sentence):
    with pytest.raises(LookupError) as caught:
        resolve(Target.of(body), fleet, Book())
    assert str(caught.value) == sentence
    assert caught.value.name == "x"


@pytest.mark.parametrize("name", ["empty", "left"])
def test_a_group_without_devices_is_nobody_and_no_silent_success(fleet, name):
    with pytest.raises(UnknownTargetError) as caught:
        resolve(Target(group=name), fleet, Book())
    assert (str(caught.value), caught.value.what, caught.value.name) == (f"group {name} has no devices", "group", name)


def test_all_of_no_devices_is_nobody_too():
    with pytest.raises(UnknownTargetError) as caught:
        resolve(Target(all=True), make(), Book())
    assert (str(caught.value), caught.value.what) == ("there are no devices yet", "device")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"devices": []},
        {"device": ""},
        {"all": False},
        {"device": "a", "group": "pumps"},
        {"all": True, "devices": ["a"]},
    ],
)
def test_a_body_must_have_exactly_one_target(body):
    with pytest.raises(ValueError, match="exactly one of device, devices, group, all"):
        Target.of(body)


@pytest.mark.parametrize("body", [{"device": 7}, {"devices": "a"}, {"all": "yes"}, {"group": None}])
def test_a_target_of_a_wrong_type_is_refused_by_its_field(body):
    with pytest.raises(ValueError, match=next(iter(body))):
        Target.of(body)


def test_a_target_is_decoded_from_json_with_the_same_checks():
    assert msgspec.json.decode(b'{"all": true}', type=Target) == Target(all=True)
    with pytest.raises(msgspec.ValidationError, match="exactly one"):
        msgspec.json.decode(b'{"device": "a", "all": true}', type=Target)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Target(device="a"), "a"),
        (Target(devices=("a", "b")), "2 devices"),
        (Target(group="pumps"), "group pumps"),
        (Target(all=True), "all devices"),
    ],
)
def test_a_target_can_be_said_in_words(target, words):
    assert str(target) == words
