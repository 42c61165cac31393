"""What a device's presence was: derived from its transitions and from what the server could see."""

from __future__ import annotations

import itertools

import pytest

from actors.presence_history import derive_past
from actors.timestamps import rfc3339
from tests.web.fakes import view

SECOND = 1_000_000
NOON = 1_755_864_000 * SECOND
HOUR = 3600


def at(seconds):
    return NOON + int(seconds * SECOND)


def event(seconds, kind, **data):
    return {"ts_us": at(seconds), "kind": kind, "data": data}


def changed(seconds, presence, reason="heartbeat"):
    return event(seconds, "presence", presence=presence, reason=reason)


def gap(since, until, kind="start"):
    return event(until, kind, since=rfc3339(at(since)))


def device(presence="online", since=0.0, first_seen=0.0, reason="heartbeat", stored=None):
    return view(
        "pi-1",
        presence,
        since_us=at(since),
        first_seen_us=at(first_seen),
        reason=reason,
        effective_offline_after=60.0,
    )._replace(snapshot=snapshot_of(stored or presence, since, first_seen, reason))


def snapshot_of(presence, since, first_seen, reason):
    stored = view("pi-1").snapshot
    fields = {"presence": presence, "since_us": at(since), "first_seen_us": at(first_seen), "reason": reason}
    return type(stored)(**({"serial": "pi-1", "kind": "raspberry_pi", "family": "pi"} | fields))


def told(known, *events, since=0.0, until=HOUR, to_now=True):
    """The segments as (from, to, presence, reason), seconds after noon."""
    found = derive_past(known, events, at(since), at(until), to_now=to_now)
    return [((one.since_us - NOON) / SECOND, (one.until_us - NOON) / SECOND, one.presence, one.reason) for one in found]


def test_a_device_that_was_always_there_has_one_segment():
    known = device(since=-9 * HOUR, first_seen=-9 * HOUR)
    assert told(known) == [(0, HOUR, "online", "heartbeat")]


def test_nothing_is_known_before_the_first_sign():
    known = device(since=100, first_seen=100, reason="announce")
    assert told(known, changed(100, "online", "announce")) == [(0, 100, None, None), (100, HOUR, "online", "announce")]


def test_a_device_that_never_spoke_has_no_presence():
    known = view("pi-1", "offline", first_seen_us=0, since_us=0, reason="startup")
    assert told(known) == [(0, HOUR, None, None)]


def test_transitions_follow_each_other_without_a_hole():
    known = device(since=300, first_seen=-HOUR)
    events = (changed(-60, "online", "announce"), changed(100, "offline", "will"), changed(300, "online"))
    assert told(known, *events) == [
        (0, 100, "online", "announce"),
        (100, 300, "offline", "will"),
        (300, HOUR, "online", "heartbeat"),
    ]


def test_the_latest_transition_counts_before_it_is_in_the_database():
    known = device("offline", since=500, first_seen=-HOUR, reason="timeout")
    assert told(known, changed(-60, "online"))[-1] == (500, HOUR, "offline", "timeout")


def test_of_what_is_kept_no_longer_nothing_is_claimed():
    known = device(since=200, first_seen=-9 * HOUR)
    assert told(known) == [(0, 200, "unknown", None), (200, HOUR, "online", "heartbeat")]


@pytest.mark.parametrize("presence", ["online", "offline"])
def test_while_the_link_is_blind_nobody_knows(presence):
    known = device(presence, since=-HOUR, first_seen=-HOUR)
    events = (event(100, "blind"), event(160, "sight"))
    assert told(known, *events) == [
        (0, 100, presence, "heartbeat"),
        (100, 160, "unknown", "link_lost"),
        (160, HOUR, presence, "heartbeat"),
    ]


def test_blindness_that_began_before_is_known():
    known = device(since=-HOUR, first_seen=-HOUR)
    assert told(known, event(-10, "blind"), event(30, "sight"))[0] == (0, 30, "unknown", "link_lost")


def test_while_the_server_was_down_nobody_knows_and_until_it_sees_neither():
    known = device(since=-HOUR, first_seen=-HOUR)
    assert told(known, gap(100, 200), event(203, "sight")) == [
        (0, 100, "online", "heartbeat"),
        (100, 200, "unknown", "down"),
        (200, 203, "unknown", "startup"),
        (203, HOUR, "online", "heartbeat"),
    ]


def test_a_server_that_ended_in_order_was_blind_for_the_moment_of_its_end():
    known = device(since=-HOUR, first_seen=-HOUR)
    events = (event(100, "blind"), gap(100, 200), event(203, "sight"))
    assert [segment[2:] for segment in told(known, *events)][1:3] == [("unknown", "down"), ("unknown", "startup")]


def test_a_start_after_the_time_asked_for_tells_that_nobody_listened_in_it():
    known = device(since=-HOUR, first_seen=-HOUR)
    assert told(known, gap(100, 9000), event(9003, "sight"), to_now=False)[-1] == (100, HOUR, "unknown", "down")


def test_a_process_that_was_stopped_heard_nothing_and_goes_on_as_before():
    known = device(since=-HOUR, first_seen=-HOUR)
    assert told(known, gap(100, 130, "asleep")) == [
        (0, 100, "online", "heartbeat"),
        (100, 130, "unknown", "down"),
        (130, HOUR, "online", "heartbeat"),
    ]


def test_a_device_that_was_not_heard_again_was_unknown_until_the_verdict():
    known = device("offline", since=222, first_seen=-HOUR, reason="timeout")
    events = (changed(-60, "online"), event(100, "blind"), event(160, "sight"), changed(222, "offline", "timeout"))
    assert told(known, *events) == [
        (0, 100, "online", "heartbeat"),
        (100, 222, "unknown", "link_lost"),
        (222, HOUR, "offline", "timeout"),
    ]


def test_a_device_that_fell_silent_later_had_been_heard():
    known = device("offline", since=900, first_seen=-HOUR, reason="timeout")
    events = (changed(-60, "online"), event(100, "blind"), event(160, "sight"), changed(900, "offline", "timeout"))
    assert told(known, *events)[2] == (160, 900, "online", "heartbeat")


def test_a_device_that_has_not_been_heard_yet_is_unknown_to_this_moment():
    known = device("unknown", since=-HOUR, first_seen=-HOUR, stored="online")
    events = (event(100, "blind"), event(HOUR - 20, "sight"))
    assert told(known, *events)[-1] == (100, HOUR, "unknown", "link_lost")


def test_what_is_unknown_now_says_nothing_of_a_time_that_is_over():
    known = device("unknown", since=-HOUR, first_seen=-HOUR, stored="online")
    events = (event(100, "blind"), event(160, "sight"), event(5000, "blind"))
    assert told(known, *events, to_now=False)[-1] == (160, HOUR, "online", "heartbeat")


def test_a_device_in_quarantine_is_judged_by_nobody():
    known = device(since=-HOUR, first_seen=-HOUR)
    assert told(known, event(100, "quarantine"), event(200, "resume"))[1] == (100, 200, "unknown", "quarantined")


def test_a_clock_that_went_backwards_makes_no_hole():
    known = device(since=-HOUR, first_seen=-HOUR)
    found = told(known, gap(900, 200), event(150, "sight"))
    assert [found[0][0], found[-1][1]] == [0, HOUR]
    assert all(before[1] == after[0] for before, after in itertools.pairwise(found))
