"""Starting a supervisor and its children (OTP's group `sup_start`)."""

from __future__ import annotations

import pytest

from actors.runtime import ExitReason
from supervisor import (
    ChildSpec,
    ChildStartError,
    DynamicSupervisor,
    GetSpec,
    Intensity,
    InvalidSpecError,
    RestartChild,
    StartChild,
    StartTemplated,
    StartTimeoutError,
    Supervisor,
    SupervisorStoppingError,
    TerminateChild,
    WhichChildren,
    describe,
)
from tests.supervision.support import BoomError, Lab


def test_a_supervisor_without_children_starts_and_stops(lab: Lab):
    lab.supervise()
    assert lab.root.ready
    assert lab.stop().reason is ExitReason.SHUTDOWN


def test_children_start_from_left_to_right_each_after_the_one_before_is_ready(lab: Lab):
    lab.supervise(lab.spec("a"), lab.spec("b", late=True), lab.spec("c"))
    assert lab.who("start") == ["a", "b"]
    assert not lab.root.ready
    lab.child("b").tell("ready")
    lab.run()
    assert lab.who("start") == ["a", "b", "c"]
    assert lab.root.ready


def test_a_constructor_that_raises_fails_the_start_and_stops_the_others_in_reverse(lab: Lab):
    def explode():
        raise BoomError("constructor")

    lab.supervise(lab.spec("a"), lab.spec("b"), ChildSpec("c", explode), lab.spec("d"))
    assert lab.who("stop") == ["b", "a"]
    assert "d" not in lab.who("start")
    lab.assert_escalated(ChildStartError)
    assert isinstance(lab.exit.error.__cause__, BoomError)
    assert not lab.root.ready


def test_an_on_start_that_raises_fails_the_start_in_the_same_way(lab: Lab):
    lab.refuse_start("b", BoomError("on_start"))
    lab.supervise(lab.spec("a"), lab.spec("b"), lab.spec("c"))
    assert lab.who("stop") == ["a"]
    lab.assert_escalated(ChildStartError)
    assert isinstance(lab.exit.error.__cause__, BoomError)


def test_a_first_child_that_cannot_be_built_fails_the_start_too(lab: Lab):
    lab.supervise(ChildSpec("a", lambda: 1 / 0))
    lab.assert_escalated(ChildStartError)


def test_a_system_exit_in_a_constructor_is_a_failure_of_that_child_alone(lab: Lab):
    def leave():
        raise SystemExit(3)

    lab.supervise(lab.spec("a"))
    with pytest.raises(ChildStartError):
        lab.ask(StartChild, spec=ChildSpec("b", leave))
    assert lab.running() == ["a"]


def test_a_start_function_that_returns_no_actor_is_a_failed_start(lab: Lab):
    lab.supervise()
    for returned in (42, "error", object()):
        with pytest.raises(ChildStartError, match="not an actor"):
            lab.ask(StartChild, spec=ChildSpec("a", lambda returned=returned: returned))
    assert lab.counts() == [0, 0, 0, 0]


def test_the_error_names_the_child_by_its_path(lab: Lab):
    lab.refuse_start("b", BoomError("no disk"))
    lab.supervise(lab.spec("b"))
    assert "top/b" in str(lab.exit.error)
    assert "no disk" in str(lab.exit.error)


def test_a_child_with_nothing_to_run_is_kept_and_counts_as_not_active(lab: Lab):
    lab.supervise()
    assert lab.ask(StartChild, spec=ChildSpec("child1", lambda: None)) is None
    assert lab.ask(StartChild, spec=lab.spec("child2")) is not None
    assert lab.counts() == [2, 1, 0, 2]
    assert [child.ref is None for child in lab.ask(WhichChildren)] == [True, False]


def test_a_temporary_child_with_nothing_to_run_is_forgotten_when_the_supervisor_starts(lab: Lab):
    lab.supervise(ChildSpec("child1", lambda: None, restart="temporary"), lab.spec("child2", restart="temporary"))
    assert lab.names() == ["child2"]
    assert lab.counts() == [1, 1, 0, 1]
    assert lab.root.ready


def test_a_temporary_child_with_nothing_to_run_is_forgotten_when_started_later(lab: Lab):
    lab.supervise()
    assert lab.ask(StartChild, spec=ChildSpec("child1", lambda: None, restart="temporary")) is None
    assert lab.counts() == [0, 0, 0, 0]


@pytest.mark.parametrize("restart", ["temporary", "permanent"])
def test_a_dynamic_child_with_nothing_to_run_is_forgotten(lab: Lab, restart: str):
    answers = {"idle": None, "busy": lab.spec("busy").start}
    template = ChildSpec("any", lambda name: answers[name] and answers[name](), restart=restart)
    lab.supervise_dynamic(template=template)
    assert lab.ask(StartTemplated, child_id="idle") is None
    assert lab.ask(StartTemplated, child_id="busy") is not None
    assert lab.names() == ["busy"]
    assert lab.counts() == [1, 1, 0, 1]
    assert lab.stop().reason is ExitReason.SHUTDOWN


def test_a_child_that_fails_to_start_by_request_is_not_kept(lab: Lab):
    lab.supervise()
    lab.refuse_start("a", BoomError("first"), None)
    with pytest.raises(ChildStartError, match="first"):
        lab.ask(StartChild, spec=lab.spec("a"))
    assert lab.counts() == [0, 0, 0, 0]
    assert lab.exit is None
    assert lab.ask(StartChild, spec=lab.spec("a")) is not None


