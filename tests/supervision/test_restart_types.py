"""permanent, transient, temporary by every way to end (OTP's groups `*_termination`)."""

from __future__ import annotations

import pytest

from actors.runtime import ExitReason
from supervisor import ChildSpec, RestartChild, StartChild, StartTemplated
from supervisor.spec import must_restart
from tests.supervision.support import Lab, Worker

HOW = ["normal", "shutdown", "abnormal", "kill"]


@pytest.mark.parametrize("how", HOW)
def test_a_permanent_child_is_always_restarted(lab: Lab, how: str):
    lab.supervise(lab.spec("child1"))
    first = lab.child("child1")
    lab.end("child1", how)
    assert lab.child("child1") is not first
    assert lab.counts() == [1, 1, 0, 1]


@pytest.mark.parametrize("how", ["normal", "shutdown"])
def test_a_transient_child_that_ends_in_order_stays_stopped_and_can_be_started_again(lab: Lab, how: str):
    lab.supervise(lab.spec("child1", restart="transient"))
    lab.end("child1", how)
    assert lab.state("child1") == "stopped"
    assert lab.counts() == [1, 0, 0, 1]
    assert lab.ask(RestartChild, child_id="child1") is not None


@pytest.mark.parametrize("how", ["abnormal", "kill"])
def test_a_transient_child_that_dies_is_restarted(lab: Lab, how: str):
    lab.supervise(lab.spec("child1", restart="transient"))
    lab.end("child1", how)
    assert lab.counts() == [1, 1, 0, 1]
    assert lab.who("start") == ["child1", "child1"]


@pytest.mark.parametrize("how", HOW)
def test_a_temporary_child_is_never_restarted_and_its_spec_is_forgotten(lab: Lab, how: str):
    lab.supervise(lab.spec("child1", restart="temporary"))
    lab.end("child1", how)
    assert lab.counts() == [0, 0, 0, 0]
    assert lab.ask(StartChild, spec=lab.spec("child1", restart="temporary")) is not None


@pytest.mark.parametrize("how", HOW)
def test_a_temporary_dynamic_child_is_forgotten_however_it_ends(lab: Lab, how: str):
    lab.supervise_dynamic()
    lab.ask(StartChild, spec=lab.spec("a", restart="temporary"))
    lab.end("a", how)
    assert lab.counts() == [0, 0, 0, 0]


def test_a_temporary_child_whose_adopted_start_fails_is_forgotten_too(lab: Lab):
    lab.refuse_start("a", *[OSError("full")] * 9)
    sup = lab.supervise_dynamic(template=ChildSpec("t", lambda name: Worker(lab, name), restart="temporary"))
    sup.adopt("a")
    lab.run()
    assert lab.who("start") == ["a"]
    assert lab.counts() == [0, 0, 0, 0]


def test_a_child_that_ended_in_order_leaves_no_restart_on_the_record(lab: Lab):
    lab.supervise(lab.spec("a", restart="transient"))
    lab.end("a", "normal")
    assert lab.sup.table.restarts == 0
    assert lab.sup.table.troubled == {}


@pytest.mark.parametrize("reason", ExitReason)
def test_the_table_knows_every_reason_to_end(reason: ExitReason):
    abnormal = reason not in (ExitReason.NORMAL, ExitReason.SHUTDOWN)
    assert must_restart("permanent", reason)
    assert must_restart("transient", reason) is abnormal
    assert not must_restart("temporary", reason)


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_temporary_bystander_of_a_group_restart_is_not_restarted(lab: Lab, strategy: str):
    lab.supervise(lab.spec("child1"), lab.spec("child2", restart="temporary"), strategy=strategy)
    lab.end("child1", "normal")
    assert lab.exit is None
    assert lab.names() == ["child1"]
    assert lab.who("stop") == ["child1", "child2"]


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
def test_what_would_start_a_temporary_child_again_is_not_kept(lab: Lab, strategy: str):
    lab.supervise(strategy=strategy)
    for restart in ("permanent", "transient", "temporary"):
        lab.ask(StartChild, spec=lab.spec(restart, restart=restart))
    kept = {name: child.spec.start for name, child in lab.sup.table.children.items()}
    assert kept["permanent"].__closure__ is not None
    assert kept["transient"].__closure__ is not None
    assert kept["temporary"].__closure__ is None


def test_the_arguments_of_a_temporary_dynamic_child_are_not_kept(lab: Lab):
    large = ["potentially large"] * 10
    for restart, kept in (("permanent", True), ("transient", True), ("temporary", False)):
        own = Lab()
        template = ChildSpec("w", lambda name, _, own=own: Worker(own, name), restart=restart)
        own.supervise_dynamic(template=template)
        own.ask(StartTemplated, child_id="a", args=(large,))
        assert (own.sup.table.children["a"].args == (large,)) is kept
