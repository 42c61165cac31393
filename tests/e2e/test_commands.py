"""Commands to real clients through a real broker: answered, kept, timed out, refused."""

from __future__ import annotations

import pytest
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.support.edge import Edge
from tests.support.wait import eventually

PI = {"device_id": "pi-1", "ip_address": "192.168.1.7", "hostname": "pi", "device_type": "raspberry_pi"}
FINAL = ("succeeded", "failed", "timed_out", "cancelled")


def announce(wire, serial="pi-1"):
    wire.publish("devices/announce", PI | {"device_id": serial})


def beat(wire, serial="pi-1"):
    wire.publish("devices/heartbeat", {"device_id": serial, "status": "online"})


def command(server, name="ping", serial="pi-1", **body):
    return server.post(f"/api/devices/{serial}/commands", {"name": name} | body)["id"]


def state(server, command_id):
    return server.get(f"/api/commands/{command_id}")["state"]


def wait_state(server, command_id, wanted):
    eventually(lambda: state(server, command_id) == wanted, 20, f"the command is {wanted}")
    return server.get(f"/api/commands/{command_id}")


@pytest.mark.parametrize("protocol", [MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311])
def test_a_device_that_is_there_answers_a_command(muster, device, protocol):
    server, wire = muster(), device(protocol=protocol)
    wire.subscribe("devices/pi-1/commands")
    announce(wire)
    server.wait_presence("pi-1", "online")
    given = command(server, "set", args={"heartbeat": 10})
    message = wire.next("devices/pi-1/commands")
    asked = message.json
    assert (asked["id"], asked["name"], asked["args"]) == (given, "set", {"heartbeat": 10})
    assert asked["response_topic"] == "devices/pi-1/responses"
    if protocol is MQTTProtocolVersion.MQTTv5:
        assert message.properties.ResponseTopic == "devices/pi-1/responses"
        assert message.properties.CorrelationData == given.encode()
        assert message.properties.MessageExpiryInterval <= 60
    wire.publish("devices/pi-1/responses", {"id": given, "state": "running"})
    wait_state(server, given, "running")
    wire.subscribe("devices/pi-1/receipts")
    wire.publish("devices/pi-1/responses", {"id": given, "state": "succeeded", "result": [1], "response_id": "r1"})
    row = wait_state(server, given, "succeeded")
    assert (row["result"], row["reason"], row["device"]) == ([1], None, "pi-1")
    assert row["accepted"]
    assert wire.next("devices/pi-1/receipts").json["stored"] == ["r1"]
    assert server.metric("muster_commands_total", event="succeeded") == 1.0
    assert [item["kind"] for item in server.items("/api/devices/pi-1/events")].count("command") == 1


def test_an_answer_may_name_its_command_by_the_properties_of_mqtt_5_alone(muster, device):
    server, wire = muster(), device()
    wire.subscribe("devices/pi-1/commands")
    announce(wire)
    server.wait_presence("pi-1", "online")
    given = command(server, "read")
    asked = wire.next("devices/pi-1/commands")
    wire.publish(asked.properties.ResponseTopic, {"state": "running"}, properties=correlated(asked))
    wait_state(server, given, "running")
    wire.publish(asked.properties.ResponseTopic, b"", properties=correlated(asked))
    wait_state(server, given, "succeeded")


def correlated(asked):
    properties = Properties(PacketTypes.PUBLISH)
    properties.CorrelationData = asked.properties.CorrelationData
    return properties


def test_an_edge_names_the_command_in_the_payload_and_in_the_properties_of_mqtt_5(muster, device):
    server, wire = muster(), device()
    wire.subscribe("devices/pi-7/responses")
    with edge_beside(server):
        server.wait_presence("pi-7", "online")
        given = command(server, "ping", "pi-7")
        answer = wire.next("devices/pi-7/responses")
    assert answer.json["id"] == given
    assert answer.properties.CorrelationData == given.encode()


def test_a_command_for_a_device_that_sleeps_arrives_when_it_wakes_even_after_a_crash_of_the_server(muster, device):
    server, wire = muster(offline_after=1), device()
    announce(wire)
    server.wait_presence("pi-1", "offline")
    given = command(server, timeout=600)
    assert state(server, given) == "queued"
    server.kill()
    server.restart()
    assert state(server, given) == "queued"
    wire.subscribe("devices/pi-1/commands")
    beat(wire)
    assert wire.next("devices/pi-1/commands").json["id"] == given
    wire.publish("devices/pi-1/responses", {"id": given, "state": "succeeded"})
    wait_state(server, given, "succeeded")


