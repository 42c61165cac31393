"""The same actor against a real broker over TLS, with a responder in the hub's place: no peer of our own in between."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.edge.hub.conftest import DEADLINE, World
from tests.support.hub import KEY
from tests.support.mosquitto import Mosquitto
from tests.support.wait import eventually


class Responder:
    """What a hub answers, as a client of the broker: `cloud` hears all that the device says."""

    def __init__(self, broker):
        self.events = []
        self.patches = []
        self._client = client = paho.Client(CallbackAPIVersion.VERSION2, "responder")
        client.tls_set(ca_certs=str(broker.authority.ca_file))
        client.on_message = self._on_message
        self._subscribed = []
        client.on_subscribe = lambda *_: self._subscribed.append(True)
        client.connect(broker.host, broker.port)
        client.loop_start()
        client.subscribe(
            [
                ("devices/D-1/messages/events/#", 1),
                ("$iothub/twin/GET/#", 0),
                ("$iothub/twin/PATCH/properties/reported/#", 0),
            ]
        )
        eventually(lambda: self._subscribed, DEADLINE, "the responder listens")

    def publish(self, topic, body):
        self._client.publish(topic, json.dumps(body), 1)

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, client, _userdata, message):
        request_id = message.topic.rpartition("$rid=")[2]
        if message.topic.startswith("$iothub/twin/GET/"):
            body = {"desired": {"heartbeat": 12, "$version": 1}, "reported": {"$version": 1}}
            self.publish(f"$iothub/twin/res/200/?$rid={request_id}", body)
        elif message.topic.startswith("$iothub/"):
            self.patches.append(json.loads(message.payload))
            client.publish(f"$iothub/twin/res/204/?$rid={request_id}&$version=2", b"")
        else:
            self.events.append((message.topic, json.loads(message.payload)))


@pytest.fixture
def broker():
    with Mosquitto(tls=True) as broker:
        yield broker


@pytest.fixture
def responder(broker):
    responder = Responder(broker)
    yield responder
    responder.close()


@pytest.fixture
def world(broker, responder, tmp_path):
    string = f"HostName=localhost;DeviceId=D-1;SharedAccessKey={base64.b64encode(KEY).decode()}"
    world = World(SimpleNamespace(connection_string=string, authority=broker.authority, port=broker.port), tmp_path)
    yield world
    world.close()


def test_twin_and_scans_pass_a_real_broker(world, responder):
    ids = world.put(30)
    world.start()
    world.until_empty()
    eventually(lambda: responder.patches, DEADLINE, "a report")
    assert responder.patches[0]["applied"] == {"heartbeat": 12}
    eventually(lambda: len(responder.events) == 30, DEADLINE, "all scans")
    assert [topic.partition("$.mid=")[2].partition("&")[0] for topic, _ in responder.events] == ids
    responder.publish("$iothub/twin/PATCH/properties/desired/?$version=2", {"heartbeat": 15, "$version": 2})
    eventually(lambda: world.heartbeats == [12, 15], DEADLINE, "the patch is applied")


def test_a_broker_killed_with_scans_in_flight_costs_none(world, broker, responder):
    world.start().until("connected")
    world.put(100)
    broker.kill()
    world.put(100)
    broker.start()
    world.until_empty()
    assert world.board.counters.confirmed == 200
