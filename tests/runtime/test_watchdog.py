"""The watchdog: a message that does not end is found, given up, and has no more effects."""

from __future__ import annotations

import threading

import pytest

from actors.runtime import Dispatcher, ExitReason, ManualClock, Runtime, Timers
from actors.runtime.watchdog import MOST_ABANDONED, POOLED_HANG_AFTER
from tests.runtime.support import Orders, Pooled, Threaded, boom, watch
from tests.support.wait import eventually


class Hang:
    """A message that does not end until the test lets it."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.left = threading.Event()
        self.then = None

    def __call__(self, actor) -> None:
        self.entered.set()
        self.gate.wait(30)
        self.left.set()
        if self.then is not None:
            self.then(actor)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def runtime(clock):
    """Real threads on a clock that the test moves; the test looks for the watchdog."""
    runtime = Runtime(clock, Dispatcher(clock), Timers(clock))
    runtime.dispatcher.start()
    yield runtime
    runtime.dispatcher.stop()


@pytest.fixture
def hang():
    hang = Hang()
    yield hang
    hang.gate.set()


def exits(monitor):
    monitor.actor_ref.ask("everything told so far is handled", timeout=5)
    return monitor.exits


def test_a_pooled_actor_that_hangs_is_replaced_as_a_thread_and_the_others_go_on(runtime, clock, hang):
    monitor = watch(runtime)
    other = runtime.launch(Pooled())
    ref = runtime.launch(Pooled(), monitor=monitor.actor_ref, child_id="it")
    ref.tell(hang)
    ref.tell("queued")
    assert hang.entered.wait(5)
    waiting = other.ask("are you there", block=False)

    clock.advance(POOLED_HANG_AFTER)
    assert runtime.watchdog.check() == 0
    clock.advance(0.1)
    assert runtime.watchdog.check() == 1

    assert waiting.get(timeout=5) == "are you there"
    (ended,) = exits(monitor)
    assert ended.reason is ExitReason.HUNG
    assert [(envelope.message, envelope.attempts) for envelope in ended.pending] == [(hang, 1), ("queued", 0)]
    assert runtime.watchdog.count_abandoned() == 1


@pytest.mark.parametrize("how", ["returns", "fails"])
def test_the_late_end_of_a_hung_message_has_no_effect(runtime, clock, hang, how):
    monitor = watch(runtime)
    actor = Pooled()
    hang.then = boom if how == "fails" else None
    ref = runtime.launch(actor, monitor=monitor.actor_ref)
    ref.tell(hang)
    ref.tell("queued")
    assert hang.entered.wait(5)
    clock.advance(POOLED_HANG_AFTER + 1)
    runtime.watchdog.check()
    hang.gate.set()
    assert hang.left.wait(5)
    eventually(lambda: runtime.watchdog.count_abandoned() == 0, what="the end of the abandoned thread")

    assert [ended.reason for ended in exits(monitor)] == [ExitReason.HUNG]
    assert actor.diary == ["start", hang]
    assert runtime.launch(Pooled()).ask("are you there", timeout=5) == "are you there"


def test_a_child_may_have_a_patience_of_its_own(runtime, clock, hang):
    ref = runtime.launch(Pooled(), hang_after=60.0)
    ref.tell(hang)
    assert hang.entered.wait(5)
    clock.advance(59.0)
    assert runtime.watchdog.check() == 0
    clock.advance(2.0)
    assert runtime.watchdog.check() == 1


@pytest.mark.parametrize("hook", ["on_start", "on_stop"])
def test_a_hook_that_does_not_end_is_a_hang_too(runtime, clock, hang, hook):
    monitor = watch(runtime)
    ref = runtime.launch(Pooled(Orders(**{hook: hang})), monitor=monitor.actor_ref)
    if hook == "on_stop":
        ref.stop(block=False)
    assert hang.entered.wait(5)
    clock.advance(POOLED_HANG_AFTER + 1)
    assert runtime.watchdog.check() == 1

    assert [ended.reason for ended in exits(monitor)] == [ExitReason.HUNG]


def test_a_long_mailbox_is_no_hang(runtime, clock):
    hold = Hang()
    ref = runtime.launch(Pooled())
    ref.tell(hold)
    assert hold.entered.wait(5)
    for number in range(1_000):
        ref.tell(number)
    clock.advance(POOLED_HANG_AFTER - 1)
    hold.gate.set()
    ref.ask("the last", timeout=5)
    clock.advance(1_000.0)

    assert runtime.watchdog.check() == 0


def test_a_threaded_actor_that_hangs_is_severed_and_given_up(runtime, clock, hang):
    severed = []

    class Severable(Threaded):
        def sever(self):
            severed.append(threading.current_thread())
            hang.gate.set()

    monitor = watch(runtime)
    actor = Severable()
    ref = runtime.launch(actor, monitor=monitor.actor_ref, child_id="it", hang_after=3.0)
    ref.tell(hang)
    ref.tell("queued")
    assert hang.entered.wait(5)
    clock.advance(2.9)
    assert runtime.watchdog.check() == 0
    clock.advance(0.2)
    assert runtime.watchdog.check() == 1

    assert hang.left.wait(5)
    assert severed == [threading.current_thread()], "from outside: its own thread hangs"
    (ended,) = exits(monitor)
    assert (ended.reason, [envelope.message for envelope in ended.pending]) == (ExitReason.HUNG, [hang, "queued"])
    assert actor.given_up
    assert actor.diary == ["start", hang]


def test_a_sever_that_fails_does_not_keep_the_actor(runtime, clock, hang, caplog):
    class Unseverable(Threaded):
        def sever(self):
            raise OSError("not connected")

    monitor = watch(runtime)
    runtime.launch(Unseverable(), monitor=monitor.actor_ref, hang_after=3.0).tell(hang)
    assert hang.entered.wait(5)
    clock.advance(4.0)
    runtime.watchdog.check()

    assert [ended.reason for ended in exits(monitor)] == [ExitReason.HUNG]
    assert "sever() of" in caplog.text


def test_a_threaded_actor_at_rest_or_without_a_limit_never_hangs(runtime, clock, hang):
    resting = runtime.launch(Threaded(), hang_after=3.0)
    unlimited = runtime.launch(Threaded())
    resting.ask("are you there", timeout=5)
    eventually(lambda: resting.actor_inbox.started_at == 0.0, what="rest")
    unlimited.tell(hang)
    assert hang.entered.wait(5)
    clock.advance(1_000.0)

    assert runtime.watchdog.check() == 0
    hang.gate.set()
    runtime.shutdown(resting)
    runtime.shutdown(unlimited)


def test_three_threads_that_still_hang_are_the_end_of_the_process(runtime, clock):
    told = []
    runtime.watchdog.on_exhausted = lambda: told.append(runtime.watchdog.count_abandoned())
    hangs = [Hang() for _ in range(MOST_ABANDONED)]
    for hang in hangs:
        assert told == []
        actor = Pooled() if hang is hangs[0] else Threaded()
        runtime.launch(actor, hang_after=3.0).tell(hang)
        del actor
        assert hang.entered.wait(5)
        clock.advance(4.0)
        runtime.watchdog.check()
    assert told == [MOST_ABANDONED]

    for hang in hangs:
        hang.gate.set()
    eventually(lambda: runtime.watchdog.count_abandoned() == 0, what="the return of all that hung")


def test_threads_that_came_back_do_not_count(runtime, clock):
    told = []
    runtime.watchdog.on_exhausted = lambda: told.append("exhausted")
    for _ in range(2 * MOST_ABANDONED):
        hang = Hang()
        runtime.launch(Threaded(), hang_after=3.0).tell(hang)
        assert hang.entered.wait(5)
        clock.advance(4.0)
        runtime.watchdog.check()
        hang.gate.set()
        eventually(lambda: runtime.watchdog.count_abandoned() == 0, what="its return")

    assert told == []


@pytest.mark.parametrize("kind", [Pooled, Threaded])
def test_a_message_is_not_blamed_for_the_time_in_which_the_whole_process_was_stopped(runtime, clock, hang, kind):
    monitor, looks, look = watch(runtime), [], runtime.watchdog.check
    runtime.watchdog.check = lambda: looks.append(look())
    runtime.launch(kind(), monitor=monitor.actor_ref, hang_after=POOLED_HANG_AFTER).tell(hang)
    assert hang.entered.wait(5)
    runtime.watchdog.start()
    try:
        _pass(clock, looks, 60.0)  # the watchdog too sees that a minute has passed while it slept for a moment
        for _ in range(4):
            _pass(clock, looks, POOLED_HANG_AFTER / 5)
        assert not any(looks)
        for _ in range(4):
            _pass(clock, looks, POOLED_HANG_AFTER / 5)
    finally:
        runtime.watchdog.stop()

    assert [ended.reason for ended in exits(monitor)] == [ExitReason.HUNG]


def _pass(clock, looks, seconds):
    """Let time pass between two looks of the watchdog."""
    before = len(looks)
    eventually(lambda: len(looks) > before, what="a look")
    clock.advance(seconds)
    eventually(lambda: len(looks) > before + 2, what="a look after it")


def test_the_watchdogs_thread_looks_by_itself_and_survives_a_failing_look(caplog):
    clock = ManualClock()
    runtime = Runtime(clock, Dispatcher(clock), Timers(clock))
    looks = []

    def look():
        looks.append(1)
        raise RuntimeError("once more")

    runtime.watchdog.check = look
    runtime.start()
    try:
        eventually(lambda: len(looks) >= 2, what="two looks")
    finally:
        runtime.stop()
    assert "it goes on" in caplog.text
