"""When the bridge tells of whom, and how it takes that back."""

from __future__ import annotations

import json
from types import SimpleNamespace

from actors.home_assistant.actor import RETRY, TellAgain, Tick
from actors.home_assistant.outgoing import WINDOW
from actors.home_assistant.tap import MOST_READINGS, HomeTap
from actors.link.messages import DROPPED, Published
from actors.messages import DeviceSnapshot
from actors.storage.errors import StoreUnavailable
from actors.storage.home_assistant import Bridged, put_bridged
from tests.home_assistant.stage import LINK, OTHER, SERVER, components, delete, rename

REFUSED = 0x87


def test_a_device_is_described_and_its_row_is_there_first(stage):
    stage.add("A1")
    sent = stage.look()
    assert components(sent["A1/config"]) == {"presence"}
    assert sent["A1/availability"] == b"offline"
    assert [(row.serial, row.link) for row in stage.rows()] == [("A1", LINK)]


def test_nothing_is_published_that_could_not_be_written_down_before(stage):
    stage.add("A1")
    stage.look()
    stage.add("B2")
    stage.fails = StoreUnavailable("away")
    assert stage.look() == {}
    stage.fails = None
    assert stage.look(RETRY / 2) == {}
    assert "B2/config" in stage.look(RETRY)


def test_what_has_not_changed_is_not_told_again(stage):
    stage.add("A1")
    stage.look()
    stage.tap.changed("A1", "offline")
    assert stage.look() == {}
    record = stage.fleet.record("A1")
    record.snapshot = DeviceSnapshot(serial="A1", kind="datalogger", family="datalogger", presence="online")
    stage.tap.changed("A1", "online")
    assert stage.look() == {"A1/availability": b"online"}


def test_a_device_with_another_name_is_told_of_under_the_same_ids(stage):
    stage.add("A1")
    stage.read(a=1)
    before = json.loads(stage.look()["A1/config"])
    rename(stage, "A1", "Pump 7")
    after = json.loads(stage.look()["A1/config"])
    assert after["device"]["name"] == "Pump 7"
    before["device"]["name"] = "Pump 7"
    assert before == after


def test_gateways_come_first_and_whoever_is_behind_one_that_comes_later_learns_of_it(stage):
    stage.add("A1", site="plant")
    assert "via_device" not in json.loads(stage.look()["A1/config"])["device"]
    stage.add("GW", kind="gateway", family="gateway", site="plant")
    sent = stage.look()
    assert json.loads(sent["A1/config"])["device"]["via_device"] == f"muster_{SERVER}_GW"
    stage.connect()
    assert next(iter(stage.look())) == "GW/config"
    delete(stage, "GW")
    sent = stage.look()
    assert (sent["GW/config"], "via_device" in json.loads(sent["A1/config"])["device"]) == (b"", False)


def test_a_device_that_names_its_gateway_is_shown_behind_it_as_soon_as_there_is_one(stage):
    stage.add("A1", site="plant", metadata=b'{"gateway": "GW"}')
    assert "via_device" not in json.loads(stage.look()["A1/config"])["device"]
    stage.add("GW", kind="gateway", family="gateway", site="roof")
    assert json.loads(stage.look()["A1/config"])["device"]["via_device"] == f"muster_{SERVER}_GW"
    delete(stage, "GW")
    assert "via_device" not in json.loads(stage.look()["A1/config"])["device"]


def test_nothing_is_sent_while_the_link_is_down_and_everything_after_it(stage):
    stage.add("A1")
    stage.look()
    stage.connect(up=False)
    stage.add("B2")
    assert stage.look() == {}
    stage.connect()
    assert {"A1/config", "B2/config", "A1/availability"} <= set(stage.look())


def test_home_assistant_that_starts_is_told_everything_after_a_while(stage):
    stage.add("A1")
    stage.look()
    stage.tap.heard(b"offline")
    assert stage.look() == {}
    stage.tap.heard(b"online")
    assert stage.look() == {}
    assert (3.0, TellAgain()) in stage.timers
    stage.actor.on_receive(TellAgain())
    assert set(stage.look()) == {"A1/config", "A1/availability"}


def test_the_pace_is_kept(stage):
    stage.make(enabled=True, rate=10)
    for number in range(100):
        stage.add(f"D{number}")
    assert [len(stage.look()) for _ in range(3)] == [10, 10, 10]


def test_even_the_slowest_pace_comes_to_an_end(stage):
    stage.make(enabled=True, rate=1)
    stage.add("A1")
    stage.add("B2")
    sent = set()
    for _ in range(10):
        sent |= set(stage.look())
    assert {"A1/config", "B2/config"} <= sent


def test_no_more_is_under_way_than_the_window_allows(stage):
    for number in range(WINDOW):
        stage.add(f"D{number}")
    assert len(stage.look(answer=None)) == WINDOW
    assert stage.look() == {}


def test_what_the_broker_refuses_is_counted_and_tried_again(stage):
    stage.look()
    stage.add("A1")
    stage.look(answer=REFUSED)
    assert stage.count("publish_failed") == 2
    assert stage.look() == {}
    assert set(stage.look(RETRY)) == {"A1/config", "A1/availability"}


