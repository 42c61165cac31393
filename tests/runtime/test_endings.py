"""However an actor dies, its monitor is told exactly once, and told the truth."""

from __future__ import annotations

import gc
import threading
import weakref

import pykka
import pytest
from pykka import ActorRegistry

from actors.runtime import ExitReason, Failure, Ready, ToSelf
from tests.runtime.support import (
    BoomError,
    Orders,
    Pooled,
    Threaded,
    boom,
    leave,
    thread_named,
    throw_into,
    watch,
)
from tests.support.wait import eventually

KINDS = [Pooled, Threaded]


def launch(system, actor, *, child_id="it", incarnation=7):
    monitor = watch(system)
    ref = system.launch(actor, monitor=monitor.actor_ref, child_id=child_id, incarnation=incarnation)
    return ref, monitor


def only_exit(monitor):
    """The end, after whoever might tell it again has had the chance to."""
    eventually(lambda: monitor.exits, what="the end")
    monitor.actor_ref.ask("everything told so far is handled", timeout=5)
    assert len(monitor.exits) == 1
    return monitor.exits[0]


@pytest.mark.parametrize("kind", KINDS)
def test_an_actor_that_started_says_so_once(system, kind):
    ref, monitor = launch(system, kind())
    ref.ask("are you there", timeout=5)
    monitor.actor_ref.ask("handled", timeout=5)

    assert monitor.ready == [Ready("it", 7)]
    system.shutdown(ref)


@pytest.mark.parametrize("kind", KINDS)
def test_an_actor_that_says_itself_when_it_is_up_is_not_ready_before(system, kind):
    slow = type("Slow", (kind,), {"defer_ready": True})
    ref, monitor = launch(system, slow())
    ref.ask("are you there", timeout=5)
    assert monitor.ready == []

    ref.ask(lambda actor: actor.ready(), timeout=5)
    ref.ask(lambda actor: actor.ready(), timeout=5)
    monitor.actor_ref.ask("handled", timeout=5)
    assert monitor.ready == [Ready("it", 7)]
    system.shutdown(ref)


@pytest.mark.parametrize("kind", KINDS)
def test_a_failing_start_is_a_crash_without_ready(system, kind):
    _, monitor = launch(system, kind(Orders(on_start=boom)))
    ended = only_exit(monitor)

    assert (ended.child_id, ended.incarnation, ended.reason) == ("it", 7, ExitReason.CRASHED)
    assert isinstance(ended.error, BoomError)
    assert "in boom" in ended.traceback
    assert monitor.ready == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_failing_message_is_a_crash(system, kind):
    ref, monitor = launch(system, kind())
    ref.tell(boom)
    ended = only_exit(monitor)

    assert ended.reason is ExitReason.CRASHED
    assert isinstance(ended.error, BoomError)
    assert not ref.is_alive()


class Own(ToSelf):
    """What an actor tells itself."""

    def __init__(self, then):
        self.then = then

    def __call__(self, actor):
        self.then(actor)


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_actor_has_told_itself_is_no_mail_for_the_next_one(system, kind):
    entered, gate = threading.Event(), threading.Event()

    def wait_and_fail(_actor):
        entered.set()
        gate.wait(10)
        raise BoomError

    ref, monitor = launch(system, kind())
    ref.tell(wait_and_fail)
    assert entered.wait(5)
    ref.tell(Own(boom))
    ref.tell("queued")
    gate.set()

    assert [envelope.message for envelope in only_exit(monitor).pending] == [wait_and_fail, "queued"]


@pytest.mark.parametrize("kind", KINDS)
def test_nor_is_what_it_has_told_itself_and_died_of(system, kind):
    ref, monitor = launch(system, kind())
    ref.tell(Own(boom))

    ended = only_exit(monitor)
    assert (ended.reason, ended.pending) == (ExitReason.CRASHED, [])


@pytest.mark.parametrize("kind", KINDS)
def test_a_failing_stop_is_a_crash(system, kind):
    ref, monitor = launch(system, kind(Orders(on_stop=boom)))
    ref.stop(block=False)

    assert only_exit(monitor).reason is ExitReason.CRASHED


@pytest.mark.parametrize("kind", KINDS)
def test_a_failing_on_failure_is_the_same_crash(system, kind):
    actor = kind()
    actor.on_failure = lambda *_: 1 / 0
    ref, monitor = launch(system, actor)
    ref.tell(boom)

    assert only_exit(monitor).reason is ExitReason.CRASHED


