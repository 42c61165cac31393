"""Documents of a twin, and the topics of a hub."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.hub.connection_string import ConnectionString
from edge.hub.properties import difference, merge, storable, without_system
from edge.hub.settings_twin import SettingsTwin
from edge.hub.topics import (
    DesiredPatch,
    MethodCall,
    TwinAnswer,
    answer_method,
    client_id,
    event_topic,
    read_topic,
    username,
)

DEVICE = ConnectionString(host="contoso.azure-devices.net", device_id="MyDevice01", key=b"k")
MODULE = ConnectionString(host="h", device_id="d", module_id="m", key=b"k")

keys = st.text(st.characters(codec="ascii"), max_size=4)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.dictionaries(keys, inner, max_size=4) | st.lists(inner, max_size=3),
    max_leaves=20,
)
facts = st.dictionaries(keys, documents, max_size=5)


@given(facts, facts)
def test_a_difference_makes_one_of_the_other(known, wanted):
    known, wanted = merge({}, storable(known)), storable(wanted)
    after = merge(known, difference(known, wanted))
    assert difference(after, wanted) == {}


@given(facts, facts)
def test_a_full_difference_has_the_same_result(known, wanted):
    known, wanted = merge({}, storable(known)), storable(wanted)
    assert merge(known, difference(known, wanted, full=True)) == merge(known, difference(known, wanted))


def test_only_keys_below_the_top_are_deleted():
    known = {"other": 1, "services": {"link": "up", "hub": "off"}}
    assert difference(known, {"services": {"link": "up"}}) == {"services": {"hub": None}}


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ({"eth0.100": 1, "a b": 2, "$x": 3}, {"eth0_100": 1, "a_b": 2, "_x": 3}),
        (float("nan"), None),
        (2**60, str(2**60)),
        (True, True),
        ("é" * 4096, "é" * 2048),
        ((1, 2), [1, 2]),
        ({1: object}, {"1": str(object)}),
    ],
)
def test_a_value_is_made_storable(value, stored):
    assert storable(value) == stored


def test_what_is_too_deep_is_left_out():
    deep = {}
    for _ in range(20):
        deep = {"a": deep}
    levels = 0
    deep = storable(deep)
    while deep is not None:
        deep, levels = deep["a"], levels + 1
    assert levels == 10


def test_versions_are_no_properties():
    assert without_system({"$version": 3, "$metadata": {}, "heartbeat": 5}) == {"heartbeat": 5}


def test_names_are_those_that_the_hub_asks_for():
    assert username(DEVICE) == "contoso.azure-devices.net/MyDevice01/?api-version=2021-04-12"
    assert client_id(DEVICE) == "MyDevice01"
    assert username(MODULE) == "h/d/m/?api-version=2021-04-12"
    assert client_id(MODULE) == "d/m"


def test_an_event_bears_its_properties_percent_encoded():
    topic = event_topic(DEVICE, "0af b+/c", "scan")
    assert topic == (
        "devices/MyDevice01/messages/events/$.mid=0af%20b%2B%2Fc&$.ct=application%2Fjson&$.ce=utf-8&kind=scan"
    )
    assert event_topic(MODULE, "1", "scan").startswith("devices/d/modules/m/messages/events/")


@pytest.mark.parametrize(
    ("topic", "found"),
    [
        ("$iothub/twin/res/200/?$rid=1", TwinAnswer(200, "1")),
        ("$iothub/twin/res/204/?$rid=7&$version=12", TwinAnswer(204, "7")),
        ("$iothub/twin/PATCH/properties/desired/?$version=3", DesiredPatch(3)),
        ("$iothub/methods/POST/reboot/?$rid=a%20b", MethodCall("reboot", "a%20b")),
        ("$iothub/twin/res/ok/?$rid=1", None),
        ("$iothub/twin/res/200/", None),
        ("$iothub/twin/PATCH/properties/desired/?$version=-1", None),
        ("$iothub/methods/POST/reboot", None),
        ("devices/MyDevice01/messages/devicebound/", None),
    ],
)
def test_topics_of_the_hub_are_read(topic, found):
    assert read_topic(topic) == found


@given(st.text(max_size=80))
def test_any_topic_is_read(tail):
    read_topic("$iothub/twin/" + tail)
    read_topic("$iothub/methods/POST/" + tail)


def test_a_method_s_answer_names_its_request():
    assert answer_method(MethodCall("reboot", "a%20b"), 501) == "$iothub/methods/res/501/?$rid=a%20b"


@pytest.mark.parametrize("value", [4, 3601, True, "30", None, float("nan"), [30]])
def test_an_impossible_heartbeat_changes_nothing(value):
    told = []
    twin = SettingsTwin(dict, told.append)
    assert "error" in twin.apply({"heartbeat": value})["heartbeat"]
    assert told == []


def test_a_heartbeat_is_told_once():
    told = []
    twin = SettingsTwin(dict, told.append)
    assert twin.apply({"heartbeat": 5}) == {"heartbeat": 5}
    twin.apply({"heartbeat": 5})
    twin.apply({})
    assert told == [5, None]
