from __future__ import annotations

import pytest

from actors.link.marker import PROBE_EVERY, Marker, Sign
from actors.link.status import LinkBoard
from actors.runtime import ManualClock


@pytest.fixture
def clock():
    return ManualClock()


def marker_of(clock, board=None):
    return Marker("muster-x-data", board or LinkBoard.of("local.data"), clock)


def test_a_probe_of_this_connection_is_recognised_once(clock):
    marker = marker_of(clock)
    topic, payload, qos, retain = marker.probe()
    assert (topic, qos, retain) == ("server/markers/muster-x-data", 1, False)
    assert marker.take(payload) is Sign.RETURNED
    assert marker.take(payload) is Sign.NOTHING


def test_a_probe_of_an_earlier_connection_means_nothing(clock):
    marker = marker_of(clock)
    _, payload, *_ = marker.probe()
    marker.forget()
    assert marker.take(payload) is Sign.NOTHING


def test_a_probe_is_due_again_until_one_has_come_back(clock):
    marker = marker_of(clock)
    marker.probe()
    assert marker.due_at == clock.monotonic() + PROBE_EVERY
    _, second, *_ = marker.probe()
    marker.take(second)
    assert marker.due_at == float("inf")


def test_a_younger_claim_of_another_process_is_a_rival(clock):
    ours, theirs = marker_of(clock), marker_of(clock)
    ours.claim()
    clock.advance(1)
    _, claim, _, retain = theirs.claim()
    assert retain
    assert ours.take(claim) is Sign.RIVAL


def test_an_older_claim_is_that_of_a_process_before_us(clock):
    ours, theirs = marker_of(clock), marker_of(clock)
    _, claim, *_ = theirs.claim()
    clock.advance(1)
    ours.claim()
    assert ours.take(claim) is Sign.NOTHING


def test_who_has_claimed_nothing_has_no_rival(clock):
    _, claim, *_ = marker_of(clock).claim()
    assert marker_of(clock).take(claim) is Sign.NOTHING


def test_the_claim_of_our_own_earlier_incarnation_is_ours(clock):
    board = LinkBoard.of("local.data")
    before, after = marker_of(clock, board), marker_of(clock, board)
    after.claim()
    clock.advance(1)
    _, claim, *_ = before.claim()
    assert after.take(claim) is Sign.NOTHING


@pytest.mark.parametrize("payload", [b"", b"claim", b"claim x", b"claim x y", b"\xff\xfe", b"claim \xff 1"])
def test_nonsense_means_nothing(clock, payload):
    ours = marker_of(clock)
    ours.claim()
    assert ours.take(payload) is Sign.NOTHING
