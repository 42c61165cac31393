"""What devices measure: readings, sensors, and the identity that stores each message once."""

from __future__ import annotations

import threading

from tests.e2e.payloads import datalogger, gateway
from tests.support.wait import eventually

NOON = "2025-10-17T12:00:00Z"


def rows(server, serial):
    return [row for row in server.rows if row.serial == serial]


def settle(server, wire, serial):
    """Wait until everything sent before has been stored: on one connection the order is kept."""
    wire.publish(datalogger("marker", "input"), {"serial_number": f"{serial}-marker", "value": 1})
    eventually(lambda: rows(server, f"{serial}-marker"), what="the marker")


def test_input_and_output_become_readings_and_sensors(site, wire):
    wire.publish(datalogger(1, "input"), {"serial_number": "DL-1", "timestamp": NOON, "level": 4.5, "count": 7})
    wire.publish(datalogger(1, "output"), {"serial_number": "DL-1", "timestamp": NOON, "relay": True, "mode": "auto"})
    wire.publish(gateway(1, "input"), {"serial_number": "GW-1", "channels": [{"v": 1.5}, {"v": 2}], "at": {"x": -1}})
    found = eventually(lambda: (r := site.readings("DL-1")) and len(r) == 2 and r, what="both readings")
    assert {reading["channel"]: reading["measures"] for reading in found} == {
        "input": {"level": 4.5, "count": 7},
        "output": {"relay": 1},
    }
    assert all(reading["ts"] == "2025-10-17T12:00:00.000Z" for reading in found)
    assert [sensor["name"] for sensor in site.get("/api/devices/DL-1/sensors")["items"]] == ["count", "level", "relay"]
    nested = eventually(lambda: site.readings("GW-1"), what="the gateway's reading")[0]
    assert nested["measures"] == {"channels.0.v": 1.5, "channels.1.v": 2, "at.x": -1}
    assert site.device("DL-1")["kind"] == "datalogger"
    assert site.device("GW-1")["label"] == "Gateway 1"


def test_a_number_that_appears_later_is_a_sensor_too(site, wire):
    wire.publish(datalogger(2, "input"), {"serial_number": "DL-2", "level": 1})
    wire.publish(datalogger(2, "input"), {"serial_number": "DL-2", "level": 2, "humidity": 60})

    def names():
        return [s["name"] for s in site.get("/api/devices/DL-2/sensors")["items"]] if site.device("DL-2") else []

    eventually(lambda: names() == ["humidity", "level"], what="both sensors")


def test_readings_come_on_a_topic_bound_to_a_pi_too(site, wire):
    wire.publish("devices/pi-data/readings", {"temperature": 21.5, "timestamp": NOON})
    (reading,) = eventually(lambda: site.readings("pi-data"), what="the reading")
    assert (reading["channel"], reading["measures"]) == ("reading", {"temperature": 21.5})


def test_the_same_message_twice_is_one_row(site, wire):
    message = {"serial_number": "TWICE", "timestamp": NOON, "value": 1.0}
    wire.publish(datalogger(3, "input"), message)
    wire.publish(datalogger(3, "input"), message)
    wire.publish(
        datalogger(3, "input"), b'{"value": 1, "timestamp": "2025-10-17T14:00:00+02:00", "serial_number": "TWICE"}'
    )
    settle(site, wire, "TWICE")
    assert len(rows(site, "TWICE")) == 1
    assert site.metric("muster_registry_total", event="duplicates") >= 2


def test_two_readings_with_one_timestamp_are_two_rows(site, wire):
    for value in (1, 2):
        wire.publish(datalogger(4, "input"), {"serial_number": "SAME-TIME", "timestamp": NOON, "value": value})
    wire.publish(datalogger(4, "output"), {"serial_number": "SAME-TIME", "timestamp": NOON, "value": 1})
    settle(site, wire, "SAME-TIME")
    assert sorted((row.channel, row.measures["value"]) for row in rows(site, "SAME-TIME")) == [
        ("input", 1), ("input", 2), ("output", 1),
    ]  # fmt: skip
    assert len({row.ts_us for row in rows(site, "SAME-TIME")}) == 1


