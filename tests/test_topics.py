"""Topics: which are ours, and what each tells of the device behind it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from actors.topics import (
    BOUND_CONTROL,
    BOUND_DATA,
    LONGEST_NAME,
    SHARED_CONTROL,
    Address,
    BadTopicError,
    parse_pi,
    parse_sensor,
    parse_site,
    sensor_data,
    site_control,
    site_data,
)

PI = {
    "devices/announce": Address("pi", "announce"),
    "devices/heartbeat": Address("pi", "heartbeat"),
    "devices/status": Address("pi", "status"),
    "devices/817994ccfe14/announce": Address("pi", "announce", bound_id="817994ccfe14", device_id="817994ccfe14"),
    "devices/a.b_c:d-E/heartbeat": Address("pi", "heartbeat", bound_id="a.b_c:d-E", device_id="a.b_c:d-E"),
    "devices/x/status": Address("pi", "status", bound_id="x", device_id="x"),
    "devices/x/readings": Address("pi", "readings", bound_id="x", device_id="x"),
}
SITE = {
    "plant/datalogger/monstro/1/heartbeat": Address(
        "datalogger", "heartbeat", device_id="1", type="monstro", site="plant"
    ),
    "plant/datalogger/monstro/1/input": Address("datalogger", "input", device_id="1", type="monstro", site="plant"),
    "plant/datalogger/monstro/1/output": Address("datalogger", "output", device_id="1", type="monstro", site="plant"),
    "plant/gateway/7/heartbeat": Address("gateway", "heartbeat", device_id="7", site="plant"),
    "plant/gateway/7/input": Address("gateway", "input", device_id="7", site="plant"),
    "plant/gateway/7/output": Address("gateway", "output", device_id="7", site="plant"),
    "a site with spaces/gateway/ü/input": Address("gateway", "input", device_id="ü", site="a site with spaces"),
}
REFUSED_PI = [
    "",
    "devices",
    "devices/",
    "devices/readings",
    "devices/commands",
    "devices/x/commands",
    "devices//heartbeat",
    "devices/x y/heartbeat",
    "devices/ü/heartbeat",
    f"devices/{'x' * 65}/heartbeat",
    "devices/x/heartbeat/more",
    "/devices/heartbeat",
]
REFUSED_SITE = [
    "",
    "plant/gateway/7",
    "plant/gateway/7/heartbeat/more",
    "plant/gateway//heartbeat",
    "/gateway/7/heartbeat",
    "plant/datalogger/1/heartbeat",
    "plant/datalogger/monstro/1/readings",
    "plant/router/7/heartbeat",
    f"{'x' * (LONGEST_NAME + 1)}/gateway/7/heartbeat",
    f"plant/gateway/{'x' * 60_000}/heartbeat",
]


@pytest.mark.parametrize(("topic", "address"), PI.items())
def test_a_topic_of_the_shared_family_is_understood(topic, address):
    assert parse_pi(topic) == address


@pytest.mark.parametrize(("topic", "address"), SITE.items())
def test_a_topic_of_a_site_is_understood(topic, address):
    assert parse_site(topic) == address


@pytest.mark.parametrize("topic", REFUSED_PI)
def test_what_is_no_topic_of_the_shared_family_is_refused_in_a_short_sentence(topic):
    with pytest.raises(BadTopicError) as refused:
        parse_pi(topic)
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize("topic", REFUSED_SITE)
def test_what_is_no_topic_of_a_site_is_refused_in_a_short_sentence(topic):
    with pytest.raises(BadTopicError) as refused:
        parse_site(topic)
    assert len(str(refused.value)) < 250


@given(st.text())
def test_any_topic_at_all_is_understood_or_refused(topic):
    for parse in (parse_pi, parse_site):
        try:
            assert isinstance(parse(topic), Address)
        except BadTopicError:
            continue


@pytest.mark.parametrize(
    ("topic", "label"),
    [
        ("plant/datalogger/monstro/1/heartbeat", "monstro/1"),
        ("plant/gateway/7/heartbeat", "Gateway 7"),
    ],
)
def test_a_site_topic_gives_the_device_its_label(topic, label):
    assert parse_site(topic).label == label


def test_a_shared_topic_gives_no_label():
    assert parse_pi("devices/x/status").label == ""


def subscribed(filters, topic):
    return any(topic_matches_sub(wanted, topic) for wanted in filters)


def test_each_topic_that_is_understood_is_subscribed_on_exactly_one_link():
    control = SHARED_CONTROL + BOUND_CONTROL + site_control(None)
    data = BOUND_DATA + site_data(None)
    for topic in PI | SITE:
        beats = topic.rpartition("/")[2] in ("announce", "heartbeat", "status")
        assert subscribed(control, topic) is beats, topic
        assert subscribed(data, topic) is not beats, topic


def test_a_list_of_sites_subscribes_those_and_no_others():
    filters = site_control(["plant", "field"]) + site_data(["plant", "field"])

    assert subscribed(filters, "field/gateway/7/input")
    assert subscribed(filters, "plant/datalogger/monstro/1/heartbeat")
    assert not subscribed(filters, "elsewhere/gateway/7/heartbeat")
    assert len(filters) == 12


@pytest.mark.parametrize("prefix", ["harit-samarth", "farm/north", "a b"])
def test_the_prefix_of_a_sensors_topic_is_its_site(prefix):
    (topic,) = sensor_data([prefix])
    assert parse_sensor(topic) == Address("sensor", "data", site=prefix)


@pytest.mark.parametrize(
    "topic", ["", "sensor/data", "/sensor/data", "farm/sensor", "farm/sensor/data/x", f"{'x' * 200}/sensor/data"]
)
def test_any_other_topic_is_not_a_sensors(topic):
    with pytest.raises(BadTopicError):
        parse_sensor(topic)
