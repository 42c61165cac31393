"""The routes of notifications, before a fake of what is behind them."""

from __future__ import annotations

import pytest

from actors.notifications.rules import Message
from actors.targets import Target
from tests.web.fakes import Client, make_face, view

SEND = "/api/notifications"


@pytest.fixture
def face():
    return make_face(view("pi-1"))


def test_what_is_sent_tells_for_whom_and_who_wants_it(face):
    body = {"device": "pi-1", "title": "Hot", "body": "85 °C", "data": {"a": 1}, "priority": "high", "ttl": 60}
    answer = Client(face).post(SEND, body, HTTP_IDEMPOTENCY_KEY="k1")
    assert (answer.status, answer.json["id"], answer.json["duplicate"]) == (202, "n1", False)
    ((message, target, topic, by, address, key),) = face.notifications.sent
    assert message == Message(title="Hot", body="85 °C", data={"a": 1}, priority="high", ttl=60.0)
    assert (target, topic, key) == (Target(device="pi-1"), "", "k1")
    assert by.startswith("admin")
    assert address


def test_the_same_request_once_more_is_answered_with_200(face):
    for status in (202, 200):
        assert Client(face).post(SEND, {"topic": "a", "title": "x"}, HTTP_IDEMPOTENCY_KEY="k").status == status


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"title": "x"}, "device"),
        ({"title": "x", "device": "a", "topic": "b"}, "device"),
        ({"title": "x", "group": "a", "all": True}, "group"),
        ({"topic": "a", "payload": {"title": 7}}, "payload"),
    ],
)
def test_it_must_be_clear_for_whom_and_what(face, body, field):
    answer = Client(face).post(SEND, body)
    assert (answer.status, answer.error["details"]) == (400, {"field": field})
    assert face.notifications.sent == []


def test_a_refusal_has_its_status_its_word_and_its_field(face):
    answer = Client(face).post(SEND, {"device": "nobody", "title": "x"})
    assert (answer.status, answer.error["code"], answer.error["details"]) == (
        404,
        "unknown_device",
        {"field": "device"},
    )


def test_a_payload_takes_the_place_of_the_texts_and_the_rest_of_it_is_data(face):
    payload = {"title": "Hot", "value": 85, "priority": "urgent", "data": {"unit": "C"}, "id": "theirs"}
    Client(face).post(f"{SEND}/topic", {"topic": "a/b", "payload": payload})
    ((message, target, topic, *_),) = face.notifications.sent
    assert message == Message(title="Hot", data={"value": 85, "unit": "C"}, priority="urgent")
    assert (target, topic) == (None, "a/b")


def test_of_a_bulk_each_is_answered(face):
    bulk = [{"topic": "a", "title": "x"}, {"topic": "+", "title": "x"}, {"device": "pi-1", "title": "x"}]
    answer = Client(face).post(f"{SEND}/bulk", {"notifications": bulk})
    assert answer.status == 202
    assert (answer.json["accepted"], answer.json["refused"], answer.json["warnings"]) == (2, 1, ["large"])
    assert [one["id"] for one in answer.json["notifications"]] == ["n1", None, "n2"]
    assert answer.json["notifications"][1]["error"]["code"] == "bad_topic"


def test_a_bulk_of_which_none_can_be_sent_is_refused(face):
    answer = Client(face).post(f"{SEND}/bulk", {"notifications": [{"topic": "+", "title": "x"}]})
    assert (answer.status, answer.error["code"]) == (400, "bad_topic")


def test_a_bulk_names_the_item_at_fault(face):
    answer = Client(face).post(f"{SEND}/bulk", {"notifications": [{"topic": "a", "title": "x"}, {"title": "x"}]})
    assert answer.error["details"] == {"field": "notifications[1].device"}


def test_a_bulk_may_be_longer_than_other_bodies(face):
    bulk = [{"topic": "a", "title": "x", "body": "y" * 1_000}] * 2_000
    assert Client(face).post(f"{SEND}/bulk", {"notifications": bulk}).status == 202
    assert Client(face).post(SEND, {"topic": "a", "title": "x", "body": "y" * 1_000_000}).status == 413


def test_a_notification_is_shown_with_its_deliveries(face):
    shown = Client(face).get(f"{SEND}/n1").json
    assert (shown["status"], shown["payload"], shown["waiting"], shown["expires"]) == (
        "accepted",
        {"title": "Hot"},
        0,
        None,
    )
    (delivery,) = shown["deliveries"]
    assert (delivery["device"], delivery["topic"], delivery["reason"]) == (None, "a/b", "no_subscribers")
    assert delivery["updated"].endswith("Z")
    assert Client(face).get(f"{SEND}/n2").status == 404
    assert Client(face).get(f"{SEND}/n1?cursor=made-up").error["details"] == {"field": "cursor"}


def test_the_list_is_of_one_device_or_of_all(face):
    assert [item["id"] for item in Client(face).get(SEND).json["items"]] == ["n1"]
    assert Client(face).get(f"{SEND}?device=pi-1").status == 200
    assert Client(face).get(f"{SEND}?device=nobody").status == 404
    assert Client(face).get(f"{SEND}?cursor=made-up").status == 400


def test_the_statistics_have_the_totals_and_the_broker(face):
    told = Client(face).get(f"{SEND}/stats").json
    assert (told["total_sent"], told["connected"], told["broker_port"]) == (2, True, 1883)
    assert told["last_sent"].endswith("Z")
    assert told["by_priority"]["normal"] == {"sent": 2, "success": 1, "failed": 1}


def test_what_never_gets_as_far_as_the_ledger_is_counted_by_route_and_reason(face):
    assert Client(face, token="wrong").post(SEND, {"topic": "a", "title": "x"}).status == 401
    assert Client(face, token="the-read-token").post(SEND, {"topic": "a", "title": "x"}).status == 403
    for _ in range(2):
        assert Client(face).post(SEND, {"topic": "a", "title": "x", "qos": 3}).status == 400
    assert Client(face).post(SEND, {"topic": "a", "title": "x", "body": "y" * 1_000_000}).status == 413
    assert face.http.refused == {
        (f"POST {SEND}", "unauthenticated"): 1,
        (f"POST {SEND}", "forbidden"): 1,
        (f"POST {SEND}", "bad_request"): 2,
        (f"POST {SEND}", "too_large"): 1,
    }