def test_what_is_too_large_for_the_broker_waits_until_it_changes(stage):
    stage.look()
    stage.add("A1")
    stage.look(answer=DROPPED, cause="invalid")
    assert stage.look(RETRY) == {}
    stage.read(a=1)
    assert "A1/config" in stage.look()


# Taking it back


def test_a_deleted_device_is_cleared_and_then_forgotten(stage):
    stage.add("A1")
    stage.read(a=1)
    stage.look()
    delete(stage)
    assert stage.look() == {"A1/config": b"", "A1/availability": b"", "A1/state/input": b""}
    assert len(stage.rows()) == 1
    stage.look()
    assert (stage.rows(), stage.count("cleared")) == ([], 1)


def test_a_clearance_that_fails_is_tried_again_and_not_forgotten(stage):
    stage.add("A1")
    stage.look()
    delete(stage)
    stage.look(answer=REFUSED)
    stage.look()
    assert len(stage.rows()) == 1
    assert set(stage.look(RETRY)) == {"A1/config", "A1/availability"}
    stage.look()
    assert stage.rows() == []


def test_a_device_that_comes_again_is_told_of_after_the_clearance(stage):
    stage.add("A1")
    stage.look()
    delete(stage)
    stage.add("A1", label="new")
    assert stage.look(answer=None)["A1/config"] == b""
    assert stage.look() == {}
    for token in list(stage.actor._withdrawal._in_flight):
        stage.actor.on_receive(Published(token, 0))
    assert json.loads(stage.look()["A1/config"])["device"]["name"] == "new"


def test_a_device_that_was_deleted_meanwhile_is_cleared_by_the_next_incarnation(stage):
    stage.add("A1")
    stage.look()
    stage.fleet.remove("A1")
    stage.make()
    assert set(stage.look()) == {"A1/config", "A1/availability"}


def test_a_bridge_that_is_switched_off_takes_everything_back_and_rests(stage):
    stage.add("A1")
    stage.look()
    stage.make(enabled=False)
    assert set(stage.look()) == {"A1/config", "A1/availability"}
    stage.timers.clear()
    assert stage.look() == {}
    assert (stage.rows(), stage.timers) == ([], [])


def test_another_prefix_clears_the_old_document_alone_and_keeps_the_measures(stage):
    stage.add("A1")
    stage.read(a=1)
    stage.look()
    stage.make(enabled=True, prefix="ha")
    stage.clock.advance(1)
    stage.told.clear()
    stage.actor.on_receive(Tick())
    sent = {message.topic: message.payload for _, message in stage.told}
    assert sent[f"homeassistant/device/muster_{SERVER}/A1/config"] == b""
    assert components(sent[f"ha/device/muster_{SERVER}/A1/config"]) == {"presence", "input_a"}
    assert sent[f"muster/{SERVER}/devices/A1/availability"] == b"offline"


def bridged(link):
    topic = f"homeassistant/device/muster_{SERVER}/A1/config"
    return Bridged(topic, link, SERVER, "A1", {"input": ["a"]})


def test_what_is_at_another_broker_is_cleared_there_once_it_is_back_and_nobody_waits_for_it(stage):
    stage.store.run(lambda database: put_bridged(database, [bridged(OTHER)]))
    stage.add("A1")
    assert components(stage.look()["A1/config"]) == {"presence", "input_a"}
    stage.connect(OTHER)
    assert set(stage.look()) == {f"{OTHER}:A1/{each}" for each in ("config", "availability", "state/input")}
    stage.look()
    assert [row.link for row in stage.rows()] == [LINK]


def test_what_is_at_a_broker_that_is_gone_is_given_up(stage, caplog):
    stage.store.run(lambda database: put_bridged(database, [bridged("gone.control")]))
    assert stage.look() == {}
    assert (stage.rows(), "not configured any more" in caplog.text) == ([], True)


def test_another_servers_rows_are_left_alone(stage):
    row = Bridged("t", LINK, "another", "A1", {})
    stage.store.run(lambda database: put_bridged(database, [row]))
    assert stage.look() == {}


def test_a_message_that_is_not_understood_is_harmless(stage, caplog):
    stage.actor.on_receive("nonsense")
    stage.actor.on_receive(Published(12345, 0))
    assert "unexpected" in caplog.text


# What it hears


def test_the_tap_is_bounded_and_takes_nothing_without_a_bridge():
    tap = HomeTap(enabled=True)
    tap.put([SimpleNamespace(serial="A1")] * (MOST_READINGS + 3), ["A1"])
    assert (tap.counts["reading_missed"], len(list(tap.take_readings()))) == (3, MOST_READINGS)
    off = HomeTap.listening([], enabled=False)
    off.put([None], ["A1"])
    assert (list(off.take_readings()), list(off.take_deleted())) == ([], [])


def test_what_a_device_seals_is_not_shown():
    tap = HomeTap(enabled=True)
    tap.is_private = {"A1"}.__contains__
    tap.put([SimpleNamespace(serial="A1"), SimpleNamespace(serial="A2")], [])
    assert [reading.serial for reading in tap.take_readings()] == ["A2"]
