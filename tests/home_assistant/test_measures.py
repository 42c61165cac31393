"""What a device measures: what is told of it, how often, and when it is taken back."""

from __future__ import annotations

import json

from actors.home_assistant.book import LOOK, MOST_MEASURES
from actors.home_assistant.settings import HomeAssistantSettings
from tests.home_assistant.stage import components, delete, rename

FORGET_AFTER = HomeAssistantSettings().forget_after


def test_values_of_several_readings_are_merged_and_the_past_does_not_count(stage):
    stage.add("A1")
    stage.read(at=1, a=1, b=1)
    stage.read(at=2, a=2)
    stage.read(at=0, a=9)
    sent = stage.look()
    assert json.loads(sent["A1/state/input"])["measures"] == {"a": 2.0, "b": 1.0}
    assert components(sent["A1/config"]) == {"presence", "input_a", "input_b"}
    assert stage.count("reading_late") == 1


def test_a_clock_that_was_ahead_for_once_makes_nothing_late(stage):
    stage.add("A1")
    stage.read(at=10**12, a=1)
    stage.look()
    stage.read(at=20, a=2)
    assert json.loads(stage.look()["A1/state/input"])["measures"] == {"a": 2.0}


def test_no_state_is_told_of_a_channel_that_is_not_written_down(stage):
    stage.make(enabled=True, interval=0.0, rate=2)
    for serial in ("A1", "B2", "C3"):
        stage.add(serial)
    stage.read(a=1)
    for _ in range(10):
        stage.look()
    for serial in ("B2", "C3"):
        rename(stage, serial, "new")
    stage.look()
    stage.read(at=5, channel="output", valve=1)  # one of the others comes first, and leaves room for one more
    assert "A1/state/output" not in stage.look()
    assert {"A1/config", "A1/state/output"} <= {topic for _ in range(5) for topic in stage.look()}


def test_states_of_one_device_keep_their_distance(stage):
    stage.make(enabled=True, interval=60)
    stage.add("A1")
    stage.read(at=1, a=1)
    assert "A1/state/input" in stage.look()
    stage.read(at=2, a=2)
    assert stage.look() == {}
    assert list(stage.look(60)) == ["A1/state/input"]


def test_a_sender_that_invents_names_is_bounded(stage):
    stage.add("A1")
    stage.read(at=1, **{f"m{number}": 1 for number in range(MOST_MEASURES + 5)})
    assert len(components(stage.look()["A1/config"])) == MOST_MEASURES + 1
    assert stage.count("measure_refused") == 5


def test_a_reading_of_nobody_is_left_alone(stage):
    stage.read("ghost", a=1)
    assert stage.look() == {}


def test_a_new_incarnation_knows_the_measures(stage):
    stage.add("A1")
    stage.read(a=1)
    stage.look()
    stage.make()
    assert components(stage.look()["A1/config"]) == {"presence", "input_a"}


def test_a_measure_that_a_device_sends_no_more_is_taken_back(stage):
    stage.add("A1")
    stage.read(a=1, b=1)
    stage.read(channel="output", valve=1)
    stage.look()
    for _ in range(int(FORGET_AFTER / LOOK) + 2):
        stage.read(a=1)
        last = stage.look(LOOK * 0.99)
        if "A1/config" in last:
            break
    sent = [json.loads(message.payload)["components"] for _, message in stage.told if message.topic.endswith("config")]
    assert [set(each) for each in sent] == [
        {"presence", "input_a", "input_b", "output_valve"},
        {"presence", "input_a"},
    ]
    assert sent[0]["input_b"] == sent[0]["output_valve"] == {"platform": "sensor"}  # so Home Assistant wants it
    assert [row.measures for row in stage.rows()] == [{"input": ["a"], "output": []}]
    delete(stage)
    assert "A1/state/output" in stage.look()


def test_a_measure_that_comes_again_is_told_again(stage):
    stage.add("A1")
    stage.read(a=1, b=1)
    stage.look()
    for _ in range(int(FORGET_AFTER / LOOK) + 2):
        stage.read(a=1)
        stage.look(LOOK * 0.99)
    assert stage.rows()[0].measures == {"input": ["a"]}
    stage.read(b=1)
    assert components(stage.look()["A1/config"]) == {"presence", "input_a", "input_b"}


def test_a_device_that_was_away_for_long_has_a_while_to_tell_everything(stage):
    stage.add("A1")
    stage.read(a=1, b=1)
    stage.look()
    stage.clock.advance(2 * FORGET_AFTER)
    stage.read(a=1)
    assert "A1/config" not in stage.look()
    stage.read(b=1)
    assert "A1/config" not in stage.look(LOOK / 2)
    stage.read(a=1)
    assert "A1/config" not in stage.look(LOOK)


def test_nothing_is_forgotten_where_that_is_not_wanted(stage):
    stage.make(enabled=True, interval=0.0, forget_after=0)
    stage.add("A1")
    stage.read(a=1, b=1)
    stage.look()
    stage.clock.advance(100 * FORGET_AFTER)
    for _ in range(3):
        stage.read(a=1)
        assert "A1/config" not in stage.look(LOOK * 0.99)
