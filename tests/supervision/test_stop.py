"""Stopping (OTP's group `sup_stop`, `simple_one_for_one_shutdown`, `child_unlink`)."""

from __future__ import annotations

import logging

import pytest

from actors.runtime import ExitReason
from supervisor import (
    ChildSpec,
    StartChild,
    StartTemplated,
    Supervisor,
    SupervisorStoppingError,
    TerminateChild,
    describe,
)
from tests.supervision.support import AT_ONCE, Lab, Worker


def test_children_stop_from_right_to_left_each_after_the_one_before_is_down(lab: Lab):
    lab.supervise(lab.spec("a"), lab.spec("b", stubborn=True, shutdown=2.0), lab.spec("c"))
    lab.runtime.shutdown(lab.root.ref)
    lab.run()
    assert lab.who("stop") == ["c"]
    lab.advance(2.1)
    assert lab.who("stop") == ["c", "a"]
    assert lab.exit.reason is ExitReason.SHUTDOWN


def test_infinity_waits_for_workers_as_for_supervisors(lab: Lab):
    nested = ChildSpec("sup", lambda: Supervisor(runtime=lab.runtime), shutdown="infinity")
    lab.supervise(nested, lab.spec("worker", shutdown="infinity", stubborn=True))
    lab.runtime.shutdown(lab.root.ref)
    lab.advance(1_000_000)
    assert lab.exit is None
    lab.runtime.kill(lab.child("worker"))
    lab.run()
    assert lab.exit.reason is ExitReason.SHUTDOWN


def test_a_child_that_does_not_stop_in_time_is_killed_and_the_others_stop_as_they_should(lab: Lab):
    lab.supervise(lab.spec("child1", shutdown=1.0), lab.spec("child2", shutdown=1.0, stubborn=True))
    lab.runtime.shutdown(lab.root.ref)
    lab.advance(0.9)
    assert lab.exit is None
    lab.advance(0.2)
    assert lab.who("stop") == ["child1"]
    assert lab.exit.reason is ExitReason.SHUTDOWN


def test_a_brutal_stop_asks_nobody(lab: Lab):
    lab.supervise(lab.spec("child1", shutdown=1.0), lab.spec("child2", shutdown="brutal"))
    lab.stop()
    assert lab.who("stop") == ["child1"]


def test_an_ordinary_pykka_stop_takes_the_children_down_as_well(lab: Lab):
    lab.supervise(lab.spec("a"), lab.spec("b"))
    lab.root.ref.stop(block=False)
    lab.run()
    assert lab.who("stop") == ["b", "a"]
    assert lab.exit.reason is ExitReason.NORMAL


def test_dynamic_children_stop_at_the_same_time_each_within_its_own(lab: Lab):
    lab.supervise_dynamic()
    for name, seconds in (("a", 2.0), ("b", 2.0), ("c", 5.0)):
        lab.ask(StartChild, spec=lab.spec(name, shutdown=seconds, stubborn=True))
    for name in "de":
        lab.ask(StartChild, spec=lab.spec(name, shutdown=2.0))
    lab.runtime.shutdown(lab.root.ref)
    lab.run()
    assert sorted(lab.who("stop")) == ["d", "e"]
    assert len(lab.runtime.timers) == 2
    lab.advance(2.0)
    assert [child for child in "abc" if lab.sup.table.children.get(child)] == ["c"]
    lab.advance(3.0)
    assert lab.exit.reason is ExitReason.SHUTDOWN


def test_a_dynamic_brutal_stop_asks_nobody(lab: Lab):
    lab.supervise_dynamic(template=ChildSpec("w", lambda name: Worker(lab, name), shutdown="brutal"))
    for name in "abc":
        lab.ask(StartTemplated, child_id=name)
    lab.stop()
    assert lab.who("stop") == []


def test_a_dynamic_child_that_dies_of_something_else_while_it_stops_is_reported_and_nothing_more(lab: Lab, caplog):
    lab.supervise_dynamic()
    lab.ask(StartTemplated, child_id="a")
    lab.fail_on_stop.add("a")
    with caplog.at_level(logging.ERROR):
        assert lab.stop().reason is ExitReason.SHUTDOWN
    assert "on_stop" in caplog.text


def test_a_child_that_dies_before_it_is_its_turn_to_stop_is_not_restarted(lab: Lab):
    lab.supervise(lab.spec("a"), lab.spec("b", stubborn=True, shutdown=1.0))
    lab.runtime.shutdown(lab.root.ref)
    lab.run()
    lab.crash("a")
    assert lab.who("start") == ["a", "b"]
    lab.advance(1.1)
    assert lab.exit.reason is ExitReason.SHUTDOWN


def test_a_child_that_is_waiting_for_its_restart_is_not_started_during_a_stop(lab: Lab):
    lab.supervise(lab.spec("a"), lab.spec("b"), backoff=None)
    lab.crash("a")
    assert lab.state("a") == "backing_off"
    lab.stop()
    lab.advance(100)
    assert lab.who("start") == ["a", "b"]


def test_a_stop_while_a_child_is_starting_again_stops_that_too(lab: Lab):
    lab.supervise(lab.spec("a", late=True))
    lab.child("a").tell("ready")
    lab.run()
    lab.crash("a")
    assert lab.state("a") == "starting"
    lab.stop()
    assert lab.who("stop") == ["a"]


def test_requests_are_refused_while_the_supervisor_stops(lab: Lab):
    lab.supervise(lab.spec("a", stubborn=True))
    lab.runtime.shutdown(lab.root.ref)
    lab.run()
    with pytest.raises(SupervisorStoppingError):
        lab.ask(StartChild, spec=lab.spec("b"))
    lab.advance(6)
    assert lab.exit is not None


def test_a_child_that_will_not_go_does_not_make_the_supervisor_hang(lab: Lab):
    lab.supervise(lab.spec("naughty", stubborn=True, shutdown=1.0), lab.spec("good"))
    future = lab.begin(TerminateChild, child_id="naughty")
    lab.run()
    lab.root.ref.tell("foo")
    lab.run()
    assert lab.root.ref.actor_inbox.depth() == 0
    lab.advance(1.1)
    assert future.get(timeout=0) is None
    assert lab.running() == ["good"]


def test_a_stop_that_is_asked_for_twice_is_one_stop(lab: Lab):
    lab.supervise(lab.spec("a"))
    lab.runtime.shutdown(lab.root.ref)
    lab.runtime.shutdown(lab.root.ref)
    lab.run()
    assert lab.who("stop") == ["a"]
    assert lab.exit.reason is ExitReason.SHUTDOWN


def test_nothing_is_left_when_a_supervisor_is_killed_itself(lab: Lab):
    inner = []

    def build():
        inner.append(Supervisor(runtime=lab.runtime, children=[lab.spec("x"), lab.spec("y")], backoff=AT_ONCE))
        return inner[-1]

    lab.supervise(ChildSpec("sub", build))
    orphan = lab.child("x", inner[0])
    lab.end("sub", "kill")
    assert not orphan.is_alive()
    assert len(inner) == 2
    assert lab.running(inner[1]) == ["x", "y"]


def test_a_child_that_was_killed_because_it_had_to_go_has_died_of_nothing(lab: Lab):
    lab.supervise(lab.spec("a", shutdown="brutal"))
    lab.ask(TerminateChild, child_id="a")
    assert describe(lab.root.ref, "top/a")["last_exception"] is None
