"""Timers and virtual time."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.runtime import ManualClock, ManualTimers, Runtime, SystemClock, Timers
from actors.runtime.timers import LATE
from tests.runtime.support import BoomError, Pooled, Threaded
from tests.support.wait import eventually


@pytest.fixture
def timed():
    """Real timers on a clock that the test moves."""
    clock = ManualClock()
    timers = Timers(clock)
    timers.start()
    yield clock, timers
    timers.stop()


def poke(timers):
    """Wake the timers' thread, as the end of its sleep does."""
    with timers._changed:
        timers._changed.notify()


@given(st.lists(st.integers(0, 20).map(lambda quarters: quarters / 4), max_size=30))
def test_messages_come_in_the_order_of_their_times_and_of_their_setting(delays):
    manual = Runtime.manual()
    actor = Pooled()
    ref = manual.launch(actor)
    for number, delay in enumerate(delays):
        manual.timers.after(delay, ref, (delay, number))
    manual.advance(100.1)

    assert actor.diary[1:] == sorted((delay, number) for number, delay in enumerate(delays))


def test_a_message_comes_at_its_time_and_not_before(manual):
    times = []
    ref = manual.launch(Pooled())
    manual.timers.after(5.0, ref, lambda _: times.append(manual.clock.monotonic()))
    start = manual.clock.monotonic()
    manual.advance(4.999)
    assert times == []
    manual.advance(10.0)
    assert times == [pytest.approx(start + 5.0)]


@pytest.mark.parametrize("delay", [0.0, -3.0])
def test_what_is_due_now_or_was_due_comes_at_once(manual, delay):
    actor = Pooled()
    manual.timers.after(delay, manual.launch(actor), "due")
    manual.advance(0.0)

    assert actor.diary == ["start", "due"]


def test_what_is_set_at_a_deadline_is_kept_to_in_the_same_advance(manual):
    times = []
    start = manual.clock.monotonic()

    def again(actor):
        times.append(round(manual.clock.monotonic() - start, 6))
        if len(times) < 3:
            manual.timers.after(1.0, actor.actor_ref, again)

    manual.launch(Pooled()).tell(again)
    manual.advance(10.0)

    assert times == [0.0, 1.0, 2.0]
    assert manual.clock.monotonic() == pytest.approx(start + 10.0)


def test_actors_finish_at_each_deadline_before_time_goes_on(manual):
    order = []

    def ping(_):
        order.append("ping")
        other.tell(lambda _: order.append("pong"))

    ref, other = manual.launch(Pooled()), manual.launch(Pooled())
    manual.timers.after(1.0, ref, ping)
    manual.timers.after(1.5, ref, lambda _: order.append("later"))
    manual.advance(2.0)

    assert order == ["ping", "pong", "later"]


def test_a_deadline_of_an_actor_that_has_ended_is_dropped_and_counted(manual):
    ref = manual.launch(Pooled())
    manual.timers.after(1.0, ref, "never")
    manual.shutdown(ref)
    manual.advance(2.0)

    assert manual.timers.dropped == 1
    assert len(manual.timers) == 0


def test_a_receiver_that_cannot_be_told_does_not_keep_others_from_their_deadlines(manual, caplog):
    broken, actor = Threaded(), Pooled()

    def fail():
        raise BoomError("the socket is closed")

    broken.actor_inbox.on_put = fail
    manual.timers.after(1.0, broken.actor_ref, "never")
    manual.timers.after(1.0, manual.launch(actor), "due")
    manual.advance(2.0)

    assert actor.diary == ["start", "due"]
    assert manual.timers.dropped == 1
    assert "could not be told" in caplog.text


def test_the_thread_wakes_for_a_nearer_deadline(system):
    actor = Pooled()
    ref = system.launch(actor)
    system.timers.after(3600.0, ref, "far")
    system.timers.after(0.01, ref, "near")

    eventually(lambda: actor.diary == ["start", "near"], what="the nearer deadline")
    assert len(system.timers) == 1


def test_deadlines_are_told_although_whoever_relays_them_has_ended(system, caplog):
    relay = system.timers.relay.__self__
    system.kill(relay)
    actor = Pooled()
    ref = system.launch(actor)
    system.timers.after(0.0, ref, "one")
    eventually(lambda: actor.diary == ["start", "one"], what="the first deadline")
    system.timers.after(0.0, ref, "two")

    eventually(lambda: actor.diary == ["start", "one", "two"], what="the second")
    assert "has ended" in caplog.text


def test_waking_late_is_told_before_any_deadline_is(timed):
    clock, timers = timed
    order, done = [], threading.Event()

    class Receiver:
        def tell(self, message):
            order.append(message)
            done.set()

    timers.on_late = lambda seconds: order.append(round(seconds))
    timers.after(1.0, Receiver(), "due")
    eventually(lambda: timers._changed._waiters, what="sleep")
    clock.advance(11.0)
    poke(timers)
    assert done.wait(5)

    assert order == [10, "due"]


def test_waking_in_time_is_not_late(timed):
    clock, timers = timed
    late, done = [], threading.Event()

    class Receiver:
        def tell(self, _message):
            done.set()

    timers.on_late = late.append
    timers.after(1.0, Receiver(), "due")
    eventually(lambda: timers._changed._waiters, what="sleep")
    clock.advance(1.0 + LATE)
    poke(timers)
    assert done.wait(5)

    assert late == []


def test_a_failing_report_of_lateness_does_not_end_the_timers(timed, caplog):
    clock, timers = timed
    done = threading.Event()

    class Receiver:
        def tell(self, _message):
            done.set()

    def fail(_seconds):
        raise BoomError

    timers.on_late = fail
    timers.after(1.0, Receiver(), "due")
    eventually(lambda: timers._changed._waiters, what="sleep")
    clock.advance(11.0)
    poke(timers)

    assert done.wait(5)
    assert "on_late failed" in caplog.text


def test_a_manual_clock_moves_both_faces_and_never_back():
    clock = ManualClock(monotonic=10.0, time=20.0)
    clock.advance(1.5)
    clock.step_wall_clock(-15.0)

    assert (clock.monotonic(), clock.time()) == (11.5, 6.5)
    with pytest.raises(ValueError, match="does not run back"):
        clock.advance(-0.1)


def test_the_systems_clock_has_both_faces():
    clock = SystemClock()

    assert clock.monotonic() <= clock.monotonic()
    assert clock.time() > 1_700_000_000


def test_manual_timers_have_no_thread():
    before = threading.active_count()
    timers = ManualTimers(ManualClock())
    timers.start()

    assert threading.active_count() == before
    timers.stop()
