"""A reading on its way from outside: analysed, published, stored, audited, visible; and what is refused on the way."""

from __future__ import annotations

import csv
import json

import pytest

from tests.support.mqtt import Device
from tests.support.wait import eventually

DATA = "harit-samarth/sensor/data"
ANALYSIS = "harit-samarth/soil-health/analysis"
SOIL = {"N": 41, "P": 22, "K": 180, "CO2": 420, "Temperature": 21.5, "Moisture": 33, "pH": 6.4}
NOON = "2026-10-17T12:00:00Z"


def envelope(publisher, **fields):
    return {"timestamp": NOON, "publisher_id": publisher, "sensor_readings": SOIL} | fields


def rows(server, serial):
    return [row for row in server.rows if row.serial == serial]


def audited(server):
    """The lines of the audit trail by publisher, as (row id, timestamp)."""
    found = {}
    for path in sorted(server.data.glob("mqtt_sensor_received*.csv")):
        with path.open(newline="") as file:
            for line in csv.DictReader(file):
                found.setdefault(line["publisher_id"], []).append(line)
    return found


def post(server, body, path="/api/soil-health/analyze"):
    return server.call("POST", path, body)


def test_a_reading_is_stored_analysed_published_and_audited(site, wire):
    wire.subscribe(ANALYSIS)
    wire.publish(DATA, envelope("north"))
    analysis = wire.next(ANALYSIS).json
    assert (analysis["publisher_id"], analysis["sensor_readings"]) == ("north", SOIL)
    assert 0 < analysis["health_index"] <= 100
    (row,) = eventually(lambda: rows(site, "north"), what="the row")
    assert (row.channel, row.measures) == ("data", SOIL)
    (reading,) = site.readings("north")
    assert (reading["health_index"], reading["status"]) == (analysis["health_index"], analysis["status"])
    (line,) = eventually(lambda: audited(site).get("north"), what="the line in the audit trail")
    assert int(line["id"]) == reading["id"]
    device = site.device("north")
    assert (device["kind"], device["site"], device["presence"]) == ("sensor", "harit-samarth", "online")
    assert device["offline_after"] == 180
    (item,) = [item for item in site.items("/api/soil-health/history") if item["serial"] == "north"]
    assert item["health_index"] == analysis["health_index"]
    (station,) = [item for item in site.items("/api/soil-health/stations") if item["serial"] == "north"]
    assert (station["presence"], station["status"]) == ("online", analysis["status"])


def test_the_same_message_twice_is_one_row_over_mqtt_and_http(site, wire):
    wire.publish(DATA, envelope("twice"))
    wire.publish(DATA, json.dumps(envelope("twice"), indent=4).encode())
    answer = eventually(lambda: (a := post(site, envelope("twice"))).status == 200 and a, what="the answer")
    assert answer.body["duplicate"] is True
    assert len(rows(site, "twice")) == 1
    eventually(lambda: audited(site).get("twice"), what="the line")
    assert len(audited(site)["twice"]) == 1


def test_two_different_readings_with_one_timestamp_are_two_rows(site, wire):
    wire.publish(DATA, envelope("moment"))
    wire.publish(DATA, envelope("moment", sensor_readings=SOIL | {"N": 42}))
    eventually(lambda: len(rows(site, "moment")) == 2, what="both rows")


def test_a_reading_that_is_posted_is_answered_with_its_analysis_after_the_commit(site):
    status, body = post(site, envelope("posted", id="first"))
    assert status == 201
    assert (body["publisher_id"], body["id"], body["duplicate"]) == ("posted", "first", False)
    assert body["timestamp"] == "2026-10-17T12:00:00.000Z"
    assert 0 < body["health_index"] <= 100
    assert set(body["contributions"]) <= set(SOIL)
    assert len(rows(site, "posted")) == 1
    assert post(site, envelope("posted", id="first")).status == 200
    assert len(rows(site, "posted")) == 1
    assert site.readings("posted")[0]["source"] == "http"


def test_the_bare_numbers_are_taken_too_and_belong_to_the_prefix(site, wire):
    status, body = post(site, {"N": 40, "pH": 6.5})
    assert (status, body["publisher_id"]) == (201, "harit-samarth")
    wire.publish(DATA, {"N": 41, "pH": 6.6})
    eventually(lambda: len(rows(site, "harit-samarth")) == 2, what="both rows")


