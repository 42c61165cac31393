"""The edge and its hub: connection, token, twin, messages to the cloud, methods."""

from __future__ import annotations

import json
import logging
import threading

import pytest

from actors.link.messages import Reconnect
from actors.outbox import Put
from actors.runtime import SystemClock
from edge.hub import actor as actor_module
from edge.hub import connection as connection_module
from edge.hub import hub_specs
from edge.hub import twin as twin_module
from edge.hub.tree import hub
from edge.inbox.items import receipt_item, response_item
from tests.edge.hub.conftest import DEADLINE
from tests.support.hub import KEY
from tests.support.wait import eventually, throughout


def test_an_edge_connects_with_a_token_and_fetches_its_twin(world):
    world.start().until("connected")
    eventually(lambda: world.hub.gets == 1, DEADLINE, "the twin is fetched")
    assert world.hub.subscriptions == {
        "$iothub/twin/res/#",
        "$iothub/twin/PATCH/properties/desired/#",
        "$iothub/methods/POST/#",
    }
    assert (world.board.status.host, world.board.status.last_error) == ("localhost", "")


def test_the_facts_are_reported_after_the_twin_is_known(world):
    world.start()
    world.until_reported(online=True, ip_address="10.0.0.7", services={"link": "subscribed"})


def test_only_what_changed_is_reported_again(world, monkeypatch):
    monkeypatch.setattr(twin_module, "REPORT_EVERY", 0.1)
    world.start()
    world.until_reported(ip_address="10.0.0.7")
    world.facts["services"] = {"link": "backing_off"}
    world.until_reported(services={"link": "backing_off"})
    assert world.hub.patches[1:] == [{"services": {"link": "backing_off"}}]
    throughout(0.5, lambda: len(world.hub.patches) == 2, "nothing is reported while nothing changes")


def test_leaving_is_reported(world):
    world.start()
    world.until_reported(online=True)
    world.stop_actor("hub")
    assert world.hub.reported["online"] is False
    assert world.state == "stopped"


def test_scans_reach_the_cloud_in_order_with_their_properties(world):
    ids = world.put(250)
    world.start()
    world.until_empty()
    assert world.ids == ids
    first = world.hub.events[0]
    assert first.properties == {"$.mid": ids[0], "$.ct": "application/json", "$.ce": "utf-8", "kind": "scan"}
    assert json.loads(first.payload) == {"code": "4006381333931"}
    assert world.board.counters.confirmed == 250


def test_answers_to_the_server_are_nothing_to_the_hub(world):
    for item in (
        receipt_item("D-1", "n-1", "received", "", 1),
        response_item("D-1", "c-1", {"state": "succeeded"}, 2),
    ):
        world.directory.tell("outbox", Put((item,)))
    ids = world.put(1)
    world.start()
    world.until_empty()
    assert world.ids == ids


def test_a_scan_put_while_connected_leaves_at_once(world, monkeypatch):
    monkeypatch.setattr(actor_module, "LOOK_EVERY", 3600.0)
    world.start().until("connected")
    ids = world.put(1)
    world.until_empty()
    assert world.ids == ids


def test_what_is_not_acknowledged_stays_and_is_sent_again_in_order(world):
    world.hub.holds_acks = True
    world.start().until("connected")
    ids = world.put(5)
    eventually(lambda: world.ids == ids, DEADLINE, "five are out")
    assert world.items == 5
    world.hub.holds_acks = False
    world.hub.cut()
    world.until_empty()
    assert world.ids == ids + ids


def test_at_most_a_window_of_messages_is_out(world):
    world.hub.holds_acks = True
    world.put(150)
    world.start()
    eventually(lambda: len(world.ids) == 100, DEADLINE, "a window is out")
    throughout(0.3, lambda: len(world.ids) == 100, "no more than a window is out")
    eventually(lambda: world.board.status.in_flight == 100, DEADLINE, "the board says so")


def test_a_hub_that_acknowledges_nothing_is_left_and_met_again(world, monkeypatch):
    monkeypatch.setattr(actor_module, "STALLED_AFTER", 0.3)
    world.hub.holds_acks = True
    world.start().until("connected")
    world.put(1)
    eventually(lambda: len(world.hub.tokens) >= 2, DEADLINE, "a second connection")
    world.hub.holds_acks = False
    world.until_empty()


def test_a_message_too_large_for_a_hub_is_refused_and_blocks_nobody(world):
    world.start().until("connected")
    world.put(1, body=b" " * (256 * 1024))
    ids = world.put(1)
    world.until_empty()
    assert world.ids == ids
    (refused,) = world.refused
    assert "262144 bytes" in refused.reason


def test_a_hub_that_goes_and_returns_costs_nothing(world):
    world.start().until("connected")
    world.hub.stop()
    eventually(lambda: world.state != "connected", DEADLINE, "the loss is noticed")
    ids = world.put(3)
    eventually(lambda: "cannot connect to localhost" in world.board.status.last_error, DEADLINE, "an attempt failed")
    world.hub.listen()
    world.until_empty()
    assert world.ids == ids
    assert world.board.status.last_error == ""


def test_a_wrong_key_is_told_and_tried_again_slowly(world, monkeypatch):
    monkeypatch.setattr(connection_module, "BACKOFF_FLOOR_REFUSED", 0.2)
    monkeypatch.setattr(connection_module, "BACKOFF_CAP_REFUSED", 0.3)
    world.hub.key = b"another key"
    world.start()
    eventually(lambda: world.hub.refusals >= 2, DEADLINE, "two refusals")
    assert "Not authorized" in world.board.status.last_error
    world.hub.key = KEY
    world.until("connected")


