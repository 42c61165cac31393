"""Restart strategies, escalation, and what may come in between (OTP's groups `restart_*`)."""

from __future__ import annotations

import pytest

from actors.runtime import ExitReason
from supervisor import (
    BackoffPolicy,
    BounceChild,
    ChildSpec,
    Intensity,
    RestartIntensityExceeded,
    StartTemplated,
    Supervisor,
    TerminateChild,
)
from tests.supervision.support import BoomError, Lab

SLOW = BackoffPolicy(base=1.0, cap=10.0, reset_after=60.0)


def test_a_child_may_be_restarted_for_ever_if_it_dies_seldom_enough(lab: Lab):
    lab.supervise(lab.spec("child1", shutdown="brutal"), intensity=Intensity(restarts=1, within=1.0))
    lab.crash("child1")
    for _ in range(3):
        lab.advance(2.1)
        lab.crash("child1")
    assert lab.running() == ["child1"]
    assert lab.who("start") == ["child1"] * 5


def test_one_for_one_restarts_the_one_that_died_and_leaves_the_others(lab: Lab):
    lab.supervise(lab.spec("child1"), lab.spec("child2"))
    other = lab.child("child2")
    lab.crash("child1")
    assert lab.child("child2") is other
    assert lab.counts() == [2, 2, 0, 2]
    lab.crash("child2")
    lab.crash("child1")
    lab.assert_escalated(RestartIntensityExceeded)


def test_one_for_one_gives_up_when_a_child_cannot_be_restarted(lab: Lab):
    lab.supervise(lab.spec("child1"), lab.spec("child2"), intensity=Intensity(4, 3600.0))
    lab.refuse_start("child1", *[BoomError("no")] * 10)
    lab.crash("child1")
    lab.assert_escalated(RestartIntensityExceeded)
    assert lab.who("start").count("child1") == 1 + 4
    assert lab.who("stop") == ["child2"]


def test_one_for_all_restarts_all_in_order(lab: Lab):
    lab.supervise(lab.spec("a"), lab.spec("b"), lab.spec("c"), strategy="one_for_all")
    before = [lab.child(name) for name in "abc"]
    lab.forget()
    lab.crash("b")
    assert [event for event in lab.diary if event[0] in ("start", "stop")] == [
        ("stop", "c"),
        ("stop", "a"),
        ("start", "a"),
        ("start", "b"),
        ("start", "c"),
    ]
    assert not any(ref.is_alive() for ref in before)
    assert lab.counts() == [3, 3, 0, 3]
    lab.crash("a")
    lab.crash("c")
    lab.assert_escalated(RestartIntensityExceeded)


def test_one_for_all_gives_up_when_another_child_cannot_be_restarted(lab: Lab):
    lab.supervise(lab.spec("child1"), lab.spec("child2"), strategy="one_for_all", intensity=Intensity(4, 3600.0))
    lab.refuse_start("child2", *[BoomError("no")] * 10)
    lab.crash("child1")
    lab.assert_escalated(RestartIntensityExceeded)


def test_one_for_all_stops_a_restarted_child_when_another_fails_to_start(lab: Lab):
    lab.supervise(lab.spec("child1"), lab.spec("child2"), strategy="one_for_all", intensity=Intensity(3, 3600.0))
    lab.refuse_start("child2", BoomError("not yet"), None)
    lab.forget()
    lab.crash("child1")
    steps = [event for event in lab.diary if event[0] in ("start", "stop")]
    assert steps == [
        ("stop", "child2"),
        ("start", "child1"),
        ("start", "child2"),
        ("stop", "child1"),
        ("start", "child1"),
        ("start", "child2"),
    ]
    assert lab.running() == ["child1", "child2"]


def test_rest_for_one_restarts_the_one_that_died_and_those_after_it(lab: Lab):
    lab.supervise(lab.spec("child1"), lab.spec("child2"), lab.spec("child3"), strategy="rest_for_one")
    first = lab.child("child1")
    lab.forget()
    lab.crash("child2")
    steps = [event for event in lab.diary if event[0] in ("start", "stop")]
    assert steps == [("stop", "child3"), ("start", "child2"), ("start", "child3")]
    assert lab.child("child1") is first
    lab.crash("child3")
    lab.crash("child2")
    lab.assert_escalated(RestartIntensityExceeded)


