"""Sight: what a link can see, and since when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.sight import BrokerSight, Sight

BOTH = ("subscriber.pi", "subscriber.pi")


def seeing(at: float = 1.0) -> Sight:
    sight = Sight("local.control", 0.0)
    sight.regained(at)
    return sight


def test_a_link_is_blind_until_it_has_subscribed():
    sight = Sight("local.control", 5.0)

    assert (sight.blind, sight.blind_since_at, sight.epoch) == (True, 5.0, 0)


def test_each_blink_begins_an_epoch():
    sight = seeing(1.0)
    sight.lost(2.0)
    sight.regained(3.0)

    assert (sight.blind, sight.sight_since_at, sight.epoch) == (False, 3.0, 2)


def test_to_lose_or_regain_sight_twice_is_one_event():
    changes = []
    sight = Sight("local.control", 0.0)
    sight.on_change = lambda sight: changes.append(sight.blind)
    for at in (1.0, 2.0):
        sight.regained(at)
    for at in (3.0, 4.0):
        sight.lost(at)

    assert changes == [False, True]
    assert (sight.sight_since_at, sight.blind_since_at, sight.epoch) == (1.0, 3.0, 1)


def test_the_beginning_of_an_epoch_is_known_before_its_number():
    # Another thread reads both; it must not take the beginning of the last epoch for that of the new one.
    order = []

    class Watched(Sight):
        def __setattr__(self, name, value):
            order.append(name)
            super().__setattr__(name, value)

    sight = Watched("local.control", 0.0)
    order.clear()
    sight.regained(1.0)

    assert order == ["sight_since_at", "epoch", "blind_since_at"]


def test_sleep_moves_the_time_since_which_we_see_and_is_no_blink():
    sight = seeing(1.0)
    sight.slept(10.0)
    sight.slept(5.0)

    assert (sight.sight_since_at, sight.epoch, sight.blind) == (10.0, 1, False)


@given(st.lists(st.floats(0, 1e6)))
def test_a_watermark_never_goes_back(reports):
    sight = seeing()
    for at in reports:
        sight.handled("subscriber.pi", at)

    assert sight.handled_until_at("subscriber.pi") == max(reports, default=0.0)
    assert sight.handled_until_at("subscriber.site") == 0.0


def test_a_device_that_beats_waits_for_both_links_and_for_data_only_while_it_is_seen():
    pair = BrokerSight("local", 0.0)
    pair.control.regained(1.0)
    pair.data.regained(1.0)
    pair.control.handled("subscriber.pi", 10.0)
    assert not pair.has_handled(BOTH, 10.0, data_only=False)

    pair.data.lost(5.0)
    assert pair.has_handled(BOTH, 10.0, data_only=False)
    assert not pair.has_handled(BOTH, 10.1, data_only=False)


def test_a_device_that_only_measures_waits_for_the_data_link_alone():
    pair = BrokerSight("local", 0.0)
    pair.data.regained(1.0)
    pair.data.handled("subscriber.pi", 10.0)

    assert pair.has_handled(BOTH, 10.0, data_only=True)
    assert not pair.has_handled(BOTH, 10.1, data_only=True)
