"""The bridge to Home Assistant as the broker sees it: what is retained, how it follows, and what is left of it."""

from __future__ import annotations

import contextlib

import pytest

from tests.e2e.payloads import announcement, datalogger, gateway, site_beat
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import Device
from tests.support.muster import Muster
from tests.support.wait import eventually


class Home:
    """Stands where Home Assistant does: knows what is retained now."""

    def __init__(self, wire):
        self.wire = wire
        for topic in ("homeassistant/device/+/+/config", "muster/#"):
            wire.subscribe(topic)

    @property
    def retained(self):
        """The last payload by topic, without what was cleared."""
        latest = {message.topic: message for message in list(self.wire.received)}
        return {topic: message for topic, message in latest.items() if message.payload}

    def documents(self):
        return {m.json["device"]["serial_number"]: m.json for t, m in self.retained.items() if t.endswith("/config")}

    def document(self, serial, *components):
        """The device's document, once it has these components."""

        def found():
            document = self.documents().get(serial)
            return document if document and set(components) <= set(document["components"]) else None

        return eventually(found, 20, f"{serial} is described with {components}")

    def wait(self, topic, payload):
        def there():
            message = self.retained.get(topic)
            return message is not None and message.payload == payload

        eventually(there, 20, f"{topic} says {payload}")

    def wait_nothing(self):
        eventually(lambda: not self.retained, 20, "nothing is retained")


def write_config(server, text):
    (server.directory / "muster.toml").write_text(text)
    server.env["MUSTER_CONFIG"] = str(server.directory / "muster.toml")


@pytest.fixture
def bridged(mosquitto):
    """`bridged(offline_after=2)`: a server with the bridge."""
    with contextlib.ExitStack() as stack:

        def start(**options):
            server = Muster(mosquitto.url, **options)
            write_config(server, "[home_assistant]\nenabled = true\ninterval = 0.1\n")
            return stack.enter_context(server)

        yield start


def read(wire, serial, verb="input", **measures):
    wire.publish(datalogger(1, verb), {"serial_number": serial, "timestamp": "2025-10-17T10:00:00Z", **measures})


def test_a_device_appears_with_its_measures_follows_its_presence_and_is_cleaned_up(bridged, mosquitto):
    server = bridged(offline_after=3)
    with Device(mosquitto.url) as wire, Device(mosquitto.url) as ha:
        home = Home(ha)
        wire.publish(gateway(7), site_beat("GW-7"))
        home.document("GW-7", "presence")
        read(wire, "DL.1", temperature=21.5, flow=3)
        document = home.document("DL.1", "presence", "input_temperature", "input_flow")
        assert document["device"]["suggested_area"] == "plant"
        assert document["device"]["via_device"] == home.documents()["GW-7"]["device"]["identifiers"][0]
        sensor = document["components"]["input_temperature"]
        assert (sensor["platform"], sensor["unit_of_measurement"]) == ("sensor", "°C")
        state = eventually(lambda: home.retained.get(sensor["state_topic"]), 20, "its state")
        assert state.json["measures"] == {"temperature": 21.5, "flow": 3.0}
        server_says, own = document["availability"]
        assert (server_says["topic"], document["availability_mode"]) == ("server/discovery", "all")
        home.wait(own["topic"], b"online")
        home.wait(own["topic"], b"offline")
        assert server.call("DELETE", "/api/devices/DL.1").status in (202, 204)
        server.call("DELETE", "/api/devices/GW-7")
        home.wait_nothing()
        cleared = lambda: server.metric("muster_home_assistant_total", event="cleared")  # noqa: E731
        eventually(lambda: cleared() == 2, 20, "both rows are gone")


def test_the_measures_are_there_after_a_restart_and_one_that_is_told_later_is_added(bridged, mosquitto):
    server = bridged()
    with Device(mosquitto.url) as wire:
        with Device(mosquitto.url) as ha:
            read(wire, "DL-1", temperature=21.5)
            Home(ha).document("DL-1", "input_temperature")
        server.kill()
        server.restart()
        with Device(mosquitto.url) as ha:
            read(wire, "DL-1", verb="output", valve=1)
            document = Home(ha).document("DL-1", "input_temperature", "output_valve")
            assert document["components"]["output_valve"]["name"] == "valve (output)"


def test_everything_is_told_again_to_a_broker_that_has_lost_it_and_when_home_assistant_starts(bridged, mosquitto):
    server = bridged()
    with Device(mosquitto.url) as wire:
        wire.publish("devices/announce", announcement("PI-1"))
        with Device(mosquitto.url) as ha:
            Home(ha).document("PI-1", "presence")
            topics = list(Home(ha).retained)
        for topic in topics:
            wire.publish(topic, b"", retain=True)
        wire.publish("homeassistant/status", "online", qos=0)
        with Device(mosquitto.url) as ha:
            Home(ha).document("PI-1", "presence")
    assert server.metric("muster_home_assistant_total", event="born") == 1


def test_who_switches_the_bridge_off_or_moves_it_finds_nothing_of_it_left(bridged, mosquitto):
    server = bridged()
    with Device(mosquitto.url) as wire, Device(mosquitto.url) as ha:
        home = Home(ha)
        read(wire, "DL-1", temperature=21.5)
        home.document("DL-1", "input_temperature")
        server.stop()
        write_config(server, '[home_assistant]\nenabled = true\nprefix = "elsewhere"\n')
        server.start()
        ha.subscribe("elsewhere/#")
        eventually(lambda: not any(t.startswith("homeassistant") for t in home.retained), 20, "the old one is gone")
        message = eventually(
            lambda: next((m for t, m in home.retained.items() if t.startswith("elsewhere")), None), 20, "the new one"
        )
        assert "input_temperature" in message.json["components"]
        server.stop()
        write_config(server, "")
        server.start()
        home.wait_nothing()


def test_a_device_that_was_deleted_while_the_broker_was_away_is_taken_back_when_it_returns():
    with Mosquitto() as broker, Muster(broker.url) as server:
        server.stop()
        write_config(server, "[home_assistant]\nenabled = true\n")
        server.start()
        with Device(broker.url) as wire, Device(broker.url) as ha:
            wire.publish("devices/announce", announcement("PI-1"))
            Home(ha).document("PI-1", "presence")
        broker.stop()
        server.call("DELETE", "/api/devices/PI-1")
        broker.start()
        with Device(broker.url) as ha:
            Home(ha).wait_nothing()