def test_rest_for_one_gives_up_when_a_later_child_cannot_be_restarted(lab: Lab):
    lab.supervise(lab.spec("child1"), lab.spec("child2"), strategy="rest_for_one", intensity=Intensity(4, 3600.0))
    lab.refuse_start("child2", *[BoomError("no")] * 10)
    lab.crash("child1")
    lab.assert_escalated(RestartIntensityExceeded)


def test_rest_for_one_does_not_restart_a_started_child_when_a_later_one_fails(lab: Lab):
    lab.supervise(lab.spec("child1"), lab.spec("child2"), strategy="rest_for_one", intensity=Intensity(3, 3600.0))
    lab.refuse_start("child2", BoomError("not yet"), None)
    lab.forget()
    lab.crash("child1")
    steps = [event for event in lab.diary if event[0] in ("start", "stop")]
    assert steps == [("stop", "child2"), ("start", "child1"), ("start", "child2"), ("start", "child2")]
    assert lab.running() == ["child1", "child2"]


def test_dynamic_children_are_restarted_one_by_one(lab: Lab):
    lab.supervise_dynamic()
    for name in ("a", "b"):
        lab.ask(StartTemplated, child_id=name)
    other = lab.child("b")
    lab.crash("a")
    assert lab.child("b") is other
    assert lab.counts() == [2, 2, 0, 2]
    lab.crash("b")
    lab.crash("a")
    lab.assert_escalated(RestartIntensityExceeded)


def test_dynamic_children_are_restarted_with_the_arguments_they_were_started_with(lab: Lab):
    built = []

    def build(name, colour):
        built.append((name, colour))
        return lab.spec(name).start()

    lab.supervise_dynamic(template=ChildSpec("w", build))
    lab.ask(StartTemplated, child_id="a", args=("red",))
    lab.crash("a")
    assert built == [("a", "red"), ("a", "red")]


def test_a_dynamic_child_with_nothing_to_run_at_its_restart_is_forgotten(lab: Lab):
    starts = iter([True, False])
    lab.supervise_dynamic(template=ChildSpec("w", lambda name: lab.spec(name).start() if next(starts) else None))
    lab.ask(StartTemplated, child_id="a")
    lab.crash("a")
    assert lab.counts() == [0, 0, 0, 0]


def test_a_dynamic_supervisor_gives_up_when_a_child_cannot_be_restarted(lab: Lab):
    lab.supervise_dynamic(intensity=Intensity(4, 3600.0))
    for name in ("a", "b"):
        lab.ask(StartTemplated, child_id=name)
    lab.refuse_start("a", *[BoomError("no")] * 10)
    lab.crash("a")
    lab.assert_escalated(RestartIntensityExceeded)
    assert lab.who("stop") == ["b"]


# Restart loops that hang


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
def test_a_restart_that_never_comes_up_does_not_keep_the_supervisor_from_anything(lab: Lab, strategy: str):
    lab.supervise(lab.spec("a", late=True), strategy=strategy)
    lab.child("a").tell("ready")
    lab.run()
    lab.crash("a")
    assert lab.state("a") == "starting"
    assert lab.counts() == [1, 1, 0, 1]
    assert lab.ask(TerminateChild, child_id="a") is None
    assert lab.counts() == [1, 0, 0, 1]
    assert lab.stop().reason is ExitReason.SHUTDOWN


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
def test_a_child_that_fails_to_restart_again_and_again_can_be_terminated_in_between(lab: Lab, strategy: str):
    lab.supervise(lab.spec("a"), lab.spec("b"), strategy=strategy, intensity=Intensity(1_000_000, 1.0), backoff=SLOW)
    lab.refuse_start("a", *[BoomError("no")] * 10_000)
    lab.crash("a")
    lab.advance(30)
    assert lab.state("a") == "backing_off"
    lab.ask(TerminateChild, child_id="a")
    lab.advance(100)
    assert lab.state("a") == "stopped"
    assert lab.running() == ["b"]


