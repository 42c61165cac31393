"""The dispatcher: nobody blocks it, idle actors are small, interleavings can be chosen."""

from __future__ import annotations

import gc
import threading
import tracemalloc

import pytest
from pykka import ActorRegistry

from actors.runtime import GuardedFuture, PooledActor, Runtime, WouldBlockError
from tests.runtime.support import Pooled, boom, watch
from tests.support.wait import eventually

BUDGET = 3_000
"""Bytes of one actor at rest."""


def test_waiting_for_an_answer_on_the_dispatcher_raises_at_once_and_names_the_actor(manual):
    other = manual.launch(Pooled())
    monitor = watch(manual)
    manual.launch(Pooled(), monitor=monitor.actor_ref).tell(lambda _: other.ask("something"))
    manual.run()

    error = monitor.exits[0].error
    assert isinstance(error, WouldBlockError)
    assert "Pooled (urn:uuid:" in str(error)
    assert other.is_alive()


def test_an_answer_that_is_there_already_may_be_taken_on_the_dispatcher(manual):
    future = GuardedFuture()
    future.set("here")
    asked = manual.launch(Pooled()).ask(lambda _: future.get(), block=False)
    manual.run()

    assert asked.get(timeout=0) == "here"


def test_threads_of_ones_own_may_wait(system):
    assert system.launch(Pooled()).ask("hello", timeout=5) == "hello"


def test_all_pooled_actors_share_one_thread(system):
    refs = [system.launch(Pooled()) for _ in range(50)]

    assert {ref.ask(lambda _: threading.get_ident(), timeout=5) for ref in refs} == {system.dispatcher._worker.ident}


def test_launched_actors_stay_out_of_pykkas_registry(manual):
    before = ActorRegistry.get_all()
    manual.launch(Pooled())
    manual.run()

    assert ActorRegistry.get_all() == before


def test_an_actor_that_is_started_the_pykka_way_is_registered_and_works():
    ref = Pooled.start()
    try:
        assert ref in ActorRegistry.get_all()
        assert ref.ask("hello", timeout=5) == "hello"
        assert ref.proxy().diary.get(timeout=5) == ["start", "hello"]
    finally:
        ref.stop(timeout=5)
    assert ref not in ActorRegistry.get_all()


def test_a_crash_without_a_monitor_is_logged_as_pykka_does(manual, caplog):
    manual.launch(Pooled()).tell(boom)
    manual.run()

    assert "Unhandled exception in Pooled" in caplog.text


def test_an_idle_actor_costs_less_than_three_kilobytes(manual):
    def launch(count):
        refs = [manual.launch(PooledActor()) for _ in range(count)]
        manual.run()
        return refs

    kept = launch(100)  # whatever is made once is made now
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    kept += launch(2_000)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(kept) == 2_100
    assert (after - before) / 2_000 < BUDGET


def interleaving(seed):
    runtime, order = Runtime.manual(seed=seed), []

    class Step(PooledActor):
        def __init__(self, name):
            super().__init__()
            self.name = name
            self.sum = 0

        def on_receive(self, number):
            order.append(self.name)
            self.sum += number
            if number > 1:
                self.actor_ref.tell(number - 1)

    actors = [Step(name) for name in "abcde"]
    refs = [runtime.launch(actor) for actor in actors]
    runtime.run()
    for ref in refs:
        ref.tell(4)
    runtime.run()
    return "".join(order), [actor.sum for actor in actors]


def test_seeds_give_other_interleavings_and_the_same_results():
    runs = [interleaving(seed) for seed in range(8)]

    assert len({order for order, _ in runs}) > 1
    assert {tuple(sums) for _, sums in runs} == {(10, 10, 10, 10, 10)}


def test_the_same_seed_gives_the_same_interleaving():
    assert interleaving(3) == interleaving(3)


def test_without_a_seed_actors_have_their_turns_in_the_order_of_their_messages():
    assert interleaving(None)[0] == "aaaabbbbccccddddeeee"


def test_actors_that_keep_each_other_awake_are_reported(manual):
    def again(actor):
        actor.actor_ref.tell(again)

    manual.launch(Pooled()).tell(again)
    with pytest.raises(RuntimeError, match="still busy after 100 turns"):
        manual.dispatcher.run(limit=100)
    assert manual.dispatcher.backlog() == 1


def test_a_stopped_dispatcher_has_handled_what_was_queued():
    runtime = Runtime.system()
    runtime.start()
    actor = Pooled()
    ref = runtime.launch(actor)
    ref.tell("last words")
    runtime.stop()

    assert actor.diary == ["start", "last words"]
    assert runtime.dispatcher.backlog() == 0


def test_a_thread_that_was_given_up_takes_no_turn_when_it_comes_back(system):
    before = system.dispatcher._worker
    before.abandoned.set()  # it sleeps in its queue now, and is told of it too late
    system.dispatcher.start()
    ref, threads = system.launch(Pooled()), set()

    def take_turns():
        threads.add(ref.ask(lambda _: threading.current_thread(), timeout=5))
        return not before.is_alive()

    eventually(take_turns, what="the end of the abandoned thread")
    assert threads == {system.dispatcher._worker}