@pytest.mark.parametrize(
    ("reason", "field", "payload"),
    [
        ("not_finite", "sensor_readings.pH", b'{"publisher_id":"bad","sensor_readings":{"pH":NaN}}'),
        ("not_finite", "sensor_readings.N", b'{"publisher_id":"bad","sensor_readings":{"N":-Infinity}}'),
        ("wrong_type", "sensor_readings.pH", b'{"publisher_id":"bad","sensor_readings":{"pH":"6.5"}}'),
        ("missing_field", "sensor_readings", b'{"publisher_id":"bad"}'),
        ("beyond_physics", "pH", b'{"publisher_id":"bad","sensor_readings":{"pH":15}}'),
        ("bad_timestamp", "timestamp", b'{"publisher_id":"bad","timestamp":"noon","sensor_readings":{"pH":6}}'),
        ("bad_serial", "publisher_id", b'{"publisher_id":"no serial","sensor_readings":{"pH":6}}'),
        ("not_utf8", "", b'{"publisher_id":"bad\xff","sensor_readings":{"pH":6}}'),
        ("not_json", "", b"hello"),
        ("not_an_object", "", b"[1]"),
        ("too_deep", "", b'{"publisher_id":"bad","sensor_readings":' + b'{"a":' * 5000 + b"1" + b"}" * 5001),
        ("too_large", "", b'{"publisher_id":"bad","sensor_readings":{"pH":6},"x":"' + b"x" * 10_000_000 + b'"}'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_a_reading_is_set_aside_with_its_reason_and_harms_nobody(
    mosquitto, muster, reason, field, payload
):
    server = muster()
    with Device(mosquitto.url) as wire:
        wire.publish(DATA, payload)
        wire.publish(DATA, envelope("good"))
        eventually(lambda: rows(server, "good"), 15, "the good one")
    (letter,) = eventually(server.dead_letters, what="the dead letter")
    assert letter["reason"] == reason
    assert field in letter["detail"]
    assert letter["topic"] == DATA

    def figures():
        statistics = server.get("/api/soil-health/statistics")
        return statistics["by_reason"], *(statistics[name] for name in ("received", "processed", "failed"))

    eventually(lambda: figures() == ({reason: 1}, 2, 1, 1), what="the figures")
    eventually(lambda: server.metric("muster_dead_letters_total", reason=reason) == 1)


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("sensor_readings.pH", {"publisher_id": "bad", "sensor_readings": {"pH": "6"}}),
        ("sensor_readings", {"publisher_id": "bad"}),
        ("timestamp", {"publisher_id": "bad", "timestamp": "noon", "sensor_readings": {"pH": 6}}),
    ],
)
def test_a_bad_post_is_answered_with_the_name_of_the_field(site, field, body):
    status, answer = post(site, body)
    assert status == 400
    assert answer["error"]["details"]["field"] == field
    assert not rows(site, "bad")


def test_a_value_beyond_what_is_plausible_is_stored_and_flagged(site, wire):
    wire.publish(DATA, envelope("acid", sensor_readings=SOIL | {"pH": 3.2}))
    (reading,) = eventually(lambda: site.readings("acid"), what="the reading")
    assert ("implausible", "pH") in {(item["kind"], item["measure"]) for item in reading["anomalies"]}


def test_a_message_with_an_id_gets_a_receipt_when_it_is_stored_and_when_it_is_refused(site, wire):
    wire.subscribe("devices/receipted/receipts")
    wire.publish(DATA, envelope("receipted", id="r1"))
    assert wire.next("devices/receipted/receipts").json["stored"] == ["r1"]
    wire.publish(DATA, envelope("receipted", id="r1"))
    assert wire.next("devices/receipted/receipts").json["stored"] == ["r1"]
    wire.publish(DATA, envelope("receipted", id="r2", sensor_readings={"pH": 15}))
    assert wire.next("devices/receipted/receipts").json["refused"] == {"r2": "beyond_physics"}


def test_the_pipeline_says_how_it_is_and_that_it_has_ended(mosquitto, muster):
    server = muster()
    with Device(mosquitto.url) as wire:
        wire.subscribe("harit-samarth/status")
        assert wire.next("harit-samarth/status").json["status"] == "online"
        server.stop()
        assert wire.next("harit-samarth/status").json["status"] == "offline"


def test_several_prefixes_are_several_sites(mosquitto, muster):
    server = muster(env={"MUSTER_PREFIXES": "harit-samarth,farm/north"})
    with Device(mosquitto.url) as wire:
        wire.subscribe("farm/north/soil-health/analysis")
        wire.publish("farm/north/sensor/data", {"sensor_readings": SOIL})
        assert wire.next("farm/north/soil-health/analysis").json["publisher_id"] == "farm.north"
    assert eventually(lambda: server.device("farm.north"))["site"] == "farm/north"


def test_the_audit_trail_is_whole_after_a_kill(mosquitto, muster):
    server = muster()
    with Device(mosquitto.url) as wire:
        for number in range(400):
            wire.publish(DATA, envelope(f"station-{number % 7}", id=f"r{number}"))
            if number == 200:
                server.kill()
                server.process.close()
                server.launch()
    server.wait_connected()
    eventually(lambda: len(server.rows) == 400, 20, "all rows")
    eventually(lambda: sum(map(len, audited(server).values())) == 400, 20, "all lines")
    ids = [int(line["id"]) for lines in audited(server).values() for line in lines]
    assert len(set(ids)) == 400


def test_averages_by_the_hour_come_from_the_database(site, wire):
    for minute in range(0, 120, 10):
        stamp = f"2026-10-17T{10 + minute // 60}:{minute % 60:02d}:00Z"
        wire.publish(DATA, envelope("hours", timestamp=stamp, sensor_readings={"pH": 6 + minute / 60}))
    eventually(lambda: len(rows(site, "hours")) == 12, what="all readings")
    buckets = site.items("/api/devices/hours/readings", metric="pH", bucket="1h")
    found = {item["ts"]: (item["n"], round(item["avg"], 3), item["min"], round(item["max"], 3)) for item in buckets}
    assert found == {
        "2026-10-17T10:00:00.000Z": (6, 6.417, 6, 6.833),
        "2026-10-17T11:00:00.000Z": (6, 7.417, 7, 7.833),
    }


def test_a_station_that_an_operator_moved_is_there_after_a_restart(mosquitto, muster):
    server = muster()
    with Device(mosquitto.url) as wire:
        wire.publish(DATA, envelope("moved"))
        eventually(lambda: rows(server, "moved"), what="its reading")
        answer = server.call("PATCH", "/api/devices/moved", {"site": "plant-9", "label": "North"})
        assert answer.status == 200
        before = server.device("moved")
        server.restart()
        wire.publish(DATA, envelope("moved", sensor_readings=SOIL | {"N": 42}))
        eventually(lambda: len(rows(server, "moved")) == 2, what="the next reading")
    after = server.device("moved")
    assert {name: after[name] for name in ("site", "label", "first_seen")} == {
        name: before[name] for name in ("site", "label", "first_seen")
    }