@pytest.mark.parametrize("kind", KINDS)
def test_an_actor_that_stops_itself_ends_normally(system, kind):
    actor = kind()
    ref, monitor = launch(system, actor)
    ref.tell(lambda actor: actor.stop())
    ended = only_exit(monitor)

    assert (ended.reason, ended.error, ended.traceback, ended.pending) == (ExitReason.NORMAL, None, "", [])
    assert actor.diary[-1] == "stop"


@pytest.mark.parametrize("kind", KINDS)
def test_an_actor_that_is_stopped_by_its_ref_ends_normally(system, kind):
    ref, monitor = launch(system, kind())

    assert ref.stop(timeout=5) is True
    assert only_exit(monitor).reason is ExitReason.NORMAL


@pytest.mark.parametrize("kind", KINDS)
def test_a_shutdown_runs_on_stop_before_what_is_queued(system, kind):
    gate, entered = threading.Event(), threading.Event()
    actor = kind()
    if kind is Threaded:
        ref, monitor = launch(system, actor)
        ref.tell(lambda _: (entered.set(), gate.wait(10)))
        assert entered.wait(5)
        ref.tell("queued")
        system.shutdown(ref)
        gate.set()
    else:
        ref, monitor = launch(system, actor)
        # Told from the dispatcher's thread: nothing runs in between.
        ref.tell(lambda actor: (actor.actor_ref.tell("queued"), system.shutdown(actor.actor_ref)))
    ended = only_exit(monitor)

    assert ended.reason is ExitReason.SHUTDOWN
    assert [envelope.message for envelope in ended.pending] == ["queued"]
    assert actor.diary[-1] == "stop"


@pytest.mark.parametrize("kind", KINDS)
def test_a_crash_on_the_way_to_a_shutdown_is_a_crash(system, kind):
    ref, monitor = launch(system, kind(Orders(on_stop=boom)))
    system.shutdown(ref)

    assert only_exit(monitor).reason is ExitReason.CRASHED


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_actor_is_not_asked(system, kind):
    actor = kind()
    ref, monitor = launch(system, actor)
    ref.ask("are you there", timeout=5)
    system.kill(ref)
    system.kill(ref)
    system.shutdown(ref)

    assert only_exit(monitor).reason is ExitReason.KILLED
    assert "stop" not in actor.diary


def test_the_thread_of_a_killed_actor_ends_although_it_sleeps(system):
    ref, monitor = launch(system, Threaded(), child_id="sleeper")
    ref.ask("are you there", timeout=5)
    system.kill(ref)

    assert only_exit(monitor).reason is ExitReason.KILLED
    eventually(lambda: thread_named("sleeper") is None, what="the end of the thread")


def test_an_actor_that_is_killed_by_its_own_message_has_that_message_pending(manual):
    monitor = watch(manual)
    actor = Pooled()

    def suicide(actor):
        manual.kill(actor.actor_ref)

    ref = manual.launch(actor, monitor=monitor.actor_ref)
    ref.tell(suicide)
    ref.tell("next")
    manual.run()

    (ended,) = monitor.exits
    assert ended.reason is ExitReason.KILLED
    assert [(envelope.message, envelope.attempts) for envelope in ended.pending] == [(suicide, 0), ("next", 0)]
    assert actor.diary == ["start", suicide]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hook", ["on_start", "on_receive", "on_stop"])
def test_a_system_exit_inside_an_actor_ends_that_actor_alone(system, kind, hook):
    bystander = Pooled()
    bystander_ref = system.launch(bystander)
    ref, monitor = launch(system, kind(Orders(**{hook: leave}) if hook != "on_receive" else None))
    if hook == "on_receive":
        ref.tell(leave)
    elif hook == "on_stop":
        ref.stop(block=False)
    ended = only_exit(monitor)

    assert isinstance(ended.error, SystemExit)
    assert ended.reason in (ExitReason.CRASHED, ExitReason.LOST)
    assert bystander_ref.ask("are you there", timeout=5) == "are you there"


def test_a_system_exit_stops_the_registered_actors_as_pykka_does_without_blocking_the_dispatcher(system):
    registered = Threaded.start()
    ref, monitor = launch(system, Pooled())
    ref.tell(leave)

    assert isinstance(only_exit(monitor).error, SystemExit)
    eventually(lambda: not registered.is_alive(), what="the end of the registered actor")
    assert ActorRegistry.get_all() == []


