"""Requests to a supervisor (OTP's `child_adm`, `child_adm_simple`, `extra_return`, `count_*`, `order_of_children`)."""

from __future__ import annotations

import logging
import time

import pykka
import pytest

from supervisor import (
    AlreadyPresentError,
    AlreadyStartedError,
    BounceChild,
    ChildNotFoundError,
    ChildRestartingError,
    ChildRunningError,
    ChildSpec,
    CountChildren,
    DeleteChild,
    InvalidSpecError,
    MaxChildrenError,
    QuarantineChild,
    RestartChild,
    ResumeChild,
    StartChild,
    StartTemplated,
    SupervisionError,
    Supervisor,
    TerminateChild,
    WhichChildren,
)
from tests.supervision.support import BoomError, Lab


def test_the_life_of_a_child_by_request(lab: Lab):
    lab.supervise(lab.spec("child1"))
    first = lab.child("child1")
    assert lab.counts() == [1, 1, 0, 1]

    with pytest.raises(AlreadyStartedError) as caught:
        lab.ask(StartChild, spec=lab.spec("child1"))
    assert caught.value.ref is first

    assert lab.ask(TerminateChild, child_id="child1") is None
    assert not first.is_alive()
    assert lab.counts() == [1, 0, 0, 1]
    assert lab.ask(TerminateChild, child_id="child1") is None

    with pytest.raises(AlreadyPresentError):
        lab.ask(StartChild, spec=lab.spec("child1"))
    second = lab.ask(RestartChild, child_id="child1")
    assert second is lab.child("child1")
    with pytest.raises(ChildRunningError):
        lab.ask(RestartChild, child_id="child1")
    with pytest.raises(ChildRunningError):
        lab.ask(DeleteChild, child_id="child1")

    lab.ask(TerminateChild, child_id="child1")
    lab.ask(DeleteChild, child_id="child1")
    assert lab.counts() == [0, 0, 0, 0]
    assert lab.ask(StartChild, spec=lab.spec("child1")) is lab.child("child1")


@pytest.mark.parametrize("kind", [TerminateChild, RestartChild, DeleteChild, BounceChild, QuarantineChild, ResumeChild])
@pytest.mark.parametrize("child_id", ["hej", "", None, ["unhashable"], 7])
def test_a_child_that_does_not_exist_is_not_found(lab: Lab, kind, child_id):
    lab.supervise(lab.spec("child1"))
    with pytest.raises(ChildNotFoundError):
        lab.ask(kind, child_id=child_id)
    assert lab.running() == ["child1"]


def test_a_supervisor_that_has_ended_takes_no_requests(lab: Lab):
    lab.supervise()
    lab.stop()
    for kind in (WhichChildren, CountChildren):
        with pytest.raises(pykka.ActorDeadError):
            lab.begin(kind)


def test_a_child_on_its_way_up_can_be_neither_restarted_nor_deleted(lab: Lab):
    lab.supervise(lab.spec("a"), backoff=None)
    lab.crash("a")
    assert lab.counts() == [1, 0, 0, 1]
    for kind in (RestartChild, DeleteChild):
        with pytest.raises(ChildRestartingError):
            lab.ask(kind, child_id="a")


def test_children_are_listed_and_started_again_in_their_order(lab: Lab):
    lab.supervise(lab.spec("id1"), lab.spec("id2"), lab.spec("id3"), strategy="rest_for_one")
    lab.ask(StartChild, spec=lab.spec("id0"))
    assert lab.names() == ["id1", "id2", "id3", "id0"]
    lab.crash("id1")
    assert lab.names() == ["id1", "id2", "id3", "id0"]
    assert lab.who("start")[-4:] == ["id1", "id2", "id3", "id0"]


def test_a_child_that_was_deleted_comes_back_at_the_end(lab: Lab):
    lab.supervise(lab.spec("id1"), lab.spec("id2"))
    lab.ask(TerminateChild, child_id="id1")
    lab.ask(DeleteChild, child_id="id1")
    lab.ask(StartChild, spec=lab.spec("id1"))
    assert lab.names() == ["id2", "id1"]


