"""What Home Assistant is told of a device: topics, ids, units."""

from __future__ import annotations

import json
import re

import hypothesis
import pytest
from hypothesis import strategies

from actors.home_assistant.documents import Topics, describe, slug
from actors.messages import DeviceSnapshot

TOPICS = Topics("homeassistant", "0123456789ab")
IDS = re.compile(r"[A-Za-z0-9_-]+")


def document(*, measures=None, via="", watch_server=True, **fields):
    device = DeviceSnapshot(**{"serial": "A1", "kind": "datalogger", "family": "datalogger", **fields})
    return json.loads(describe(device, measures or {}, TOPICS, via=via, watch_server=watch_server))


def test_a_document_has_everything_that_the_device_form_requires():
    found = document(measures={"input": {"Temperature"}})
    assert found["device"]["identifiers"]
    assert found["origin"]["name"] == "Muster"
    for component in found["components"].values():
        assert component["platform"] in ("sensor", "binary_sensor")
        assert component["unique_id"].startswith("muster_0123456789ab_A1_")


def test_a_device_is_available_when_both_the_server_and_it_are_there():
    found = document()
    assert [each["topic"] for each in found["availability"]] == [
        "server/discovery",
        "muster/0123456789ab/devices/A1/availability",
    ]
    assert found["availability_mode"] == "all"


def test_a_presence_that_is_offline_is_still_shown():
    (server,) = document()["components"]["presence"]["availability"]
    assert server["topic"] == "server/discovery"


def test_a_server_that_does_not_tell_of_itself_is_not_watched():
    found = document(watch_server=False)
    assert [each["topic"] for each in found["availability"]] == ["muster/0123456789ab/devices/A1/availability"]
    assert found["components"]["presence"]["availability"] == []


@pytest.mark.parametrize(
    ("name", "device_class", "unit"),
    [
        ("temperature", "temperature", "°C"),
        ("soil-moisture", "moisture", "%"),
        ("pH", "ph", None),
        ("N", None, "mg/kg"),
        ("Humidity", "humidity", "%"),
        ("flow", None, None),
    ],
)
def test_what_is_certain_of_a_measure_is_told_and_nothing_else(name, device_class, unit):
    sensor = document(measures={"data": {name}})["components"][f"data_{name}"]
    assert (sensor.get("device_class"), sensor.get("unit_of_measurement")) == (device_class, unit)
    assert sensor["state_class"] == "measurement"


def test_what_is_measured_no_more_is_named_by_its_platform_alone_unless_it_is_back():
    device = DeviceSnapshot(serial="A1", kind="datalogger", family="datalogger")
    told = describe(device, {"input": {"a"}}, TOPICS, via="", watch_server=True, gone={"input": {"a", "b"}})
    found = json.loads(told)["components"]
    assert found["input_b"] == {"platform": "sensor"}
    assert "state_topic" in found["input_a"]


def test_one_name_in_two_channels_makes_two_entities():
    found = document(measures={"input": {"1"}, "output": {"1"}})["components"]
    assert (found["input_1"]["name"], found["output_1"]["name"]) == ("1", "1 (output)")
    assert found["input_1"]["state_topic"] != found["output_1"]["state_topic"]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"label": "Pump", "hostname": "pi"}, "Pump"),
        ({"hostname": "pi"}, "pi"),
        ({}, "A1"),
    ],
)
def test_a_device_has_the_best_name_there_is(fields, name):
    assert document(**fields)["device"]["name"] == name


def test_what_is_not_known_is_left_out_and_a_gateway_is_named():
    assert set(document()["device"]) == {"identifiers", "name", "model", "serial_number"}
    found = document(via="GW.7", site="plant", type="monstro")["device"]
    assert (found["via_device"], found["suggested_area"]) == (TOPICS.identifier("GW.7"), "plant")
    assert found["model"] == "monstro"


@hypothesis.given(strategies.text(min_size=1))
def test_a_slug_has_only_letters_that_ids_may_have_and_is_short(text):
    assert IDS.fullmatch(slug(text))
    assert len(slug(text)) <= 57


def test_two_serials_never_share_a_topic():
    serials = ("a.b", "a:b", "a_b", "x" * 64, "x" * 63, slug("a.b"), slug(slug("a.b")))
    assert len({TOPICS.config(serial) for serial in serials}) == len(serials)


@pytest.mark.parametrize("name", ['say "hi"', "back\\slash", "}}", "größe", "line\nbreak"])
def test_a_template_quotes_whatever_a_measure_is_called(name):
    ((_, sensor),) = [each for each in document(measures={"data": {name}})["components"].items() if "data_" in each[0]]
    literal = re.fullmatch(r"{{ value_json\.measures\.get\((.*), \"\"\) }}", sensor["value_template"])[1]
    # Templates read their literals so.
    assert literal[1:-1].encode("ascii", "backslashreplace").decode("unicode-escape") == name