def test_a_dynamic_child_that_fails_to_restart_again_and_again_can_be_terminated_in_between(lab: Lab):
    lab.supervise_dynamic(intensity=Intensity(1_000_000, 1.0), backoff=SLOW)
    lab.ask(StartTemplated, child_id="a")
    lab.refuse_start("a", *[BoomError("no")] * 10_000)
    lab.crash("a")
    lab.advance(30)
    lab.ask(TerminateChild, child_id="a")
    assert lab.counts() == [0, 0, 0, 0]
    assert lab.stop().reason is ExitReason.SHUTDOWN


def test_a_hanging_restart_is_killed_after_its_start_timeout_and_counts_as_a_restart(lab: Lab):
    lab.supervise(lab.spec("a", late=True, start_timeout=1.0), intensity=Intensity(2, 3600.0))
    lab.child("a").tell("ready")
    lab.run()
    lab.crash("a")
    lab.advance(1.1)
    assert lab.who("start") == ["a"] * 3
    lab.advance(1.1)
    lab.assert_escalated(RestartIntensityExceeded)


# In the middle of a group restart


@pytest.fixture
def group(lab: Lab) -> Lab:
    """Three children of a one_for_all; the second takes its time to come up again."""
    lab.supervise(
        lab.spec("a"),
        lab.spec("b", late=True),
        lab.spec("c"),
        strategy="one_for_all",
        intensity=Intensity(5, 3600.0),
    )
    lab.child("b").tell("ready")
    lab.run()
    lab.crash("c")
    assert lab.state("b") == "starting"
    lab.forget()
    return lab


def test_another_child_that_dies_during_the_restart_starts_it_over(group: Lab):
    group.crash("a")
    steps = [event for event in group.diary if event[0] in ("start", "stop")]
    assert steps == [("stop", "b"), ("start", "a"), ("start", "b")]
    group.child("b").tell("ready")
    group.run()
    assert group.running() == ["a", "b", "c"]


def test_an_operator_can_terminate_a_child_during_the_restart(group: Lab):
    group.ask(TerminateChild, child_id="b")
    assert group.running() == ["a", "c"]


def test_a_shutdown_during_the_restart_is_obeyed(group: Lab):
    assert group.stop().reason is ExitReason.SHUTDOWN
    assert group.who("stop") == ["b", "a"]
    assert group.who("start") == []


def test_what_an_operator_has_stopped_stays_down_through_a_group_restart(lab: Lab):
    lab.supervise(lab.spec("a"), lab.spec("b"), strategy="one_for_all")
    lab.ask(TerminateChild, child_id="b")
    lab.crash("a")
    assert lab.running() == ["a"]
    assert lab.state("b") == "stopped"


def test_a_group_waits_for_the_back_off_of_the_child_that_failed(lab: Lab):
    lab.supervise(lab.spec("a"), lab.spec("b"), strategy="one_for_all", backoff=SLOW)
    lab.forget()
    lab.crash("b")
    assert lab.who("stop") == ["a"]
    assert lab.who("start") == []
    lab.advance(1.0)
    assert lab.who("start") == ["a", "b"]


def test_an_earlier_child_that_dies_takes_over_the_restart_of_the_rest(lab: Lab):
    lab.supervise(lab.spec("a"), lab.spec("b"), lab.spec("c"), strategy="rest_for_one", backoff=SLOW)
    lab.crash("c")
    lab.crash("a")
    assert [lab.state(name) for name in "abc"] == ["backing_off", "waiting", "waiting"]
    lab.advance(1.0)
    assert lab.running() == ["a", "b", "c"]
    assert lab.who("start") == ["a", "b", "c", "a", "b", "c"]


def test_independent_children_restart_at_the_same_time(lab: Lab):
    lab.supervise(lab.spec("a", late=True), lab.spec("b"))
    lab.child("a").tell("ready")
    lab.run()
    lab.crash("a")
    lab.crash("b")
    assert lab.state("a") == "starting"
    assert lab.state("b") == "running"


# Back-off


