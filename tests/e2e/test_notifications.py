"""Notifications from outside: to devices and topics, in bulk, and what the ledger knows of them in the end."""

from __future__ import annotations

import json
import threading

import pytest

from supervisor.cli.client import ApiClient, ApiError
from tests.support.muster import Api, query
from tests.support.wait import eventually

BULK = 5_000


def declare(server, serial, **fields):
    server.post("/api/devices", {"serial": serial, **fields}, expect=201)


def send(server, **body):
    return server.post("/api/notifications", body)


def wait_status(server, notification, status):
    def seen():
        found = server.get(f"/api/notifications/{notification}")
        return found if found["status"] == status else None

    return eventually(seen, 15, f"{notification} is {status}")


def test_a_plain_subscriber_gets_it_and_the_ledger_stops_at_accepted(site, wire):
    declare(site, "plain-1")
    wire.subscribe("devices/plain-1/notifications")
    sent = send(site, device="plain-1", title="Temperature alert", body="85 °C", data={"limit": 80}, priority="high")
    told = wire.next("devices/plain-1/notifications")
    body = told.json
    assert (body["title"], body["body"], body["data"], body["priority"]) == (
        "Temperature alert",
        "85 °C",
        {"limit": 80},
        "high",
    )
    assert (body["id"], sent["recipients"]) == (sent["id"], 1)
    (delivery,) = wait_status(site, sent["id"], "accepted")["deliveries"]
    assert (delivery["device"], delivery["state"], delivery["reason"]) == ("plain-1", "accepted", None)


def test_nobody_subscribed_is_visible(site):
    declare(site, "deaf-1")
    sent = send(site, device="deaf-1", title="Anybody?")
    (delivery,) = wait_status(site, sent["id"], "accepted")["deliveries"]
    assert delivery["reason"] == "no_subscribers"


def test_a_device_that_gives_receipts_takes_it_on_to_displayed(site, wire):
    declare(site, "shown-1")
    wire.subscribe("devices/shown-1/#")
    sent = send(site, device="shown-1", title="Read me", priority="urgent")
    assert wire.next("devices/shown-1/notifications").json["id"] == sent["id"]
    for number, state in enumerate(("received", "displayed")):
        receipt = {"notification_id": sent["id"], "state": state, "id": f"r{number}"}
        wire.publish("devices/shown-1/receipts", receipt)
        assert wait_status(site, sent["id"], state)["counts"] == {state: 1}
    answers = [m.json["stored"] for m in wire.received if b'"stored"' in m.payload]
    eventually(lambda: [m for m in wire.received if b'"r1"' in m.payload and b'"stored"' in m.payload], 10)
    assert answers[:1] in ([], [["r0"]])
    assert site.device("shown-1")["presence"] == "online"


def test_a_receipt_for_a_notification_that_there_is_not_is_refused_and_counted(site, wire):
    before = site.metric("muster_notifications_total", event="unknown_receipts")
    wire.subscribe("devices/liar-1/receipts")
    wire.publish("devices/liar-1/receipts", {"notification_id": "none", "state": "received", "id": "r1"})
    wire.next("devices/liar-1/receipts")  # its own
    assert wire.next("devices/liar-1/receipts").json["refused"] == {"r1": "unknown_notification"}
    assert site.metric("muster_notifications_total", event="unknown_receipts") == before + 1
    site.wait_settled()


def test_a_device_with_a_token_gets_it_on_its_own_topic(site, wire):
    given = {"device_type": "industrial_controller", "device_token": "factory/plc-01/alerts", "platform": "linux"}
    declare(site, "plc-01", **given)
    known = site.device("plc-01")
    assert (known["kind"], known["type"], known["metadata"]) == (
        "controller",
        given["device_type"],
        {"platform": "linux"},
    )
    wire.subscribe("factory/plc-01/alerts")
    assert send(site, device="plc-01", title="Stop", body="x" * 110_000)["warnings"]
    assert wire.next("factory/plc-01/alerts").json["title"] == "Stop"


@pytest.mark.parametrize(("qos", "priority"), [(0, "low"), (1, "normal"), (2, "urgent")])
def test_every_qos_reaches_a_topic(site, wire, qos, priority):
    topic = f"emergency/building-{qos}/all"
    wire.subscribe(topic, qos=2)
    sent = site.post("/api/notifications/topic", {"topic": topic, "title": "Leave", "priority": priority})
    assert wire.next(topic).qos == qos
    wait_status(site, sent["id"], "accepted" if qos else "sent")


