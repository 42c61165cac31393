"""What devices report, on its way from the link to the service."""

from __future__ import annotations

import json

import pytest

from actors.device_messages import Told
from actors.effects import Committed
from actors.payloads import REASONS, RefusedError
from actors.topics import BOUND_DATA, TWIN_REPORTED, BadTopicError, parse_pi
from actors.twins.documents import MOST_BYTES
from actors.twins.reports import LARGEST_REPORT, LARGEST_VERSION, decode_report
from supervisor.server.faces import subscriber_of
from tests.support.world import Server, known
from tests.test_scans import Effects, delivery

TOPIC = "devices/pi-1/twin/reported"


def decode(body, bound_id="pi-1"):
    return decode_report(delivery(body, TOPIC), bound_id=bound_id)


def test_all_that_a_device_reports_is_taken():
    report = decode({"version": 7, "reported": {"heartbeat": 15, "a": {"b": None}}, "id": 12, "unknown": True})
    assert (report.serial, report.version, report.sender_id) == ("pi-1", 7, "12")
    assert json.loads(report.reported) == {"heartbeat": 15, "a": {"b": None}}
    assert (report.link, report.token, report.topic) == ("local.data", 77, TOPIC)


def test_a_device_that_applies_nothing_need_not_name_a_version():
    assert decode({"reported": {}}).version == 0


@pytest.mark.parametrize(
    ("reason", "body", "named"),
    [
        ("not_json", b"on", ""),
        ("not_utf8", b'{"reported":{"a":"\xff"}}', ""),
        ("not_an_object", b"[]", ""),
        ("missing_field", {"version": 1}, "`reported`"),
        ("wrong_type", {"reported": [], "version": 1}, "reported"),
        ("wrong_type", {"reported": {}, "version": "1"}, "version"),
        ("wrong_type", {"reported": {}, "version": -1}, "version"),
        ("out_of_range", {"reported": {}, "version": LARGEST_VERSION + 1}, "`version`"),
        ("too_large", {"reported": {"a": "x" * MOST_BYTES}}, "`reported`"),
        ("too_large", b" " * (LARGEST_REPORT + 1), ""),
        ("nul", {"reported": {"a": "\0"}}, "`reported.a`"),
        ("bad_id", {"reported": {"": 1}}, "`reported`"),
        ("too_long", {"reported": {}, "id": "x" * 200}, "id"),
        ("unbound", {"reported": {}, "device_id": "pi-2"}, "pi-2"),
    ],
)
def test_what_is_no_report_is_refused_with_its_reason_and_the_name_of_the_field(reason, body, named):
    with pytest.raises(RefusedError) as refused:
        decode(body)
    assert refused.value.reason == reason
    assert reason in REASONS
    assert named in refused.value.detail


def test_the_topic_is_one_of_the_data_link_and_of_no_other_depth():
    assert f"devices/+/{TWIN_REPORTED}" in BOUND_DATA
    assert parse_pi(TOPIC).verb == TWIN_REPORTED
    assert subscriber_of(TOPIC) == "subscriber.pi"
    for topic in ("pi-1/twin", "pi-1/twin/desired", "a b/twin/reported", "twin/reported", "a/b/twin/reported"):
        with pytest.raises(BadTopicError):
            parse_pi(f"devices/{topic}")


@pytest.fixture
def server():
    return Server(known("pi-1"))


@pytest.fixture
def twins(server):
    told: list = []
    server.serve("twins", told)
    return told


def test_a_report_is_evidence_of_life_and_reaches_the_service_with_its_token(server, twins):
    sent = server.say(TOPIC, {"version": 1, "reported": {"a": 1}})
    assert server.presence("pi-1") == "online"
    (told,) = twins
    assert isinstance(told, Told)
    assert (told.serial, told.body.token, told.body.link) == ("pi-1", sent.token, "local.data")
    assert server.intake.counts[TWIN_REPORTED] == 1


def test_a_report_of_a_device_that_nobody_knew_makes_it_known(server, twins):
    server.say("devices/new/twin/reported", {"reported": {}})
    assert server.presence("new") == "online"
    assert [told.serial for told in twins] == ["new"]


def test_a_report_that_the_broker_has_retained_is_stored_and_no_evidence_of_life(server, twins):
    server.say(TOPIC, {"version": 3, "reported": {}}, retain=True)
    assert server.presence("pi-1") == "offline"
    assert [told.body.version for told in twins] == [3]


def test_a_refused_report_is_a_dead_letter_of_its_device_with_the_token(server, twins):
    sent = server.say(TOPIC, {"reported": 7})
    (letter,) = server.dead_letters
    assert (letter.reason, letter.serial, letter.token) == ("wrong_type", "pi-1", sent.token)
    assert twins == []


def test_a_stored_report_with_an_id_is_receipted_with_it():
    effects = Effects()
    with_id, without = (decode({"reported": {}, **told}, bound_id="A") for told in ({"id": "r1"}, {}))
    effects.ref.tell(Committed([], [], [], twin_reports=[with_id, without]))
    effects.server.run()
    assert effects.receipts() == [(["r1"], {})]
