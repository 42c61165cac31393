"""What is to be published on one link, and in which order."""

from __future__ import annotations

from actors.twins.lane import WINDOW, Lane


def lane_up():
    lane = Lane("local.control")
    assert lane.begin(lane.connected())
    return lane


def test_before_the_link_is_up_nothing_is_wanted_since_everything_comes_then():
    lane = Lane("local.control")
    lane.want(["a"])
    assert (lane.take(), lane.after, lane.is_up) == ([], None, False)
    lane.begin(lane.connected())
    assert (lane.take(), lane.after, lane.is_up) == ([], "", True)


def test_a_connection_that_did_not_last_begins_nothing():
    lane = Lane("local.control")
    first, second = lane.connected(), lane.connected()
    assert not lane.begin(first)
    assert lane.begin(second)


def test_what_is_wanted_twice_is_taken_once_and_in_the_order_of_the_first():
    lane = lane_up()
    lane.want(["b", "a", "b"])
    lane.want(["a", "c"])
    assert lane.take() == ["b", "a", "c"]
    assert lane.take() == []


def test_no_more_is_taken_than_the_broker_may_leave_unanswered():
    lane = lane_up()
    lane.want(f"d{number}" for number in range(WINDOW + 10))
    for token, serial in enumerate(lane.take()):
        lane.sent(token, serial)
    assert (lane.room, lane.is_ready, lane.take()) == (0, False, [])
    assert lane.answered(3) == "d3"
    assert lane.answered(3) is None
    assert lane.take() == [f"d{WINDOW}"]


def test_twins_are_read_when_half_of_the_window_is_answered_or_when_there_is_room_for_all_that_is_wanted():
    lane = lane_up()
    for token in range(WINDOW):
        lane.sent(token, "a")
    lane.want(["b", "c"])
    for token, is_ready in ((0, False), (1, True)):
        lane.answered(token)
        assert lane.is_ready is is_ready
    lane.take()
    for token in range(2, WINDOW // 2):
        assert not lane.is_ready
        lane.answered(token)
    assert lane.is_ready


def test_answers_of_an_earlier_connection_count_no_more():
    lane = lane_up()
    lane.sent(1, "a")
    lane.begin(lane.connected())
    assert (lane.answered(1), lane.room) == (None, WINDOW)


def test_what_has_failed_is_wanted_again_when_its_time_has_come_even_after_a_new_connection():
    lane = lane_up()
    lane.fail("a")
    assert lane.take() == []
    lane.begin(lane.connected())
    lane.try_again()
    assert lane.take() == ["a"]
    lane.try_again()
    assert lane.take() == []