def test_a_retained_one_waits_for_those_who_come_later(site, wire):
    site.post("/api/notifications/topic", {"topic": "notice/board", "title": "Closed", "retain": True})
    wire.subscribe("notice/board")
    assert wire.next("notice/board").json["title"] == "Closed"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"device": "no-such-device", "title": "x"}, 404, "unknown_device"),
        ({"group": "no-such-group", "title": "x"}, 404, "unknown_group"),
        ({"topic": "a/+/b", "title": "x"}, 400, "bad_topic"),
        ({"topic": "a/b/c/d/e/f/g/h", "title": "x"}, 400, "bad_topic"),
        ({"topic": "a\u0000b", "title": "x"}, 400, "bad_topic"),
        ({"topic": "server/discovery", "title": "x"}, 400, "bad_topic"),
        ({"topic": "devices/pi-1/commands", "title": "x"}, 400, "bad_topic"),
        ({"topic": "a", "body": "x" * 262_144}, 413, "too_large"),
        ({"topic": "a"}, 400, "bad_field"),
        ({"topic": "a", "device": "b", "title": "x"}, 400, "bad_request"),
        ({"topic": "a", "title": "x", "qos": 3}, 400, "bad_request"),
        ({"topic": "a", "title": "x", "priority": "critical"}, 400, "bad_request"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_the_reason(site, body, status, code):
    answer = site.call("POST", "/api/notifications", body)
    assert (answer.status, answer.body["error"]["code"]) == (status, code)
    if code != "bad_request":
        assert site.metric("muster_notifications_refused_total", reason=code) >= 1
    assert site.metric("muster_http_refused_total", reason=code, route="POST /api/notifications") >= 1


def test_a_bulk_of_pairs_tells_of_each_what_becomes_of_it(site, wire):
    wire.subscribe("factory/#")
    pairs = [
        {"topic": "factory/floor-3/alerts", "payload": {"title": "Hot", "value": 85}},
        {"topic": "factory/+", "title": "Nobody"},
        {"topic": "factory/floor-4/alerts", "title": "Cold", "priority": "high"},
    ]
    told = site.post("/api/notifications/bulk", {"notifications": pairs})
    assert (told["accepted"], told["refused"], told["recipients"]) == (2, 1, 2)
    first, second, third = told["notifications"]
    assert second["id"] is None
    assert second["error"]["code"] == "bad_topic"
    heard = {m.topic: m.json for m in (wire.next("factory/floor-3/alerts"), wire.next("factory/floor-4/alerts"))}
    assert heard["factory/floor-3/alerts"]["id"] == first["id"]
    assert heard["factory/floor-3/alerts"]["data"] == {"value": 85}
    assert heard["factory/floor-4/alerts"]["id"] == third["id"]
    assert wait_status(site, told["id"], "accepted")["counts"] == {"accepted": 2}


def test_a_key_names_one_request_and_another_with_it_is_refused(site):
    first = {"topic": "keyed/1", "title": "One"}
    with ApiClient(f"http://{site.address}", site.token) as client:
        sent, again = (client.post("/api/notifications", first, "noon-31") for _ in range(2))
        assert (again["id"], again["duplicate"]) == (sent["id"], True)
        for other in (first | {"title": "Two"}, first | {"topic": "keyed/2"}):
            with pytest.raises(ApiError) as refused:
                client.post("/api/notifications", other, "noon-31")
            assert (refused.value.status, refused.value.body["error"]["code"]) == (422, "key_reused")


def test_the_statistics_tell_of_all_that_was_sent(site):
    def quiet():
        told = site.get("/api/notifications/stats")
        return told if not told["waiting"] else None

    before = eventually(quiet, 15, "what other tests have sent has ended")
    sent = site.post("/api/notifications/topic", {"topic": "counted", "title": "One", "priority": "high"})
    wait_status(site, sent["id"], "accepted")
    told = site.get("/api/notifications/stats")
    assert told["total_success"] == before["total_success"] + 1
    assert told["by_priority"]["high"]["sent"] == before["by_priority"]["high"]["sent"] + 1
    assert told["by_qos"]["1"]["success"] == before["by_qos"]["1"]["success"] + 1
    assert (told["platform"], told["connected"], told["connection_count"]) == ("mqtt", True, 1)
    assert told["last_sent"]


def test_whoever_may_only_read_may_not_send(site):
    made = site.post("/api/tokens", {"name": "reader", "role": "read"}, expect=201)
    reader = Api(site.address, made["token"])
    assert reader.call("POST", "/api/notifications", {"topic": "a", "title": "x"}).status == 403
    assert site.metric("muster_http_refused_total", reason="forbidden", route="POST /api/notifications") == 1
    assert reader.call("GET", "/api/notifications").status == 200


class Listener:
    """Counts the ids that come for each device."""

    def __init__(self, wire, topic):
        self.ids = {}
        self._lock = threading.Lock()
        wire.client.message_callback_add(topic, self._take)
        wire.subscribe(topic, qos=1)

    def _take(self, _client, _data, message):
        with self._lock:
            self.ids.setdefault(message.topic, set()).add(json.loads(message.payload)["id"])


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_bulk_goes_on_where_it_was_when_the_server_was_killed_in_the_middle(muster, device):
    server, wire = muster(), device()
    listener = Listener(wire, "crowd/#")
    bulk = [{"topic": f"crowd/{number}", "title": "Wake up"} for number in range(BULK)]
    told = server.post("/api/notifications/bulk", {"notifications": bulk})
    eventually(lambda: len(listener.ids) > BULK // 10, 30, "some have come")
    server.kill()
    assert len(listener.ids) < BULK, "killed too late to show anything"
    server.restart()
    found = eventually(
        lambda: (seen := server.get(f"/api/notifications/{told['id']}"))["counts"] == {"accepted": BULK} and seen,
        60,
        "the ledger is complete",
    )
    assert found["status"] == "accepted"
    eventually(lambda: len(listener.ids) == BULK, 30, "everybody has got it")
    assert all(len(ids) == 1 for ids in listener.ids.values())
    rows = query(server.database_url, "SELECT topic, notification_id FROM delivery")
    assert {topic: {key} for topic, key in rows} == listener.ids
    assert len(rows) == BULK
    server.stop()