def test_the_senders_id_decides_where_there_is_one(site, wire):
    for value in (1, 2):
        wire.publish(datalogger(5, "input"), {"serial_number": "WITH-ID", "timestamp": NOON, "id": "a", "value": value})
    wire.publish(datalogger(5, "input"), {"serial_number": "WITH-ID", "timestamp": NOON, "id": "b", "value": 1})
    settle(site, wire, "WITH-ID")
    assert [row.measures["value"] for row in rows(site, "WITH-ID")] == [1, 1]


def test_without_id_and_timestamp_each_message_counts(site, wire):
    """Two equal messages are two readings: the sender has measured the same twice."""
    for _ in range(3):
        wire.publish(datalogger(6, "input"), {"serial_number": "BARE", "value": 5})
    settle(site, wire, "BARE")
    assert len({row.ts_us for row in rows(site, "BARE")}) == 3


def test_numbers_keep_their_value(site, wire):
    values = {"big": 2**63 - 1, "small": -(2**63) + 1, "tiny": 5e-324, "pi": 3.141592653589793, "zero": -0.0}
    wire.publish(datalogger(7, "input"), {"serial_number": "EXACT", "timestamp": NOON, **values})
    settle(site, wire, "EXACT")
    assert rows(site, "EXACT")[0].measures == values
    assert site.readings("EXACT")[0]["measures"] == values


def test_history_is_paged_and_filtered(site, wire):
    for minute in range(25):
        stamp = f"2025-10-17T12:{minute:02}:00Z"
        wire.publish(datalogger(8, "input"), {"serial_number": "HISTORY", "timestamp": stamp, "n": minute, "m": 0})
    settle(site, wire, "HISTORY")
    page = site.get("/api/devices/HISTORY/readings", limit=10)
    assert [reading["measures"]["n"] for reading in page["items"]] == list(range(24, 14, -1))
    following = site.get("/api/devices/HISTORY/readings", limit=10, cursor=page["cursor"])
    assert [reading["measures"]["n"] for reading in following["items"]] == list(range(14, 4, -1))
    some = site.get(
        "/api/devices/HISTORY/readings", metric="n", since="2025-10-17T12:05:00Z", until="2025-10-17T12:08:00Z"
    )
    assert [reading["measures"] for reading in some["items"]] == [{"n": 7}, {"n": 6}, {"n": 5}]


def test_a_deleted_device_is_forgotten_and_may_come_again(site, wire):
    wire.publish(datalogger(9, "input"), {"serial_number": "DELETED", "timestamp": NOON, "value": 1})
    settle(site, wire, "DELETED")
    assert site.call("DELETE", "/api/devices/DELETED").status == 204
    assert site.device("DELETED") is None
    wire.publish(datalogger(9, "input"), {"serial_number": "DELETED", "timestamp": NOON, "value": 2})
    eventually(lambda: site.device("DELETED"), what="the device again")
    settle(site, wire, "DELETED-2")
    assert [row.measures["value"] for row in rows(site, "DELETED")] == [2]


def test_readers_do_not_stop_the_writer(site, wire):
    """Many long histories are read while readings come in; every one of them is stored."""
    for number in range(50):
        wire.publish(datalogger(10, "input"), {"serial_number": "BUSY", "timestamp": NOON, "n": number})
    done = threading.Event()
    answers = []

    def read():
        while not done.is_set():
            answers.append(site.call("GET", "/api/devices/BUSY/readings", limit=1000).status)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    try:
        for number in range(50, 250):
            wire.publish(datalogger(10, "input"), {"serial_number": "BUSY", "timestamp": NOON, "n": number})
        settle(site, wire, "BUSY")
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert sorted(row.measures["n"] for row in rows(site, "BUSY")) == list(range(250))
    assert set(answers) <= {200}
