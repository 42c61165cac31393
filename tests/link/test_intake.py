from __future__ import annotations

from actors.link.intake import Intake, Route
from actors.link.ledger import Ledger

ROUTES = [Route(("devices/announce", "devices/+/status"), "pi"), Route(("+/gateway/+/heartbeat",), "site")]


def publication(topic, *, qos=0, retain=False, dup=False, mid=0, correlation=b""):
    return topic, b"", qos, retain, dup, mid, correlation


def take(intake, *publications, live=True, now_us=1_000, now_at=5.0):
    intake.take(publications, epoch=3, live=live, now_us=now_us, now_at=now_at)


def items(told):
    return {name: [item.topic for item in deliveries.items] for name, deliveries in told}


def test_each_subscriber_gets_one_batch_in_the_order_of_receipt():
    intake = Intake("l", ROUTES, (), None)
    take(intake, publication("devices/a/status"), publication("x/gateway/1/heartbeat"), publication("devices/announce"))
    told = intake.flush(dry_at=4.0, now_at=5.0)
    assert items(told) == {"pi": ["devices/a/status", "devices/announce"], "site": ["x/gateway/1/heartbeat"]}
    assert all(deliveries.handled_until_at == 4.0 for _, deliveries in told)


def test_an_empty_batch_carries_the_watermark_every_fifth_of_a_second():
    intake = Intake("l", ROUTES, (), None)
    assert items(intake.flush(1.0, 10.0)) == {"pi": [], "site": []}
    take(intake, publication("devices/announce"))
    assert items(intake.flush(1.1, 10.1)) == {"pi": ["devices/announce"]}
    assert items(intake.flush(1.2, 10.25)) == {"pi": [], "site": []}


def test_the_watermark_never_goes_back():
    intake = Intake("l", ROUTES, (), None)
    intake.flush(7.0, 10.0)
    assert intake.flush(0.0, 11.0)[0][1].handled_until_at == 7.0


def test_receive_times_increase_although_the_clock_stands_or_steps_back():
    intake = Intake("l", ROUTES, (), None)
    take(intake, publication("devices/announce"), publication("devices/announce"), now_us=1_000)
    take(intake, publication("devices/announce"), now_us=500)
    ((_, deliveries), _) = intake.flush(1.0, 1.0)
    assert [item.rx_us for item in deliveries.items] == [1_000, 1_001, 1_002]


def test_a_retained_message_is_not_live_and_neither_is_a_backlog():
    intake = Intake("l", ROUTES, (), None)
    take(intake, publication("devices/announce", retain=True), publication("devices/announce"))
    take(intake, publication("devices/announce"), live=False)
    ((_, deliveries), _) = intake.flush(1.0, 1.0)
    assert [item.live for item in deliveries.items] == [False, True, False]


def test_what_correlates_an_answer_with_its_request_is_handed_on():
    intake = Intake("l", ROUTES, (), None)
    take(intake, publication("devices/announce", correlation=b"c1"), publication("devices/announce"))
    ((_, deliveries), _) = intake.flush(1.0, 1.0)
    assert [item.correlation for item in deliveries.items] == [b"c1", b""]


def test_qos_1_gets_a_token_and_enters_the_ledger_and_qos_0_does_not():
    ledger = Ledger()
    ledger.void(3)
    intake = Intake("l", ROUTES, (), ledger)
    take(intake, publication("devices/announce", qos=1, mid=7), publication("devices/announce"))
    ((_, deliveries), _) = intake.flush(1.0, 1.0)
    assert [item.token for item in deliveries.items] == [3 << 24 | 7, 0]
    assert len(ledger) == 1


def test_a_packet_id_sent_again_is_told_nobody_twice():
    ledger = Ledger()
    ledger.void(3)
    intake = Intake("l", ROUTES, (), ledger)
    take(intake, *[publication("devices/announce", qos=1, mid=7, dup=True)] * 2)
    assert items(intake.flush(1.0, 1.0))["pi"] == ["devices/announce"]
    assert intake.repeated == 1


def test_a_topic_of_the_link_itself_is_kept_and_one_that_nobody_wants_is_set_aside():
    intake = Intake("l", ROUTES, ("server/markers/me",), None)
    take(intake, publication("server/markers/me"), publication("old/topic"), publication("old/topic"))
    assert [topic for topic, *_ in intake.own] == ["server/markers/me"]
    assert [item.topic for item in intake.unrouted] == ["old/topic"] * 2
    assert items(intake.flush(1.0, 1.0)) == {"pi": [], "site": []}


def test_a_shared_subscription_matches_what_its_filter_matches():
    intake = Intake("l", [Route(("$share/muster/a/+",), "s")], (), None)
    assert intake.subscriber_of("a/b") == "s"
    assert intake.subscriber_of("b/b") is None


def test_remembered_routes_are_forgotten_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr("actors.link.intake.ROUTE_MEMORY", 1)
    intake = Intake("l", ROUTES, (), None)
    take(intake, *[publication(f"devices/{n}/status") for n in (1, 2, 1)])
    assert len(items(intake.flush(1.0, 1.0))["pi"]) == 3
