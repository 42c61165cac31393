"""Whoever keeps a history is told of each crash, wherever in the tree it happens."""

from __future__ import annotations

import pytest

from supervisor import ChildSpec, DynamicSupervisor, StartTemplated, Supervisor
from tests.supervision.support import BoomError, Lab, Shot, Worker


@pytest.fixture
def told() -> list:
    return []


def roles(told):
    return [(crash.path, crash.role, crash.error.type) for crash in told]


def test_a_crash_is_told_with_its_path_and_its_error(lab: Lab, told):
    lab.supervise(lab.spec("a"), lab.spec("b"), on_crash=told.append)
    lab.child("a").tell(Shot())
    lab.run()
    assert roles(told) == [("top/a", "top/a", "BoomError")]
    assert "BoomError" in told[0].error.traceback


def test_those_below_inherit_whom_to_tell_and_children_that_are_alike_have_one_role(lab: Lab, told):
    settings = lab.settings({"template": ChildSpec("d", lambda name: Worker(lab, name)), "per_child": True})

    def build():
        sup = DynamicSupervisor(**settings)
        sup.actor_ref.tell(StartTemplated(child_id="d1"))
        return sup

    group = Supervisor(**lab.settings({"children": [ChildSpec("devices", build)]}))
    lab.supervise(ChildSpec("group", lambda: group), on_crash=told.append)
    devices = group.table.children["devices"].ref._actor_weakref()
    lab.child("d1", devices).tell(Shot())
    lab.run()
    assert roles(told) == [("top/group/devices/d1", "top/group/devices/*", "BoomError")]


def test_a_start_that_fails_and_a_supervisor_that_gives_up_are_crashes_too(lab: Lab, told):
    inner = lab.settings({"children": [lab.spec("a")]})
    lab.supervise(ChildSpec("inner", lambda: Supervisor(**inner)), on_crash=told.append)
    lab.refuse_start("a", BoomError("one"), BoomError("two"))
    lab.child("a", lab.sup.table.children["inner"].ref._actor_weakref()).tell(Shot())
    lab.run()
    paths = [path for path, _, _ in roles(told)]
    assert paths == ["top/inner/a", "top/inner/a", "top/inner/a", "top/inner"]
    assert told[-1].error.type == "RestartIntensityExceeded"


def test_an_orderly_end_is_no_crash(lab: Lab, told):
    lab.supervise(lab.spec("a"), on_crash=told.append)
    lab.child("a").tell("end")
    lab.run()
    assert lab.sup.table.children["a"].trouble.restarts == 1
    assert told == []


def test_a_listener_that_fails_harms_nobody(lab: Lab):
    lab.supervise(lab.spec("a"), on_crash=lambda _crash: 1 / 0)
    lab.child("a").tell(Shot())
    lab.run()
    assert lab.child("a").is_alive()


def test_what_an_exception_says_can_be_written_down_whatever_it_says(lab: Lab, told):
    """Names of files that are no UTF-8 are texts with halves of characters, which no JSON takes."""
    lab.refuse_start("a", BoomError("no file b\udcff"))
    lab.supervise(lab.spec("a"), on_crash=told.append)
    lab.run()
    (crash,) = told
    assert crash.error.message == "no file b\\udcff"
    crash.error.traceback.encode()