def test_a_list_says_what_each_child_is(lab: Lab):
    lab.supervise(lab.spec("w"), ChildSpec("s", lambda: Supervisor(runtime=lab.runtime), restart="transient"))
    worker, nested = lab.ask(WhichChildren)
    assert (worker.kind, worker.state, worker.restart, worker.ref) == ("worker", "running", "permanent", lab.child("w"))
    assert (nested.kind, nested.restart) == ("supervisor", "transient")
    assert lab.counts() == [2, 2, 1, 1]


def test_requests_that_are_answered_at_once_can_be_asked_with_pykkas_own_ask(lab: Lab):
    lab.supervise(lab.spec("a"))
    future = lab.sup.actor_ref.ask(CountChildren(), block=False)
    lab.run()
    assert future.get(timeout=0).active == 1


def test_a_refusal_that_nobody_waits_for_is_logged(lab: Lab, caplog):
    lab.supervise()
    with caplog.at_level(logging.WARNING):
        lab.sup.actor_ref.tell(TerminateChild(child_id="nobody"))
        lab.run()
    assert "nobody" in caplog.text


def test_an_answer_that_cannot_be_given_does_no_harm(lab: Lab, caplog):
    lab.supervise(lab.spec("a"))
    future = lab.begin(CountChildren)
    future.set("somebody else was faster")
    lab.sup.actor_ref.tell(TerminateChild(child_id="a", reply_to=future))
    lab.sup.actor_ref.tell(TerminateChild(child_id="b", reply_to=future))
    lab.run()
    assert lab.exit is None
    assert "could not be given" in caplog.text


# The operator's buttons


def test_a_running_child_is_restarted_by_request_without_touching_the_others(lab: Lab):
    lab.supervise(lab.spec("a"), lab.spec("b"), strategy="one_for_all")
    before = lab.child("a"), lab.child("b")
    after = lab.ask(BounceChild, child_id="a")
    assert after is lab.child("a")
    assert after is not before[0]
    assert lab.child("b") is before[1]
    # It shows, and it is not charged to the intensity.
    assert lab.sup.table.restarts == 1
    assert lab.sup._stamps == []


def test_a_child_that_is_backing_off_is_restarted_at_once_by_request(lab: Lab):
    lab.supervise(lab.spec("a"), backoff=None)
    lab.crash("a")
    assert lab.ask(BounceChild, child_id="a") is lab.child("a")
    lab.advance(100)
    assert lab.who("start") == ["a", "a"]


def test_a_restart_by_request_that_fails_is_tried_again(lab: Lab):
    lab.supervise(lab.spec("a"))
    lab.refuse_start("a", BoomError("once"), None)
    assert lab.ask(BounceChild, child_id="a") is not None
    assert lab.who("start") == ["a", "a", "a"]


def test_two_restarts_at_the_same_time_are_one(lab: Lab):
    lab.supervise(lab.spec("a"))
    one, two = lab.begin(BounceChild, child_id="a"), lab.begin(BounceChild, child_id="a")
    lab.run()
    assert one.get(timeout=0) is two.get(timeout=0) is lab.child("a")
    assert lab.who("start") == ["a", "a"]


def test_a_temporary_child_cannot_be_started_again_because_nobody_knows_how(lab: Lab):
    lab.supervise(lab.spec("a", restart="temporary"))
    with pytest.raises(SupervisionError, match="temporary"):
        lab.ask(BounceChild, child_id="a")
    assert lab.running() == ["a"]


def test_a_termination_that_crosses_a_start_refuses_the_one_who_waits_for_it(lab: Lab):
    lab.supervise()
    start = lab.begin(StartChild, spec=lab.spec("a", late=True))
    lab.run()
    assert lab.ask(TerminateChild, child_id="a") is None
    with pytest.raises(SupervisionError):
        start.get(timeout=0)


# Dynamic children


