"""The directory: names outlive refs, and a message for nobody goes to who owns the name."""

from __future__ import annotations

import pytest

from actors.runtime import Directory
from tests.runtime.support import Pooled, watch


@pytest.fixture
def directory() -> Directory:
    return Directory()


def test_a_message_reaches_the_actor_of_that_name(manual, directory):
    actor = Pooled()
    directory.publish("it", manual.launch(actor))
    directory.tell("it", "hello")
    manual.run()

    assert actor.diary == ["start", "hello"]


def test_a_message_for_an_unknown_name_goes_to_the_fallback(directory):
    told = []
    directory.fallback = lambda name, message: told.append((name, message))
    directory.tell("nobody", "hello")

    assert told == [("nobody", "hello")]


def test_without_a_fallback_it_is_counted(directory):
    directory.tell("nobody", "hello")

    assert directory.undelivered == 1


def test_a_message_for_an_actor_that_has_ended_goes_to_the_fallback(manual, directory):
    told = []
    directory.fallback = lambda name, message: told.append((name, message))
    ref = manual.launch(Pooled())
    directory.publish("it", ref)
    manual.run()
    manual.shutdown(ref)
    manual.run()
    directory.tell("it", "hello")

    assert told == [("it", "hello")]


def test_a_message_for_an_actor_that_ends_at_that_moment_goes_to_its_monitor(manual, directory):
    monitor = watch(manual)
    actor = Pooled()
    ref = manual.launch(actor, monitor=monitor.actor_ref, child_id="it")
    directory.publish("it", ref)
    manual.run()
    manual.kill(ref)
    ref.actor_stopped._set = False  # as the sender saw it a moment before
    directory.tell("it", "hello")
    manual.run()

    assert [(late.name, late.message) for late in monitor.undelivered] == [("it", "hello")]
    assert directory.undelivered == 0


def test_a_successor_takes_over_the_name_and_its_predecessor_cannot_take_it_away(manual, directory):
    first, second = manual.launch(Pooled()), manual.launch(Pooled())
    directory.publish("it", first)
    directory.publish("it", second)
    directory.withdraw("it", first)
    assert directory.get("it") is second

    directory.withdraw("it", second)
    assert "it" not in directory


def test_a_name_can_be_withdrawn_whoever_has_it_and_twice(manual, directory):
    directory.publish("it", manual.launch(Pooled()))
    directory.withdraw("it")
    directory.withdraw("it")

    assert directory.get("it") is None


def test_it_can_be_counted_and_walked_while_it_changes(manual, directory):
    for name in "abc":
        directory.publish(name, manual.launch(Pooled()))
    for name in directory:
        directory.withdraw(name)

    assert len(directory) == 0
