"""The state of a tree as data, by path, from any thread; and the tree as a whole from outside."""

from __future__ import annotations

import json

import pytest

from actors.runtime import Exit, ExitReason, PooledActor, ThreadedActor
from supervisor import (
    BackoffPolicy,
    ChildNotFoundError,
    ChildSpec,
    DynamicSupervisor,
    Intensity,
    QuarantineChild,
    StartChild,
    StartTemplated,
    Supervisor,
    TerminateChild,
    TreeView,
    describe,
)
from tests.supervision.support import BoomError, Lab, Shot, Worker

SLOW = BackoffPolicy(base=1.0)


@pytest.fixture
def tree(lab: Lab) -> Lab:
    """server / links / local.control, local.data; server / devices / 300 of them."""
    links = lab.settings({"children": [lab.spec("local.control"), lab.spec("local.data")], "backoff": SLOW})
    devices = lab.settings({"template": ChildSpec("d", lambda name: Worker(lab, name)), "per_child": True})

    def build_devices():
        sup = DynamicSupervisor(**devices)
        for number in range(300):
            sup.actor_ref.tell(StartTemplated(child_id=f"d{number}"))
        return sup

    lab.supervise(ChildSpec("links", lambda: Supervisor(**links)), ChildSpec("devices", build_devices), name="server")
    return lab


def find(status: dict, *ids: str) -> dict:
    for child_id in ids:
        (status,) = [child for child in status["children"] if child["id"] == child_id]
    return status


def sub(tree: Lab, name: str):
    return tree.sup.table.children[name].ref._actor_weakref()


def test_the_tree_is_described_from_top_to_bottom(tree: Lab):
    status = describe(tree.root.ref)
    assert (status["id"], status["path"], status["kind"], status["state"]) == (
        "server",
        "server",
        "supervisor",
        "running",
    )
    control = find(status, "links", "local.control")
    assert control == {
        "id": "local.control",
        "path": "server/links/local.control",
        "kind": "worker",
        "state": "running",
        "restart": "permanent",
        "restarts": 0,
        "incarnation": control["incarnation"],
        "next_restart_in": None,
        "last_exception": None,
        "mailbox": {"depth": 0, "oldest_age": 0.0, "stashed": 0},
    }
    assert json.loads(json.dumps(status)) == status


def test_a_crash_can_be_seen_with_its_exception_and_the_time_to_the_restart(tree: Lab):
    tree.child("local.data", sub(tree, "links")).tell(Shot())
    tree.run()
    data = find(describe(tree.root.ref), "links", "local.data")
    assert data["state"] == "backing_off"
    assert data["next_restart_in"] == pytest.approx(0.999)
    error = data["last_exception"]
    assert (error["reason"], error["type"], error["message"]) == ("crashed", "BoomError", "shot")
    assert "Traceback" in error["traceback"]
    assert error["where"].split(":")[0].endswith("support.py")
    assert error["when"] == tree.runtime.clock.time()
    tree.advance(1.0)
    data = find(describe(tree.root.ref), "links", "local.data")
    assert (data["state"], data["restarts"], data["next_restart_in"]) == ("running", 1, None)
    assert data["last_exception"] == error


def test_waiting_messages_are_counted_and_aged(tree: Lab):
    ref = tree.child("local.data", sub(tree, "links"))
    ref.tell("one")
    ref.tell("two")
    tree.runtime.clock.advance(3.0)
    mailbox = find(describe(tree.root.ref), "links", "local.data")["mailbox"]
    assert (mailbox["depth"], mailbox["oldest_age"]) == (2, 3.0)


def test_of_many_children_only_those_in_trouble_are_listed(tree: Lab):
    tree.child("d7", sub(tree, "devices")).tell(Shot())
    tree.run()
    devices = find(describe(tree.root.ref), "devices")
    assert devices["total"] == 300
    assert devices["counts"] == {"running": 300}
    assert [child["id"] for child in devices["children"]] == ["d7"]
    assert describe(tree.root.ref, "server/devices/d8")["state"] == "running"