def test_the_life_of_a_dynamic_child_by_request(lab: Lab):
    lab.supervise_dynamic()
    assert lab.counts() == [0, 0, 0, 0]
    first = lab.ask(StartTemplated, child_id="one")
    lab.ask(StartTemplated, child_id="two")
    assert lab.counts() == [2, 2, 0, 2]
    with pytest.raises(AlreadyStartedError):
        lab.ask(StartTemplated, child_id="one")
    lab.ask(TerminateChild, child_id="one")
    assert not first.is_alive()
    assert lab.names() == ["two"]
    with pytest.raises(ChildNotFoundError):
        lab.ask(TerminateChild, child_id="one")
    with pytest.raises(ChildNotFoundError):
        lab.ask(RestartChild, child_id="one")
    with pytest.raises(ChildRunningError):
        lab.ask(DeleteChild, child_id="two")


def test_a_dynamic_supervisor_takes_specs_as_well_as_ids(lab: Lab):
    lab.supervise_dynamic(template=None)
    assert lab.ask(StartChild, spec=lab.spec("a")) is lab.child("a")
    with pytest.raises(InvalidSpecError, match="no template"):
        lab.ask(StartTemplated, child_id="b")


@pytest.mark.parametrize("child_id", ["", "a/b", None, 3, ["x"]])
def test_an_id_that_cannot_be_part_of_a_path_is_refused(lab: Lab, child_id):
    lab.supervise_dynamic()
    with pytest.raises(InvalidSpecError):
        lab.ask(StartTemplated, child_id=child_id)


def test_one_child_too_many_is_refused(lab: Lab):
    sup = lab.supervise_dynamic(max_children=2)
    for name in "ab":
        lab.ask(StartTemplated, child_id=name)
    with pytest.raises(MaxChildrenError):
        lab.ask(StartTemplated, child_id="c")
    with pytest.raises(MaxChildrenError):
        sup.adopt("c")
    lab.ask(TerminateChild, child_id="a")
    assert lab.ask(StartTemplated, child_id="c") is not None


def test_a_thousand_children_are_counted_and_forgotten(lab: Lab):
    lab.supervise_dynamic(template=ChildSpec("t", lambda name: lab.spec(name).start(), restart="temporary"))
    for batch in range(2):
        for number in range(1000):
            lab.sup.actor_ref.tell(StartTemplated(child_id=f"{batch}-{number}"))
        assert lab.counts() == [1000 * (batch + 1), 1000 * (batch + 1), 0, 1000 * (batch + 1)]
    assert len(lab.ask(WhichChildren)) == 2000
    for child in lab.ask(WhichChildren):
        lab.runtime.kill(child.ref)
    assert lab.counts() == [0, 0, 0, 0]


def test_the_time_to_terminate_many_children_grows_no_faster_than_their_number():
    def seconds(number: int) -> float:
        lab = Lab()
        lab.supervise_dynamic(template=ChildSpec("t", lambda name: lab.spec(name).start(), restart="temporary"))
        for child in range(number):
            lab.sup.actor_ref.tell(StartTemplated(child_id=str(child)))
        lab.run()
        began = time.process_time()
        for child in range(number):
            lab.sup.actor_ref.tell(TerminateChild(child_id=str(child)))
        lab.run()
        assert lab.counts() == [0, 0, 0, 0]
        return time.process_time() - began

    # Ten times the children: ten times the time if it is linear, a hundred times if it is not.
    assert seconds(5000) / min(seconds(500) for _ in range(3)) < 50


# What is not meant for a supervisor


@pytest.mark.parametrize("garbage", ["foo", None, 7, ["x"], {"a": 1}, object(), ("Exit", "a"), b"\xff"])
def test_garbage_is_logged_and_counted(lab: Lab, caplog, garbage):
    lab.supervise(lab.spec("a"))
    lab.sup.actor_ref.tell(garbage)
    lab.run()
    assert lab.running() == ["a"]
    assert lab.sup.table.garbage == 1
    assert "cannot make sense" in caplog.text


@pytest.mark.parametrize("spec", ["hej", None, 7, {"id": "a"}])
def test_a_start_without_a_spec_is_refused(lab: Lab, spec):
    lab.supervise()
    with pytest.raises(InvalidSpecError):
        lab.ask(StartChild, spec=spec)
    assert lab.counts() == [0, 0, 0, 0]