def test_waits_double_up_to_the_cap_and_begin_again_after_a_quiet_time(lab: Lab):
    lab.supervise(lab.spec("a"), intensity=Intensity(1000, 1.0), backoff=BackoffPolicy(1.0, 4.0, 60.0), rng=lambda: 1.0)
    waits = []
    for _ in range(4):
        lab.crash("a")
        waits.append(lab.sup.table.children["a"].trouble.retry_at - lab.runtime.clock.monotonic())
        lab.advance(5.0)
    assert waits == [1.0, 2.0, 4.0, 4.0]
    lab.advance(60.0)
    lab.crash("a")
    assert lab.sup.table.children["a"].trouble.retry_at - lab.runtime.clock.monotonic() == 1.0


def test_the_end_of_an_earlier_wait_does_not_cut_a_later_one_short(lab: Lab):
    lab.supervise(lab.spec("a"), backoff=SLOW)
    lab.crash("a")
    lab.ask(BounceChild, child_id="a")
    lab.advance(0.5)
    lab.crash("a")
    lab.advance(0.6)
    assert lab.state("a") == "backing_off"
    lab.advance(0.5)
    assert lab.state("a") == "running"


def test_a_child_may_have_a_back_off_of_its_own(lab: Lab):
    lab.supervise(lab.spec("a", backoff=SLOW), lab.spec("b"))
    lab.crash("a")
    lab.crash("b")
    assert (lab.state("a"), lab.state("b")) == ("backing_off", "running")


def test_jitter_is_drawn_between_nothing_and_the_bound():
    policy = BackoffPolicy(1.0, 8.0)
    assert policy.delay(2, lambda: 0.0) == 0.0
    assert policy.delay(2, lambda: 0.5) == 2.0
    assert policy.delay(10_000, lambda: 1.0) == 8.0


# Trees


def test_escalation_makes_the_parent_restart_the_whole_subtree_but_no_dynamic_child(lab: Lab):
    first, second = [], []

    def sub1():
        settings = lab.settings({"intensity": Intensity(4, 3600.0)})
        first.append(Supervisor(children=[lab.spec("child1"), lab.spec("child2")], **settings))
        return first[-1]

    def sub2():
        second.append(lab.dynamic(intensity=Intensity(1, 3600.0)))
        return second[-1]

    lab.supervise(
        ChildSpec("sub1", sub1), ChildSpec("sub2", sub2), strategy="one_for_all", intensity=Intensity(4, 3600.0)
    )
    assert lab.counts() == [2, 2, 2, 0]
    for name in ("child3", "child4"):
        lab.ask(StartTemplated, of=second[0], child_id=name)
    lab.crash("child4", second[0])
    assert lab.running(second[0]) == ["child3", "child4"]
    assert len(first) == 1
    lab.crash("child3", second[0])
    assert (len(first), len(second)) == (2, 2)
    assert lab.counts() == [2, 2, 2, 0]
    assert lab.counts(first[1]) == [2, 2, 0, 2]
    assert lab.counts(second[1]) == [0, 0, 0, 0]


def test_a_subtree_that_fails_to_start_fails_the_start_of_the_whole(lab: Lab):
    lab.refuse_start("x", BoomError("deep"))
    nested = ChildSpec("sub", lambda: Supervisor(**lab.settings({"children": [lab.spec("y"), lab.spec("x")]})))
    lab.supervise(lab.spec("a"), nested)
    assert lab.exit.reason is ExitReason.CRASHED
    assert lab.who("stop") == ["y", "a"]


def test_the_error_that_escalates_carries_what_the_last_child_died_of(lab: Lab):
    lab.supervise(lab.spec("a"), intensity=Intensity(0, 1.0))
    lab.crash("a")
    assert isinstance(lab.exit.error, RestartIntensityExceeded)
    assert isinstance(lab.exit.error.__cause__, BoomError)


def test_a_supervisor_that_nobody_watches_says_once_why_it_ended(lab: Lab, caplog):
    sup = Supervisor(**lab.settings({"children": [lab.spec("a")], "intensity": Intensity(0, 1.0)}))
    lab.runtime.launch(sup)
    lab.run()
    lab.end("a", "abnormal", sup)
    assert caplog.text.count("Unhandled exception") == 1
    assert not sup.actor_ref.is_alive()