def test_a_list_of_troubles_has_an_end(tree: Lab):
    for number in range(250):
        tree.child(f"d{number}", sub(tree, "devices")).tell(Shot())
    tree.run()
    listed = find(describe(tree.root.ref), "devices")["children"]
    assert len(listed) == 200
    assert "d249" in {child["id"] for child in listed}


@pytest.mark.parametrize(
    "path", ["", "serv", "server/", "server/x", "server/links/x", "server/links/local.data/x", "other/links", "/"]
)
def test_a_path_where_nothing_is_is_refused(tree: Lab, path: str):
    with pytest.raises(ChildNotFoundError):
        describe(tree.root.ref, path)


def test_the_path_of_the_root_is_the_whole(tree: Lab):
    assert describe(tree.root.ref, "server") == describe(tree.root.ref)


def test_a_ref_that_is_no_supervisor_cannot_be_described(tree: Lab):
    with pytest.raises(ChildNotFoundError):
        describe(tree.child("local.data", sub(tree, "links")))


def test_each_state_has_its_word(lab: Lab):
    lab.supervise(
        lab.spec("a"), lab.spec("b", late=True), lab.spec("z", stubborn=True), backoff=SLOW, intensity=Intensity(9, 9)
    )

    def states() -> dict[str, str]:
        return {child["id"]: child["state"] for child in describe(lab.root.ref)["children"]}

    assert states() == {"a": "running", "b": "starting", "z": "starting"}
    lab.child("b").tell("ready")
    lab.run()
    lab.crash("b")
    assert states() == {"a": "running", "b": "backing_off", "z": "running"}
    lab.advance(1.0)
    assert states()["b"] == "restarting"
    lab.ask(QuarantineChild, child_id="a")
    assert states()["a"] == "quarantined"
    lab.ask(TerminateChild, child_id="b")
    assert states()["b"] == "stopped"
    lab.begin(TerminateChild, child_id="z")
    lab.run()
    assert states()["z"] == "stopping"
    lab.advance(6)
    assert lab.stop()
    assert describe(lab.root.ref)["state"] == "stopped"


def test_a_bystander_that_is_being_taken_down_to_come_up_again_is_restarting(lab: Lab):
    lab.supervise(lab.spec("a"), lab.spec("z", stubborn=True), strategy="one_for_all")
    lab.crash("a")
    assert find(describe(lab.root.ref), "z")["state"] == "restarting"


def test_a_message_that_takes_too_long_shows_before_anybody_acts(lab: Lab):
    class Slow(PooledActor):
        def on_receive(self, message):
            lab.runtime.clock.advance(3.0)
            lab.note(find(describe(lab.root.ref), "slow")["state"], "slow")

    lab.supervise(ChildSpec("slow", Slow, hang_after=2.0))
    lab.child("slow").tell("go")
    lab.run()
    assert lab.who("hung") == ["slow"]


def test_totals_add_up_over_the_tree(tree: Lab):
    tree.child("d7", sub(tree, "devices")).tell(Shot())
    tree.ask(QuarantineChild, of=sub(tree, "links"), child_id="local.data")
    sub(tree, "links").actor_ref.tell("garbage")
    tree.run()
    assert TreeView(tree.root.ref).totals() == {
        "alive": 2 + 1 + 300,
        "restarts": 1,
        "quarantined": 1,
        "dead_mail": 0,
        "garbage": 1,
    }


def test_a_later_incarnation_has_a_greater_number(lab: Lab):
    lab.supervise(lab.spec("a"), lab.spec("b"))
    numbers = [find(describe(lab.root.ref), name)["incarnation"] for name in "ab"]
    lab.crash("a")
    assert find(describe(lab.root.ref), "a")["incarnation"] > max(numbers)


# The tree from outside


def test_whoever_waits_for_a_tree_that_cannot_start_learns_why(lab: Lab):
    lab.refuse_start("a", BoomError("no disk"))
    lab.supervise(lab.spec("a"))
    with pytest.raises(Exception, match="no disk"):
        lab.root.wait_ready(timeout=0)