def test_a_command_that_nobody_hears_says_so_and_times_out_by_its_deadline(muster, device):
    server, wire = muster(), device()
    announce(wire)
    server.wait_presence("pi-1", "online")
    given = command(server, timeout=2)
    eventually(lambda: server.metric("muster_commands_total", event="nobody_listens"), what="the broker says so")
    row = wait_state(server, given, "timed_out")
    assert row["reason"].startswith("the device did not")
    wire.subscribe("devices/pi-1/commands")
    later = command(server)
    assert wire.next("devices/pi-1/commands").json["id"] == later


def test_a_device_that_begins_to_listen_later_gets_the_command_all_the_same(muster, device):
    server, wire = muster(), device()
    announce(wire)
    server.wait_presence("pi-1", "online")
    given = command(server)
    eventually(lambda: server.metric("muster_commands_total", event="nobody_listens"), what="the broker says so")
    wire.subscribe("devices/pi-1/commands")
    assert wire.next("devices/pi-1/commands").json["id"] == given


def test_many_devices_get_one_command_and_each_answers_for_itself(muster, device):
    server, wire = muster(), device()
    serials = [f"pi-{number}" for number in range(50)]
    wire.subscribe("devices/+/commands")
    for serial in serials:
        announce(wire, serial)
    eventually(lambda: server.health()["devices"]["online"] == len(serials), what="all are there")
    issued = server.post("/api/commands", {"name": "ping", "all": True})
    for _ in serials:
        message = wire.next("devices/+/commands")
        answer = {"id": message.json["id"], "state": "succeeded"}
        wire.publish(message.topic.replace("commands", "responses"), answer)
    eventually(
        lambda: len(server.items("/api/commands", batch=issued["id"], state="succeeded")) == len(serials),
        what="all have answered",
    )


def test_an_answer_that_is_none_is_kept_as_a_dead_letter(muster, device):
    server, wire = muster(), device()
    announce(wire)
    server.wait_presence("pi-1", "online")
    wire.publish("devices/pi-1/responses", {"id": "0" * 32, "state": "succeeded"})
    wire.publish("devices/pi-1/responses", {"id": "0" * 32, "state": "done"})
    eventually(lambda: len(server.dead_letters()) == 2, what="both are kept")
    assert {letter["reason"] for letter in server.dead_letters()} == {"unknown_command", "wrong_type"}
    server.wait_settled()


def test_a_commander_that_is_restarted_in_its_tree_goes_on_where_it_was(muster, device):
    server, wire = muster(offline_after=1), device()
    announce(wire)
    server.wait_presence("pi-1", "offline")
    given = command(server, timeout=600)
    restarts = server.node("commander")["restarts"]
    server.supervise("commander", "restart")
    eventually(lambda: server.node("commander")["state"] == "running", what="it runs")
    assert server.node("commander")["restarts"] >= restarts
    wire.subscribe("devices/pi-1/commands")
    beat(wire)
    assert wire.next("devices/pi-1/commands").json["id"] == given
    wire.publish("devices/pi-1/responses", {"id": given, "state": "failed", "reason": "no"})
    assert wait_state(server, given, "failed")["reason"] == "no"


# A real edge


def edge_beside(server, **options):
    return Edge("pi-7", runtime_dir=server.directory / "run", **options)


def test_an_edge_does_what_is_on_its_list_and_refuses_the_rest_with_a_reason(muster):
    server = muster()
    with edge_beside(server):
        server.wait_presence("pi-7", "online")
        done = wait_state(server, command(server, "ping", "pi-7"), "succeeded")
        assert done["reason"] is None
        refused = wait_state(server, command(server, "format_disk", "pi-7"), "failed")
        assert "format_disk" in refused["reason"]
        not_named = wait_state(server, command(server, "run", "pi-7", args={"program": "rm"}), "failed")
        assert not_named["reason"]


def test_the_terminal_shows_what_an_edge_has_answered(muster):
    server = muster()
    with edge_beside(server):
        server.wait_presence("pi-7", "online")
        code, printed = server.run("command", "pi-7", "ping", timeout=30)
        assert code == 0, printed
        assert "pi-7: succeeded" in printed
        code, printed = server.run("command", "pi-7", "format_disk", timeout=30)
        assert (code, "pi-7: failed" in printed) == (1, True)


def test_a_command_to_an_edge_that_sleeps_arrives_after_it_wakes(muster):
    server = muster(offline_after=5)
    with edge_beside(server, env={"MUSTER_HEARTBEAT": "1"}) as edge:
        server.wait_presence("pi-7", "online")
        edge.kill()
        server.wait_presence("pi-7", "offline")
        given = command(server, "ping", "pi-7", timeout=120)
        assert state(server, given) == "queued"
        edge.start()
        wait_state(server, given, "succeeded")