def test_an_exception_thrown_into_a_busy_thread_is_an_end_like_any_other(system):
    entered, gate = threading.Event(), threading.Event()

    def spin(_actor):
        entered.set()
        while not gate.wait(0.001):
            pass

    ref, monitor = launch(system, Threaded(), child_id="busy")
    ref.tell(spin)
    assert entered.wait(5)
    throw_into(thread_named("busy"), BoomError)
    ended = only_exit(monitor)
    gate.set()

    assert isinstance(ended.error, BoomError)
    assert [(envelope.message, envelope.attempts) for envelope in ended.pending] == [(spin, 1)]
    assert not ref.is_alive()


def test_an_exception_thrown_into_a_sleeping_thread_is_noticed_with_the_next_message(system):
    ref, monitor = launch(system, Threaded(), child_id="sleeper")
    ref.ask("are you there", timeout=5)
    throw_into(thread_named("sleeper"), SystemExit)
    ref.actor_inbox.put(pykka._envelope.Envelope("wake up"))
    ended = only_exit(monitor)

    assert ended.reason in (ExitReason.LOST, ExitReason.CRASHED)
    assert isinstance(ended.error, SystemExit)


class Stock(pykka.ThreadingActor):
    """An actor of somebody who does not know our runtime."""

    def __init__(self, orders=None):
        super().__init__()
        self.orders = orders or Orders()

    def on_start(self):
        self.orders.carry_out(self, "on_start", "start")

    def on_stop(self):
        self.orders.carry_out(self, "on_stop", "stop")

    def on_receive(self, message):
        return message(self) if callable(message) else message


def test_a_stock_threading_actor_says_ready_and_normal(system):
    ref, monitor = launch(system, Stock())
    assert ref.ask("are you there", timeout=5) == "are you there"
    system.shutdown(ref)
    ended = only_exit(monitor)

    assert monitor.ready == [Ready("it", 7)]
    assert (ended.reason, ended.error) == (ExitReason.NORMAL, None)


@pytest.mark.parametrize("hook", ["on_start", "on_receive", "on_stop"])
def test_a_stock_threading_actor_that_fails_is_a_crash(system, hook):
    ref, monitor = launch(system, Stock(Orders(**{hook: boom}) if hook != "on_receive" else None))
    if hook == "on_receive":
        ref.tell(boom)
    elif hook == "on_stop":
        ref.stop(block=False)
    ended = only_exit(monitor)

    assert ended.reason is ExitReason.CRASHED
    assert isinstance(ended.error, BoomError)
    assert len(monitor.ready) == (hook != "on_start")


def test_what_a_stock_threading_actor_left_is_handed_back(system):
    gate, entered = threading.Event(), threading.Event()

    def wait_and_fail(_actor):
        entered.set()
        gate.wait(10)
        raise BoomError

    ref, monitor = launch(system, Stock())
    ref.tell(wait_and_fail)
    assert entered.wait(5)
    ref.tell("queued")
    future = ref.ask("asked", block=False)
    gate.set()
    ended = only_exit(monitor)

    assert [envelope.message for envelope in ended.pending] == ["queued"]
    with pytest.raises(pykka.ActorDeadError):
        future.get(timeout=5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_actor_is_collected_although_its_ref_and_its_exit_are_kept(system, kind):
    actor = kind()
    ref, monitor = launch(system, actor)
    gone = weakref.ref(actor)
    del actor
    ref.tell(boom)
    only_exit(monitor)

    eventually(lambda: gc.collect() >= 0 and gone() is None, what="the collection of the actor")


def test_the_exceptions_that_led_to_a_failure_keep_no_frames_alive():
    class Heavy:
        pass

    def fail():
        heavy = Heavy()
        kept.append(weakref.ref(heavy))
        raise ValueError("the cause")

    kept = []
    try:
        try:
            fail()
        except ValueError as cause:
            raise BoomError("the failure") from cause
    except BoomError as error:
        failure = Failure.of(error)
    gc.collect()

    assert kept[0]() is None
    assert "the cause" in failure.traceback
    assert "in fail" in failure.traceback


def test_a_stop_flag_wakes_who_waits_for_it(system):
    ref, _ = launch(system, Pooled())
    stopped = ref.actor_stopped
    waiter = threading.Thread(target=stopped.wait, args=(10,))
    waiter.start()
    assert stopped.wait(0.0) is False
    system.shutdown(ref)
    waiter.join(5)

    assert not waiter.is_alive()
    assert stopped.wait(0.0) is True
