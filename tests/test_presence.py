"""Presence as decisions: tables first, then properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.messages import DeviceSnapshot
from actors.presence import (
    FLAP_LIMIT,
    FLAP_WINDOW,
    OFFLINE_AFTER,
    OfflineAfter,
    Transition,
    deadline_at,
    derive,
    is_flapping,
    note_transition,
    on_farewell,
    on_life,
)

TIMES = st.floats(0, 1e9)
STATES = st.sampled_from(["online", "offline"])
REASONS = st.sampled_from(["announce", "heartbeat", "data", "will", "goodbye", "timeout"])


@pytest.mark.parametrize("reason", ["announce", "heartbeat", "data"])
def test_a_live_message_makes_an_offline_device_online_for_its_reason(reason):
    assert on_life("offline", reason) == Transition("online", reason)


def test_a_live_message_of_a_device_that_is_online_is_no_transition():
    assert on_life("online", "heartbeat") is None


@pytest.mark.parametrize(
    ("presence", "session", "last_session", "counts"),
    [
        ("online", "", "", True),
        ("online", "", "two", True),
        ("online", "two", "two", True),
        ("online", "two", "", True),
        ("online", "one", "two", False),
        ("offline", "", "", False),
        ("offline", "two", "two", False),
        ("offline", "one", "two", False),
    ],
)
def test_a_farewell_counts_unless_it_is_of_a_session_that_was_replaced(presence, session, last_session, counts):
    transition = on_farewell(presence, "will", session=session, last_session=last_session)

    assert transition == (Transition("offline", "will") if counts else None)


@given(STATES, REASONS, st.text(max_size=3), st.text(max_size=3))
def test_a_transition_always_changes_something(presence, reason, session, last_session):
    for transition in (
        on_life(presence, reason),
        on_farewell(presence, reason, session=session, last_session=last_session),
    ):
        assert transition is None or transition.presence != presence


@given(STATES, st.text(min_size=1, max_size=3))
def test_whatever_a_will_has_done_the_next_live_message_revokes(presence, session):
    gone = on_farewell(presence, "will", session="", last_session=session)
    after = gone.presence if gone else presence
    back = on_life(after, "heartbeat")

    assert (back.presence if back else after) == "online"


@given(TIMES, TIMES, st.floats(0.001, 1e6))
def test_silence_counts_only_while_we_could_hear(heard_at, sight_since_at, patience):
    deadline = deadline_at(heard_at, sight_since_at, patience)

    assert deadline >= heard_at + patience
    assert deadline >= sight_since_at + patience
    assert deadline in (heard_at + patience, sight_since_at + patience)


@pytest.mark.parametrize(
    ("stored", "blind", "heard", "shown"),
    [
        ("offline", False, False, "offline"),
        ("offline", False, True, "offline"),
        ("offline", True, False, "offline"),
        ("offline", True, True, "offline"),
        ("online", False, True, "online"),
        ("online", False, False, "unknown"),
        ("online", True, True, "unknown"),
        ("online", True, False, "unknown"),
    ],
)
def test_only_what_was_heard_since_we_see_is_shown_as_online(stored, blind, heard, shown):
    assert derive(stored, blind=blind, heard_in_this_epoch=heard) == shown


def test_a_device_flaps_from_the_limit_of_transitions_within_the_window():
    times: tuple[float, ...] = ()
    for number in range(FLAP_LIMIT):
        assert not is_flapping(times, float(number))
        times = note_transition(times, float(number))
    assert is_flapping(times, float(FLAP_LIMIT))
    assert is_flapping(times, FLAP_WINDOW - 0.001)
    assert not is_flapping(times, FLAP_WINDOW), "the first of them is too old now"


@given(st.lists(st.floats(0, 1_000), max_size=100))
def test_what_is_kept_of_transitions_is_bounded_and_judged_as_all_of_them_would_be(steps):
    now, kept, every = 0.0, (), []
    for step in steps:
        now += step
        kept = note_transition(kept, now)
        every.append(now)
        assert len(kept) <= FLAP_LIMIT + 1
        recent = [at for at in every if now - at < FLAP_WINDOW]
        assert is_flapping(kept, now) == (len(recent) >= FLAP_LIMIT)


def device(**fields) -> DeviceSnapshot:
    facts = {"serial": "A", "kind": "gateway", "family": "gateway", "type": "monstro", "site": "plant"}
    return DeviceSnapshot(**(facts | fields))


@pytest.mark.parametrize(
    ("policy", "fields", "seconds"),
    [
        (OfflineAfter(), {}, 30.0),
        (OfflineAfter(), {"kind": "datalogger"}, 30.0),
        (OfflineAfter(), {"kind": "raspberry_pi"}, 60.0),
        (OfflineAfter(), {"kind": "sensor"}, 180.0),
        (OfflineAfter(everywhere=7.0), {}, 7.0),
        (OfflineAfter(everywhere=7.0, kinds={"gateway": 8.0}), {}, 8.0),
        (OfflineAfter(everywhere=7.0, kinds={"gateway": 8.0}), {"kind": "sensor"}, 7.0),
        (OfflineAfter(kinds={"gateway": 8.0}, sites={"plant": 9.0}), {}, 9.0),
        (OfflineAfter(sites={"plant": 9.0}, types={"monstro": 10.0}), {}, 10.0),
        (OfflineAfter(types={"monstro": 10.0}, devices={"A": 11.0}), {}, 11.0),
        (OfflineAfter(devices={"A": 11.0}), {"offline_after": 12.0}, 12.0),
        (OfflineAfter(everywhere=7.0), {"offline_after": 0.0}, 0.0),
    ],
)
def test_the_most_specific_setting_decides(policy, fields, seconds):
    assert policy.of(device(**fields)) == seconds


def test_every_kind_has_a_patience():
    from typing import get_args

    from actors.messages import Kind

    assert set(OFFLINE_AFTER) == set(get_args(Kind))