def test_a_dynamic_child_that_fails_to_start_by_request_is_not_kept(lab: Lab):
    lab.supervise_dynamic()
    lab.refuse_start("a", BoomError("first"))
    with pytest.raises(ChildStartError):
        lab.ask(StartTemplated, child_id="a")
    assert lab.counts() == [0, 0, 0, 0]
    assert lab.exit is None


def test_a_stopped_child_that_fails_to_start_again_stays_stopped(lab: Lab):
    lab.supervise(lab.spec("child1"))
    lab.ask(TerminateChild, child_id="child1")
    lab.refuse_start("child1", BoomError("again"))
    with pytest.raises(ChildStartError):
        lab.ask(RestartChild, child_id="child1")
    assert lab.state("child1") == "stopped"
    assert lab.exit is None


def test_defaults_are_those_of_otp_where_it_has_them(lab: Lab):
    lab.supervise(lab.spec("child1"), lab.spec("child2", shutdown="brutal"))
    first, second = lab.ask(GetSpec, child_id="child1"), lab.ask(GetSpec, child_id="child2")
    assert (first.restart, first.shutdown) == ("permanent", None)
    assert second.shutdown == "brutal"
    with pytest.raises(LookupError):
        lab.ask(GetSpec, child_id="child4")


def test_a_worker_has_five_seconds_to_stop_and_a_supervisor_as_long_as_it_needs(lab: Lab):
    nested = ChildSpec("sub", lambda: Supervisor(runtime=lab.runtime, children=[lab.spec("w", stubborn=True)]))
    lab.supervise(nested, lab.spec("worker", stubborn=True))
    began = lab.runtime.clock.monotonic()
    lab.runtime.shutdown(lab.root.ref)
    lab.advance(4.9)
    assert lab.state("worker") == "stopping"
    lab.advance(0.2)
    assert lab.state("worker") == "stopped"
    lab.advance(4.8)
    assert lab.exit is None
    lab.advance(0.3)
    assert lab.exit is not None
    assert lab.runtime.clock.monotonic() - began == pytest.approx(10.2)


def test_faulty_specs_are_refused_before_anything_starts(lab: Lab):
    with pytest.raises(InvalidSpecError, match="not a child spec"):
        Supervisor(runtime=lab.runtime, children=["child4"])
    with pytest.raises(InvalidSpecError, match="twice"):
        Supervisor(runtime=lab.runtime, children=[lab.spec("a"), lab.spec("a")])
    assert lab.diary == []


def test_a_child_that_is_not_ready_in_time_is_killed_and_the_start_fails(lab: Lab):
    lab.supervise(lab.spec("a", late=True, start_timeout=3.0), lab.spec("b"))
    lab.advance(2.9)
    assert lab.exit is None
    lab.advance(0.2)
    lab.assert_escalated(ChildStartError)
    assert isinstance(lab.exit.error.__cause__, StartTimeoutError)


def test_a_start_timeout_that_was_kept_does_no_harm(lab: Lab):
    lab.supervise(lab.spec("a", start_timeout=3.0))
    lab.advance(10)
    assert lab.running() == ["a"]
    assert lab.who("start") == ["a"]


def test_a_stop_in_the_middle_of_the_start_takes_down_what_is_up(lab: Lab):
    lab.supervise(lab.spec("a"), lab.spec("b", late=True), lab.spec("c"))
    assert lab.stop().reason is ExitReason.SHUTDOWN
    assert lab.who("stop") == ["b", "a"]
    assert "c" not in lab.who("start")


def test_a_child_that_dies_while_the_others_start_is_restarted_in_its_place(lab: Lab):
    lab.supervise(lab.spec("a"), lab.spec("b", late=True), lab.spec("c"))
    lab.crash("a")
    assert lab.who("start") == ["a", "b", "a"]
    lab.child("b").tell("ready")
    lab.run()
    assert lab.running() == ["a", "b", "c"]
    assert lab.root.ready


def test_requests_during_the_start_are_served_in_their_turn(lab: Lab):
    lab.supervise(lab.spec("a", late=True))
    future = lab.begin(StartChild, spec=lab.spec("z"))
    lab.run()
    assert lab.who("start") == ["a"]
    lab.child("a").tell("ready")
    lab.run()
    assert future.get(timeout=0) is not None
    assert lab.running() == ["a", "z"]


def test_whoever_waits_for_a_child_is_told_when_the_supervisor_stops_instead(lab: Lab):
    lab.supervise(lab.spec("a", late=True))
    future = lab.begin(StartChild, spec=lab.spec("z"))
    lab.run()
    lab.stop()
    with pytest.raises(SupervisorStoppingError):
        future.get(timeout=0)


def test_a_dynamic_supervisor_is_ready_at_once(lab: Lab):
    lab.launch(DynamicSupervisor(runtime=lab.runtime))
    assert lab.root.ready


def test_a_start_that_was_late_once_is_not_blamed_for_a_later_crash(lab: Lab):
    lab.supervise(lab.spec("a", late=True, start_timeout=1.0), intensity=Intensity(10, 60.0))
    lab.child("a").tell("ready")
    lab.run()
    lab.crash("a")
    lab.advance(1.1)
    assert describe(lab.root.ref, "top/a")["last_exception"]["type"] == "StartTimeoutError"
    lab.child("a").tell("ready")
    lab.run()
    lab.crash("a")
    assert describe(lab.root.ref, "top/a")["last_exception"]["type"] == "BoomError"