def test_whoever_waits_for_a_tree_that_takes_too_long_learns_that(lab: Lab):
    lab.supervise(lab.spec("a", late=True))
    with pytest.raises(TimeoutError):
        lab.root.wait_ready(timeout=0)
    lab.child("a").tell("ready")
    lab.run()
    assert lab.root.wait_ready(timeout=0) is lab.root.ref


def test_a_tree_that_does_not_stop_in_time_is_killed_with_all_that_is_in_it(lab: Lab):
    lab.supervise(lab.spec("a", stubborn=True, shutdown="infinity"))
    ref = lab.child("a")
    ended = lab.root.stop(timeout=0)
    assert ended.reason is ExitReason.KILLED
    assert not ref.is_alive()


def test_an_end_is_told_to_whoever_asked_for_it(lab: Lab):
    from supervisor import Root

    told: list[Exit] = []
    root = Root(lab.runtime, Supervisor(**lab.settings({"children": [lab.spec("a")]})), on_exit=told.append)
    lab.run()
    lab.runtime.shutdown(root.ref)
    lab.run()
    assert [message.reason for message in told] == [ExitReason.SHUTDOWN]
    assert root.wait_exit(0) is told[0]
    assert not root.ready


def test_a_supervisor_that_fails_by_itself_leaves_no_orphans(lab: Lab):
    class Faulty(Supervisor):
        def on_unknown(self, name, message):
            raise BoomError("hooks are guarded")

        def on_receive(self, message):
            if message == "bug":
                raise BoomError("a bug in a subclass")
            return super().on_receive(message)

    lab.launch(Faulty(**lab.settings({"children": [lab.spec("a")]})))
    ref = lab.child("a")
    lab.sup.actor_ref.tell("bug")
    lab.run()
    assert lab.exit.reason is ExitReason.CRASHED
    assert not ref.is_alive()


def test_a_stock_pykka_actor_can_be_a_child(lab: Lab):
    import pykka

    from tests.support.wait import eventually

    class Stock(pykka.ThreadingActor):
        use_daemon_thread = True

    lab.supervise()
    future = lab.begin(StartChild, spec=ChildSpec("stock", Stock))
    eventually(lambda: (lab.run(), "stock" in lab.running())[1], what="the actor is ready")
    assert future.get(timeout=0) is lab.child("stock")
    assert find(describe(lab.root.ref), "stock")["mailbox"]["depth"] == 0
    lab.runtime.shutdown(lab.root.ref)
    eventually(lambda: (lab.run(), lab.exit)[1], what="the tree has stopped")


def test_a_stock_pykka_actor_that_does_not_stop_is_abandoned(lab: Lab):
    import threading

    import pykka

    from tests.support.wait import eventually

    free = threading.Event()

    class Stuck(pykka.ThreadingActor):
        use_daemon_thread = True

        def on_receive(self, message):
            free.wait(30)

    lab.supervise(ChildSpec("stuck", Stuck, shutdown=1.0))
    eventually(lambda: (lab.run(), lab.running() == ["stuck"])[1], what="the actor is ready")
    lab.child("stuck").tell("hang")
    lab.runtime.shutdown(lab.root.ref)
    lab.advance(1.1)
    assert lab.exit is not None
    free.set()


def test_threaded_actors_are_children_like_any_other(lab: Lab):
    from tests.support.wait import eventually

    class Own(ThreadedActor):
        pass

    lab.supervise(ChildSpec("own", Own))
    eventually(lambda: (lab.run(), lab.running() == ["own"])[1], what="the actor is ready")
    lab.runtime.kill(lab.child("own"))
    lab.run()
    eventually(lambda: (lab.run(), lab.running() == ["own"])[1], what="the actor is back")
    lab.runtime.shutdown(lab.root.ref)
    eventually(lambda: (lab.run(), lab.exit)[1], what="the tree has stopped")
