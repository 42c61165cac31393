"""Whatever is sent: a dead letter with a reason, never a crash, never half a record, and nobody else is harmed."""

from __future__ import annotations

import json

import pytest

from tests.e2e.payloads import announcement, datalogger, gateway, heartbeat, site_beat
from tests.support.wait import eventually

ANNOUNCE, BEAT, BOUND = "devices/announce", "devices/heartbeat", "devices/bad-1/status"
SITE, INPUT, READINGS = gateway("bad"), datalogger("bad", "input"), "devices/bad-1/readings"

DEEP = b'{"device_id": "bad-1", "serial_number": "bad-1", "system_info": ' + b'{"a":' * 2000 + b"1" + b"}" * 2001

BAD = {
    "announce-not-utf8": (ANNOUNCE, b'{"device_id": "bad-\xff\xfe"}', "not_utf8"),
    "beat-not-utf8": (SITE, b'{"serial_number": "\xc3\x28"}', "not_utf8"),
    "input-not-utf8": (INPUT, b'{"serial_number": "bad-1", "name": "\xff"}', "not_utf8"),
    "announce-empty": (ANNOUNCE, b"", "not_json"),
    "announce-cut": (ANNOUNCE, json.dumps(announcement("bad-1")).encode()[:-40], "not_json"),
    "beat-text": (SITE, b"hello", "not_json"),
    "input-text": (INPUT, b"23.5", "not_an_object"),
    "announce-list": (ANNOUNCE, b"[1, 2]", "not_an_object"),
    "input-null": (INPUT, b"null", "not_an_object"),
    "announce-without-serial": (ANNOUNCE, {"hostname": "nobody"}, "missing_field"),
    "beat-without-serial": (SITE, {"timestamp": "2025-10-17T10:00:00Z"}, "missing_field"),
    "input-without-serial": (INPUT, {"value": 1}, "missing_field"),
    "announce-serial-number": (ANNOUNCE, announcement("bad-1", device_id=817994), "wrong_type"),
    "announce-hostname-list": (ANNOUNCE, announcement("bad-1", hostname=["a"]), "wrong_type"),
    "announce-services-text": (ANNOUNCE, announcement("bad-1", services="ssh"), "wrong_type"),
    "beat-serial-object": (SITE, {"serial_number": {"a": 1}}, "wrong_type"),
    "input-serial-list": (INPUT, {"serial_number": ["bad-1"], "value": 1}, "wrong_type"),
    "input-id-list": (INPUT, {"serial_number": "bad-1", "id": [1], "value": 1}, "wrong_type"),
    "announce-long-hostname": (ANNOUNCE, announcement("bad-1", hostname="h" * 5000), "too_long"),
    "announce-long-address": (ANNOUNCE, announcement("bad-1", ip_address="1" * 500), "too_long"),
    "input-long-measure": (INPUT, {"serial_number": "bad-1", "m" * 500: 1}, "too_long"),
    "announce-large": (ANNOUNCE, announcement("bad-1", extra="x" * 70_000), "too_large"),
    "input-large": (INPUT, {"serial_number": "bad-1", "value": 1, "extra": "x" * 1_100_000}, "too_large"),
    "announce-serial-space": (ANNOUNCE, announcement("bad serial"), "bad_serial"),
    "announce-serial-long": (ANNOUNCE, announcement("b" * 65), "bad_serial"),
    "beat-serial-empty": (SITE, site_beat(""), "bad_serial"),
    "beat-serial-html": (SITE, site_beat("<script>"), "bad_serial"),
    "input-serial-slash": (INPUT, {"serial_number": "a/b", "value": 1}, "bad_serial"),
    "announce-nul": (ANNOUNCE, announcement("bad-1", hostname="a\0b"), "nul"),
    "announce-nul-inside": (ANNOUNCE, announcement("bad-1", services={"a": {"b": "\0"}}), "nul"),
    "beat-nul": (BEAT, heartbeat("bad-1", ip_address="\0"), "nul"),
    "input-nul-measure": (INPUT, {"serial_number": "bad-1", "a\0b": 1}, "nul"),
    "announce-deep": (ANNOUNCE, DEEP, "too_deep"),
    "input-deep": (INPUT, DEEP, "too_deep"),
    "announce-huge-integer": (ANNOUNCE, announcement("bad-1", system_info={"n": 10**30}), "out_of_range"),
    "input-huge-integer": (INPUT, {"serial_number": "bad-1", "value": 2**63}, "out_of_range"),
    "input-enormous-integer": (INPUT, b'{"serial_number": "bad-1", "value": ' + b"9" * 5000 + b"}", "out_of_range"),
    "input-huge-float": (INPUT, b'{"serial_number": "bad-1", "value": 1e999}', "out_of_range"),
    "input-nan": (INPUT, b'{"serial_number": "bad-1", "value": NaN}', "not_finite"),
    "input-infinity": (INPUT, b'{"serial_number": "bad-1", "value": -Infinity}', "not_finite"),
    "announce-nan": (ANNOUNCE, b'{"device_id": "bad-1", "system_info": {"load": NaN}}', "not_json"),
    "input-many": (INPUT, {"serial_number": "bad-1"} | {f"m{n}": n for n in range(300)}, "too_many"),
    "input-timestamp": (INPUT, {"serial_number": "bad-1", "value": 1, "timestamp": "yesterday"}, "bad_timestamp"),
    "input-timestamp-far": (INPUT, {"serial_number": "bad-1", "value": 1, "timestamp": 1e300}, "bad_timestamp"),
    "readings-of-another": (READINGS, {"device_id": "somebody-else", "value": 1}, "unbound"),
    "status-of-another": (BOUND, {"device_id": "somebody-else", "status": "offline"}, "unbound"),
    "topic-id": ("devices/bad id!/heartbeat", {}, "bad_topic"),
    "topic-empty-part": ("plant/gateway//heartbeat", site_beat("bad-1"), "bad_topic"),
    "topic-long-part": (gateway("g" * 300), site_beat("bad-1"), "bad_topic"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_a_dead_letter_with_a_reason(site, wire, name):
    topic, payload, reason = BAD[name]
    known = {letter["id"] for letter in site.get("/api/dead-letters", limit=1000)["items"]}
    counted = site.metric("muster_dead_letters_total", reason=reason)
    wire.publish(topic, payload)

    def arrived():
        return [letter for letter in site.get("/api/dead-letters", limit=10)["items"] if letter["id"] not in known]

    (letter,) = eventually(arrived, what="the dead letter")
    assert (letter["reason"], letter["topic"]) == (reason, topic)
    assert letter["detail"]
    assert site.metric("muster_dead_letters_total", reason=reason) == counted + 1


def test_none_of_them_left_half_a_record_or_harmed_another(site, wire):
    """After all of the above, and while it all comes again at once."""
    wire.publish("devices/announce", announcement("bystander"))
    wire.publish(datalogger(1, "input"), {"serial_number": "BYSTANDER", "value": 1})
    for topic, payload, _ in BAD.values():
        wire.publish(topic, payload)
    wire.publish(datalogger(1, "input"), {"serial_number": "BYSTANDER", "value": 2})
    wire.publish("devices/heartbeat", heartbeat("bystander"))
    eventually(lambda: len(site.readings("BYSTANDER")) == 2, what="both readings")
    site.wait_settled()
    assert site.presence("bystander") == "online"
    assert {device["serial"] for device in site.items("/api/devices")} == {"bystander", "BYSTANDER"}
    health = site.health()
    assert (health["status"], health["actors"]["restarts"]) == ("ok", 0)
    assert {row.serial for row in site.rows} == {"BYSTANDER"}
    assert "Traceback" not in site.log


def test_bytes_that_are_no_text_are_shown_all_the_same(site, wire):
    wire.publish("devices/announce", b"\xff\xfe\x00")

    def payloads():
        return [letter["payload"] for letter in site.dead_letters() if letter.get("payload_encoding") == "base64"]

    eventually(lambda: "//4A" in payloads(), what="the letter")


def test_a_known_device_keeps_its_facts_and_its_presence(site, wire):
    wire.publish("devices/announce", announcement("proven"))
    before = site.wait_presence("proven", "online")
    wire.publish("devices/announce", announcement("proven", hostname="new", ip_address="1" * 100))
    wire.publish("devices/announce", announcement("proven", hostname="new", mac_address=5))
    wire.publish("devices/announce", announcement("proven-marker"))
    site.wait_presence("proven-marker", "online")
    assert site.device("proven") == before


def test_unknown_extra_fields_pass(site, wire):
    wire.publish("devices/announce", announcement("extra", firmware={"version": [1, 2]}, colour="red"))
    wire.publish(datalogger(2, "input"), {"serial_number": "EXTRA", "value": 1, "comment": "hello", "tags": ["a"]})
    site.wait_presence("extra", "online")
    assert eventually(lambda: site.readings("EXTRA"))[0]["measures"] == {"value": 1}


def test_a_clock_of_unknown_quality_is_none(site, wire):
    for number, clock in enumerate(["ntp", "perfect", ["ntp"], {"ntp": 1}, 5, None]):
        wire.publish(datalogger(3, "input"), {"serial_number": "CLOCKS", "n": number, "clock": clock})
    stored = eventually(lambda: (found := site.readings("CLOCKS")) and len(found) == 6 and found, what="all of them")
    assert {reading["measures"]["n"]: reading["clock"] for reading in stored}[0] == "ntp"
    assert sorted(reading["clock"] or "" for reading in stored) == ["", "", "", "", "", "ntp"]


def test_a_sender_of_rubbish_fills_neither_the_disk_nor_the_mailbox(site, wire):
    for number in range(230):
        wire.publish("devices/rubbish/announce", b"rubbish %d" % number, qos=0)
    wire.publish("devices/announce", announcement("rubbish-marker"))
    site.wait_presence("rubbish-marker", "online")
    eventually(lambda: site.metric("muster_dead_letters_total", reason="quota") >= 30, what="the quota")

    def kept():
        return sum(letter["topic"] == "devices/rubbish/announce" for letter in site.dead_letters())

    eventually(lambda: kept() >= 200, what="what is kept")
    assert kept() == 200


def test_a_dead_letter_can_be_handled_again(muster, device):
    server, wire = muster(env={"MUSTER_SHARED_TOPICS": "false"}), device()
    wire.publish("devices/announce", announcement("waiting"))
    (letter,) = eventually(server.dead_letters, what="the dead letter")
    assert letter["reason"] == "unbound"
    assert server.device("waiting") is None
    server.stop()
    server.env["MUSTER_SHARED_TOPICS"] = "true"
    server.restart()
    server.post(f"/api/dead-letters/{letter['id']}/replay")
    found = eventually(lambda: server.device("waiting"), what="the device")
    assert found["hostname"] == "raspberrypi"
    assert found["presence"] != "online", "old news is no sign of life"
    (again,) = server.dead_letters()
    assert again["replayed"]
    assert server.call("POST", "/api/dead-letters/999999/replay", {}).status == 404


def test_a_dead_letter_that_is_still_bad_is_one_again(site, wire):
    wire.publish(gateway("replay"), b"still bad")

    def letters():
        return [letter for letter in site.dead_letters() if letter["topic"] == gateway("replay")]

    (letter,) = eventually(letters, what="the dead letter")
    site.post(f"/api/dead-letters/{letter['id']}/replay")
    eventually(lambda: len(letters()) == 2, what="the second dead letter")
