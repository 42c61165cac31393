"""Decoding what devices answer, and ids that sort."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.commands.payloads import LARGEST_RESULT, LONGEST_REASON, Response, decode_response
from actors.ids import IdMaker
from actors.messages import Delivery
from actors.payloads import LARGEST_PAYLOAD, REASONS, RefusedError
from actors.runtime import ManualClock
from tests.test_payloads import JSON


def decode(body, correlation=b""):
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    topic = "devices/A/responses"
    return decode_response(Delivery("local.data", 1, topic, payload, 1, False, False, True, 5, 1.0, correlation))


def refusal(body, correlation=b""):
    with pytest.raises(RefusedError) as refused:
        decode(body, correlation)
    return refused.value.reason


def test_everything_that_a_device_tells_is_taken():
    told = {"id": "c1", "state": "failed", "result": {"a": [1, None]}, "reason": "no", "response_id": "r", "else": 1}
    assert decode(told) == Response("c1", "failed", '{"a":[1,null]}', "no", "r")
    assert decode({"id": "c1", "state": "running"}) == Response("c1", "running")
    assert decode({"id": "c1", "state": "succeeded", "result": None, "timestamp": 5}).result == ""


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"id":"c1","state":"running","reason":"\xff"}', "not_utf8"),
        (b"online", "not_json"),
        ([], "not_an_object"),
        ({"state": "running"}, "missing_field"),
        ({"id": "c1"}, "missing_field"),
        ({"id": 5, "state": "running"}, "wrong_type"),
        ({"id": "a b", "state": "running"}, "wrong_type"),
        ({"id": "c1", "state": "queued"}, "wrong_type"),
        ({"id": "c1", "state": "failed", "reason": 5}, "wrong_type"),
        ({"id": "c1", "state": "running", "response_id": "x" * 129}, "too_long"),
        ({"id": "c1", "state": "running", "response_id": "\n"}, "bad_id"),
        (b'{"id":"c1","state":"running","result":' + b"[" * 5000 + b"]" * 5000 + b"}", "too_deep"),
        (b" " * (LARGEST_PAYLOAD + 1), "too_large"),
    ],
)
def test_what_is_no_answer_is_refused_with_a_reason(body, reason):
    assert refusal(body) == reason


def test_the_correlation_data_stand_for_the_id():
    assert decode({"state": "failed", "reason": "no"}, b"c1") == Response("c1", "failed", reason="no")
    assert decode({"id": "c1", "state": "running"}, b"c1") == Response("c1", "running")
    assert decode({"id": "c1", "state": "running"}, b"\xff of somebody's own") == Response("c1", "running")


def test_an_answer_of_correlation_data_alone_says_that_it_is_done():
    assert decode(b"", b"c1") == Response("c1", "succeeded")


@pytest.mark.parametrize(
    ("body", "correlation", "reason"),
    [
        ({"id": "c1", "state": "running"}, b"c2", "bad_id"),
        ({"state": "running"}, b"", "missing_field"),
        ({"state": "running"}, b"no id", "missing_field"),
        ({}, b"c1", "missing_field"),
        (b"", b"", "not_json"),
        (b"", b"no id", "not_json"),
    ],
)
def test_correlation_data_do_not_make_an_answer_of_what_is_none(body, correlation, reason):
    assert refusal(body, correlation) == reason


def test_a_result_that_is_too_large_leaves_its_size():
    large = "x" * LARGEST_RESULT
    response = decode({"id": "c1", "state": "succeeded", "result": large, "reason": "done"})
    assert response.result == ""
    assert response.reason.startswith(f"done (of the result, {LARGEST_RESULT + 2} bytes, nothing is kept")
    assert decode({"id": "c1", "state": "succeeded", "result": large}).reason.startswith("of the result")


def test_a_reason_is_kept_as_far_as_a_database_takes_it():
    told = decode({"id": "c1", "state": "failed", "reason": "a\0b" + "x" * 1000}).reason
    assert told.startswith("abx")
    assert len(told) == LONGEST_REASON


STATES = st.sampled_from(["running", "succeeded", "failed", "gone"])


@given(st.binary(max_size=40) | st.fixed_dictionaries({"id": st.text(max_size=4), "state": STATES, "result": JSON}))
def test_whatever_comes_is_an_answer_or_refused_with_a_known_reason(body):
    found = judged(body)
    if isinstance(found, RefusedError):
        assert found.reason in REASONS
    else:
        assert "\0" not in found.reason + found.command_id + found.result


def judged(body):
    try:
        return decode(body)
    except RefusedError as refused:
        return refused


def test_ids_sort_in_the_order_in_which_they_were_made_even_when_the_clock_is_set_back():
    clock = ManualClock()
    maker = IdMaker(clock)
    ids = [maker.make() for _ in range(50)]
    clock.step_wall_clock(-100)
    ids += [maker.make() for _ in range(50)]
    assert ids == sorted(set(ids))
    assert {len(made) for made in ids} == {32}