def test_a_hub_with_another_certificate_gets_no_token(world, tmp_path):
    world.ca_file = ""
    world.start()
    eventually(lambda: "certificate verify failed" in world.board.status.last_error, DEADLINE, "the refusal is told")
    assert world.hub.refusals == 0
    assert world.hub.tokens == []


def test_a_token_is_renewed_before_it_expires_and_nothing_is_sent_twice(world, monkeypatch):
    monkeypatch.setattr(connection_module, "RENEW_BEFORE", connection_module.TOKEN_SECONDS - 2.0)
    world.start().until("connected")
    ids = []
    while len(world.hub.tokens) < 2:
        ids += world.put(5)
    world.until_empty()
    assert world.ids == ids
    assert world.board.counters.renewals >= 1
    assert world.board.status.last_error == ""


def test_a_token_is_good_for_an_hour(world):
    world.start().until("connected")
    expiry = int(world.hub.tokens[0].rpartition("se=")[2])
    assert 0 < expiry - SystemClock.time() <= 3600


def test_no_connection_is_made_while_the_clock_is_not_set(world, monkeypatch):
    monkeypatch.setattr(connection_module, "CLOCK_EVERY", 0.05)
    world.clock = "unsynced"
    world.start().until("waiting_for_clock")
    assert "clock is not set" in world.board.status.last_error
    throughout(0.3, lambda: not world.hub.tokens and not world.hub.refusals, "no connection")
    world.clock = "ntp"
    world.until("connected")


def test_an_operator_may_ask_to_reconnect(world):
    world.start().until("connected")
    world.directory.tell("hub", Reconnect())
    eventually(lambda: len(world.hub.tokens) == 2, DEADLINE, "a second connection")
    world.until("connected")


def test_a_desired_heartbeat_is_applied_and_reported(world):
    world.start()
    world.until_reported(online=True)
    world.hub.desire(heartbeat=15)
    world.until_reported(applied={"heartbeat": 15})
    assert world.heartbeats == [15]
    assert world.board.status.desired_version == 2


def test_what_is_desired_while_we_are_away_is_applied_at_the_next_connection(world):
    world.hub.desire(heartbeat=20)
    world.start()
    world.until_reported(applied={"heartbeat": 20})
    world.hub.stop()
    world.hub.desire(heartbeat=None)
    world.hub.listen()
    eventually(lambda: "heartbeat" not in world.hub.reported["applied"], DEADLINE, "it is gone")
    assert world.heartbeats == [20, None]


def test_unknown_and_impossible_settings_are_reported_back(world):
    world.hub.desire(colour="red", heartbeat=1)
    world.start()
    world.until_reported(
        applied={
            "colour": {"error": "there is no such setting"},
            "heartbeat": {"error": "must be seconds from 5 to 3600"},
        }
    )
    assert world.heartbeats == []


@pytest.mark.parametrize("status", [429, 503])
def test_a_throttled_request_is_made_again(world, monkeypatch, status):
    monkeypatch.setattr(twin_module, "compute_backoff", lambda *_, **__: 0.05)
    world.hub.statuses = [status, 200, status]
    world.start()
    world.until_reported(online=True)
    assert world.hub.gets == 2
    assert world.board.counters.reports_refused == 1


def test_a_refused_report_is_told_and_does_not_stop_the_rest(world):
    world.hub.statuses = [200, 400]
    world.start()
    eventually(lambda: "report with status 400" in world.board.status.last_error, DEADLINE, "the refusal is told")
    world.put(1)
    world.until_empty()
    assert world.state == "connected"


def test_a_direct_method_is_answered_with_501(world):
    world.start()
    world.until_reported(online=True)
    status, body = world.hub.call("reboot")
    assert status == 501
    assert "no direct methods" in json.loads(body)["error"]


def test_an_outbox_that_knows_no_hub_yet_is_told_and_asked_again(world, caplog):
    world.stop_actor("outbox")
    world.launch("outbox", world.outbox("server"))
    world.start()
    eventually(lambda: "keeps nothing for 'hub'" in world.board.status.last_error, DEADLINE, "it is told")
    world.stop_actor("outbox")
    world.launch("outbox", world.outbox("server", "hub"))
    ids = world.put(2)
    eventually(lambda: world.ids == ids, DEADLINE, "both are out")


def test_an_edge_without_a_hub_starts_nothing(world):
    world.connection_string = ""
    (spec,) = hub_specs(world.parts)
    assert spec.start() is None
    assert world.state == "off"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("HostName=h;DeviceId=d", "SharedAccessKey is missing"),
        ("HostName=h;SharedAccessKeyName=owner;SharedAccessKey=c2VjcmV0", "it is one of a service"),
        ("HostName=h;DeviceId=d;x509=true", "x509=true is not supported"),
        ("HostName=h;DeviceId=d+e;SharedAccessKey=c2VjcmV0", "DeviceId"),
    ],
)
def test_an_unusable_connection_string_is_told_and_starts_nothing(world, caplog, text, why):
    world.connection_string = text
    with caplog.at_level(logging.ERROR):
        assert hub(world.parts) is None
    assert world.state == "misconfigured"
    assert why in world.board.status.last_error
    assert "c2VjcmV0" not in caplog.text


def test_a_hub_that_hangs_can_be_severed(world):
    world.start().until("connected")
    before = world.board.counters.connections
    world.actors["hub"].sever()
    eventually(lambda: world.board.counters.connections > before, DEADLINE, "a new connection")


def test_nothing_is_left_behind_at_the_end(world):
    world.start().until("connected")
    world.stop_actor("hub")
    eventually(lambda: not world.hub.is_connected, DEADLINE, "the hub is left")
    assert not [thread for thread in threading.enumerate() if "paho" in thread.name]
