"""Mailboxes: order, turns, wake-ups, and what becomes of messages when their actor ends."""

from __future__ import annotations

import contextlib
import sys
import threading

import pytest
from pykka import ActorDeadError

from actors.runtime import Envelope, ExitReason, Runtime
from actors.runtime.mailbox import THROUGHPUT
from tests.runtime.support import BoomError, Pooled, Threaded, boom, watch
from tests.support.wait import eventually


@pytest.fixture
def hasty() -> object:
    """Threads that are switched as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def messages(exit_):
    return [envelope.message for envelope in exit_.pending]


def attempts(exit_):
    return [envelope.attempts for envelope in exit_.pending]


def test_messages_are_handled_in_the_order_in_which_they_were_told(manual):
    actor = Pooled()
    ref = manual.launch(actor)
    for number in range(3 * THROUGHPUT):
        ref.tell(number)
    manual.run()

    assert actor.diary == ["start", *range(3 * THROUGHPUT)]


def test_messages_told_before_the_launch_are_handled_after_the_start(manual):
    actor = Pooled()
    actor.actor_ref.tell("early")
    manual.launch(actor)
    manual.run()

    assert actor.diary == ["start", "early"]


def test_preloaded_messages_come_before_all_others(manual):
    actor = Pooled()
    actor.actor_ref.tell("told by the constructor")
    manual.launch(actor, preload=[Envelope("first"), Envelope("second")])
    manual.run()

    assert actor.diary == ["start", "first", "second", "told by the constructor"]


def test_a_flooded_actor_does_not_starve_the_others(manual):
    order = []
    flooded, other = Pooled(), Pooled()
    flooded.on_receive = other.on_receive = order.append
    busy, quiet = manual.launch(flooded), manual.launch(other)
    manual.run()
    for _ in range(10 * THROUGHPUT):
        busy.tell("flood")
    quiet.tell("a word")
    manual.run()

    assert order.index("a word") == THROUGHPUT


def test_an_actor_that_tells_itself_for_ever_does_not_starve_the_others(manual):
    def again(actor):
        actor.actor_ref.tell(again)

    heard = []
    restless, other = Pooled(), Pooled()
    other.on_receive = heard.append
    manual.launch(restless).tell(again)
    manual.launch(other).tell("a word")
    with pytest.raises(RuntimeError, match="still busy"):
        manual.dispatcher.run(limit=10)

    assert heard == ["a word"]


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("kind", [Pooled, Threaded])
def test_no_wake_up_is_lost_between_two_threads_that_tell(system, kind):
    actor = kind()
    ref = system.launch(actor)

    def produce(name):
        for number in range(5_000):
            ref.tell((name, number))

    threads = [threading.Thread(target=produce, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: len(actor.diary) == 10_001, timeout=20, what="all messages handled")

    for name in "ab":
        assert [item[1] for item in actor.diary[1:] if item[0] == name] == list(range(5_000))
    ref.stop()


def test_a_message_that_comes_between_the_last_look_and_the_going_idle_is_handled(manual):
    actor = Pooled()
    ref = manual.launch(actor)
    idle = actor.actor_inbox._idle

    class Slow:
        """The lock of the mailbox, with a sender that is quicker."""

        acquire = idle.acquire

        def release(self):
            if "quick" not in actor.diary:
                ref.tell("quick")
            idle.release()

    actor.actor_inbox._idle = Slow()
    manual.run()

    assert actor.diary == ["start", "quick"]


class Producer(threading.Thread):
    """Asks and tells an actor that ends meanwhile."""

    def __init__(self, ref):
        super().__init__()
        self.ref = ref
        self.asked = []
        self.told = []

    def run(self):
        for number in range(300):
            self.asked.append(self.ref.ask(("ask", number), block=False))
            with contextlib.suppress(ActorDeadError):
                self.ref.tell(("tell", number))
                self.told.append(("tell", number))

    def wait_for_answers(self):
        for future in self.asked:
            with contextlib.suppress(ActorDeadError):
                future.get(timeout=5)


def accounted_for(actor, monitor):
    """Every tell that was handled, left at the end, or too late."""
    handled = [item for item in actor.diary if item[0] == "tell"]
    return handled + messages(monitor.exits[0]) + [late.message for late in monitor.undelivered]


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("kind", [Pooled, Threaded])
@pytest.mark.parametrize("after", range(10, 100, 10))
def test_around_an_end_every_ask_is_answered_and_every_tell_is_handled_or_handed_back(system, kind, after):
    monitor = watch(system)
    actor = kind()
    ref = system.launch(actor, monitor=monitor.actor_ref, child_id="it")
    producer = Producer(ref)
    producer.start()
    eventually(lambda: len(producer.told) > after, what="a stream of messages")
    system.shutdown(ref)
    producer.join()

    producer.wait_for_answers()
    eventually(lambda: monitor.exits, what="the end")
    monitor.actor_ref.ask("everything told so far is handled", timeout=5)
    assert sorted(accounted_for(actor, monitor)) == sorted(producer.told)


def test_asks_that_wait_at_the_end_are_refused(manual):
    ref = manual.launch(Pooled())
    manual.run()
    ref.tell(boom)
    future = ref.ask("too late", block=False)
    manual.run()

    with pytest.raises(ActorDeadError):
        future.get(timeout=0)


def test_after_a_crash_the_message_that_did_it_comes_first_and_is_counted_then_the_rest_in_order(manual):
    monitor = watch(manual)
    ref = manual.launch(Pooled(), monitor=monitor.actor_ref, child_id="it")
    manual.run()
    for message in ("fine", boom, "next", "last"):
        ref.tell(message)
    manual.run()

    (ended,) = monitor.exits
    assert (messages(ended), attempts(ended)) == ([boom, "next", "last"], [1, 0, 0])


def test_a_message_that_crashes_the_next_incarnation_too_is_counted_twice(manual):
    monitor = watch(manual)
    ref = manual.launch(Pooled(), monitor=monitor.actor_ref)
    ref.tell(boom)
    manual.run()
    manual.launch(Pooled(), monitor=monitor.actor_ref, preload=monitor.exits[0].pending)
    manual.run()

    assert attempts(monitor.exits[1]) == [2]


def test_messages_behind_a_crash_keep_the_attempts_they_had(manual):
    monitor = watch(manual)
    manual.launch(Pooled(), monitor=monitor.actor_ref, preload=[Envelope(boom), Envelope("blamed before", attempts=1)])
    manual.run()

    assert attempts(monitor.exits[0]) == [1, 1]


def test_an_actor_can_say_itself_what_it_has_not_finished(manual):
    monitor = watch(manual)
    actor = Pooled()
    actor.unfinished = lambda: ("culprit", "rest")
    ref = manual.launch(actor, monitor=monitor.actor_ref)
    ref.tell(boom)
    ref.tell("next")
    manual.run()

    (ended,) = monitor.exits
    assert (messages(ended), attempts(ended)) == (["culprit", "rest", "next"], [1, 0, 0])


def test_an_actor_that_cannot_say_what_it_has_not_finished_still_has_its_end_told(manual, caplog):
    monitor = watch(manual)
    actor = Pooled()
    actor.unfinished = lambda: {}["nothing"]
    ref = manual.launch(actor, monitor=monitor.actor_ref)
    ref.tell(boom)
    ref.tell("next")
    manual.run()

    (ended,) = monitor.exits
    assert isinstance(ended.error, BoomError)
    assert messages(ended) == [boom, "next"]
    assert "unfinished()" in caplog.text


def test_a_crash_in_an_ask_is_the_askers_and_the_actor_lives_on(manual):
    monitor = watch(manual)
    ref = manual.launch(Pooled(), monitor=monitor.actor_ref)
    future = ref.ask(boom, block=False)
    manual.run()

    with pytest.raises(BoomError):
        future.get(timeout=0)
    assert ref.is_alive()
    assert monitor.exits == []


def test_what_is_put_after_the_end_goes_to_the_monitor(manual):
    monitor = watch(manual)
    actor = Pooled()
    ref = manual.launch(actor, monitor=monitor.actor_ref, child_id="it")
    manual.run()
    manual.kill(ref)
    actor.actor_inbox.put(Envelope("late"))  # the sender had looked before the end
    manual.run()

    assert [(late.name, late.message) for late in monitor.undelivered] == [("it", "late")]


def test_a_prompt_stop_overtakes_what_is_queued(manual):
    monitor = watch(manual)
    actor = Pooled()
    ref = manual.launch(actor, monitor=monitor.actor_ref)
    manual.run()
    ref.tell("one")
    ref.tell("two")
    manual.shutdown(ref)
    manual.run()

    assert actor.diary == ["start", "stop"]
    assert monitor.exits[0].reason is ExitReason.SHUTDOWN
    assert messages(monitor.exits[0]) == ["one", "two"]


def test_depth_and_age_tell_how_far_an_actor_is_behind(manual):
    actor = Pooled()
    ref = manual.launch(actor)
    manual.run()
    inbox, now = actor.actor_inbox, manual.clock.monotonic
    assert (inbox.depth(), inbox.oldest_age(now())) == (0, 0.0)

    ref.tell("one")
    manual.clock.advance(3.0)
    ref.tell("two")
    assert (inbox.depth(), inbox.oldest_age(now())) == (2, 3.0)
    manual.run()
    assert (inbox.depth(), inbox.oldest_age(now())) == (0, 0.0)


def test_the_age_of_an_actor_that_is_never_idle_but_keeps_up_does_not_grow(manual):
    def again(actor):
        actor.actor_ref.tell(again)

    actor = Pooled()
    manual.launch(actor).tell(again)
    for _ in range(10):
        manual.dispatcher.step()
        manual.clock.advance(1.0)

    assert actor.actor_inbox.oldest_age(manual.clock.monotonic()) <= 1.0


def test_a_turn_that_fails_outside_the_actor_does_not_end_the_dispatcher(system, caplog):
    class Broken:
        def turn(self):
            raise BoomError("not an actor's fault")

    system.dispatcher.schedule(Broken())
    actor = Pooled()
    system.launch(actor)

    eventually(lambda: actor.diary == ["start"], what="the next actor's start")
    assert "the dispatcher goes on" in caplog.text


def test_a_thread_that_waits_for_a_message_with_a_deadline_is_told_when_none_comes():
    inbox = Threaded().actor_inbox

    assert inbox.wait(0.0) is False
    inbox.put(Envelope("here"))
    assert inbox.wait(0.0) is True
    assert inbox.get(timeout=0.0).message == "here"


def test_a_selector_loop_is_woken_by_a_put():
    inbox, woken = Threaded().actor_inbox, []
    inbox.on_put = lambda: woken.append(inbox.depth())
    inbox.put(Envelope("here"))

    assert woken == [1]


def test_a_runtime_without_actors_is_idle():
    assert Runtime.manual().run() == 0
