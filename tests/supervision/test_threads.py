"""The essentials on the real runtime, with real threads and real time."""

from __future__ import annotations

import ctypes
import logging
import threading

import pykka
import pytest

from actors.runtime import ExitReason, PooledActor, Runtime, ThreadedActor, WouldBlockError
from supervisor import (
    BackoffPolicy,
    ChildNotFoundError,
    ChildSpec,
    ChildStartError,
    DynamicSupervisor,
    Intensity,
    Root,
    Supervisor,
    count_children,
    delete_child,
    describe,
    get_spec,
    quarantine,
    restart,
    restart_child,
    resume,
    start_child,
    terminate_child,
    which_children,
)
from tests.support.wait import eventually

QUICK = BackoffPolicy(base=0.01, cap=0.05)
PATIENT = Intensity(restarts=50, within=60.0)


class Threaded(ThreadedActor):
    """Can be killed, can hang, and can be cut off from what it hangs in."""

    def __init__(self, seen: list, *, severable: bool = True) -> None:
        super().__init__()
        self.seen = seen
        self.severable = severable
        self.released = threading.Event()
        self.thread: threading.Thread | None = None

    def on_start(self) -> None:
        self.thread = threading.current_thread()

    def sever(self) -> None:
        self.seen.append("severed")
        if self.severable:
            self.released.set()

    def on_receive(self, message):
        if message == "hang" and "hang" not in self.seen:
            self.seen.append("hang")
            self.released.wait(30)
        elif message == "thread":
            return self.thread
        elif message == "spin":
            while True:
                self.released.wait(0.001)
        else:
            self.seen.append(message)
        return message


class Pooled(PooledActor):
    def on_receive(self, message):
        if message == "die":
            raise ValueError("told to")
        if isinstance(message, threading.Event):
            message.wait(30)
        return message


def tree(runtime: Runtime, *children: ChildSpec, **settings) -> Root:
    settings = {"backoff": QUICK, "intensity": PATIENT} | settings
    root = Root(runtime, Supervisor(runtime=runtime, name="top", children=children, **settings))
    root.wait_ready(timeout=5)
    return root


def state(root: Root, path: str) -> str:
    return describe(root.ref, path)["state"]


def child(root: Root, name: str):
    return {info.id: info.ref for info in which_children(root.ref)}[name]


def test_the_blocking_functions_from_another_thread(runtime: Runtime):
    root = tree(runtime)
    ref = start_child(root.ref, ChildSpec("a", Pooled))
    assert ref.ask("echo", timeout=5) == "echo"
    assert get_spec(root.ref, "a").id == "a"
    assert count_children(root.ref) == (1, 1, 0, 1)
    restart(root.ref, "top/a")
    assert child(root, "a") is not ref
    quarantine(root.ref, "top/a")
    assert state(root, "top/a") == "quarantined"
    resume(root.ref, "top/a")
    assert state(root, "top/a") == "running"
    terminate_child(root.ref, "a")
    assert restart_child(root.ref, "a") is not None
    terminate_child(root.ref, "a")
    delete_child(root.ref, "a")
    assert which_children(root.ref) == []
    with pytest.raises(ChildNotFoundError):
        restart(root.ref, "top/a")
    with pytest.raises(ChildStartError):
        start_child(root.ref, ChildSpec("b", lambda: 1 / 0))
    assert root.stop(timeout=5).reason is ExitReason.SHUTDOWN
    with pytest.raises(pykka.ActorDeadError):
        which_children(root.ref)


def test_dynamic_children_by_the_blocking_functions(runtime: Runtime):
    template = ChildSpec("w", lambda name: Pooled())
    root = Root(runtime, DynamicSupervisor(runtime=runtime, name="top", template=template))
    root.wait_ready(timeout=5)
    assert start_child(root.ref, "one").ask(1, timeout=5) == 1
    assert describe(root.ref, "top/one")["state"] == "running"
    assert root.stop(timeout=5).reason is ExitReason.SHUTDOWN


def test_a_supervisor_that_is_asked_by_a_pooled_actor_refuses_to_block_the_dispatcher(runtime: Runtime):
    class Rude(PooledActor):
        def on_receive(self, message):
            return which_children(message)

    root = tree(runtime, ChildSpec("rude", Rude))
    with pytest.raises(WouldBlockError):
        child(root, "rude").ask(root.ref, timeout=5)
    root.stop(timeout=5)


def test_a_request_that_is_not_answered_in_time_says_so(runtime: Runtime):
    class Slow(PooledActor):
        defer_ready = True

    root = tree(runtime)
    with pytest.raises(pykka.Timeout):
        start_child(root.ref, ChildSpec("slow", Slow), timeout=0.05)
    root.stop(timeout=5)


def test_a_pooled_child_that_crashes_is_healed_within_its_back_off(runtime: Runtime):
    root = tree(runtime, ChildSpec("a", Pooled), ChildSpec("b", Pooled))
    other = child(root, "b")
    child(root, "a").tell("die")
    eventually(lambda: describe(root.ref, "top/a")["restarts"] >= 2 and state(root, "top/a") == "running")
    assert describe(root.ref, "top/a")["last_exception"]["type"] == "ValueError"
    assert child(root, "b") is other
    root.stop(timeout=5)


def test_a_thread_that_is_killed_is_replaced(runtime: Runtime):
    seen: list = []
    root = tree(runtime, ChildSpec("a", lambda: Threaded(seen)))
    ref = child(root, "a")
    thread = ref.ask("thread", timeout=5)
    ref.tell("spin")
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemError))
    eventually(lambda: not thread.is_alive(), what="the thread is dead")
    eventually(lambda: state(root, "top/a") in ("running", "restarting", "backing_off"))
    eventually(lambda: child(root, "a") not in (None, ref), what="a new incarnation")
    assert describe(root.ref, "top/a")["last_exception"]["type"] == "SystemError"
    root.stop(timeout=5)


def test_a_thread_that_hangs_is_severed_and_replaced_and_keeps_its_mail(runtime: Runtime):
    seen: list = []
    root = tree(runtime, ChildSpec("a", lambda: Threaded(seen), hang_after=0.2))
    ref = child(root, "a")
    ref.tell("hang")
    ref.tell("behind")
    eventually(lambda: "behind" in seen, what="the next incarnation handled what waited")
    assert seen[:2] == ["hang", "severed"]
    assert describe(root.ref, "top/a")["last_exception"]["reason"] == "hung"
    assert describe(root.ref, "top/a")["restarts"] == 1
    root.stop(timeout=5)


def test_a_thread_that_never_comes_back_does_not_keep_the_tree_from_stopping(runtime: Runtime, caplog):
    seen: list = []
    root = tree(runtime, ChildSpec("a", lambda: Threaded(seen, severable=False), shutdown=0.2))
    ref = child(root, "a")
    actor = ref._actor_weakref()
    ref.tell("hang")
    eventually(lambda: "hang" in seen)
    with caplog.at_level(logging.WARNING):
        assert root.stop(timeout=5).reason is ExitReason.SHUTDOWN
    assert "did not stop in its time" in caplog.text
    actor.released.set()


def test_a_thread_that_hangs_in_on_start_is_killed_after_its_start_timeout(runtime: Runtime):
    free, tries = threading.Event(), []

    class Hanging(ThreadedActor):
        def on_start(self):
            tries.append(1)
            if len(tries) == 1:
                free.wait(30)

    root = tree(runtime)
    with pytest.raises(ChildStartError, match="not ready within"):
        start_child(root.ref, ChildSpec("a", Hanging, start_timeout=0.1))
    assert start_child(root.ref, ChildSpec("a", Hanging, start_timeout=5.0)) is not None
    free.set()
    root.stop(timeout=5)


def test_a_pooled_child_that_hangs_is_quarantined_and_the_others_go_on(runtime: Runtime):
    free = threading.Event()
    root = tree(runtime, ChildSpec("a", Pooled, hang_after=0.2), ChildSpec("b", Pooled))
    child(root, "a").tell(free)
    eventually(lambda: state(root, "top/a") == "quarantined", what="the hung child is parked")
    assert child(root, "b").ask("alive", timeout=5) == "alive"
    assert describe(root.ref, "top/a")["last_exception"]["reason"] == "hung"
    resume(root.ref, "top/a")
    assert child(root, "a").ask("back", timeout=5) == "back"
    free.set()
    root.stop(timeout=5)


def test_a_tree_that_cannot_start_raises_in_the_thread_that_waits(runtime: Runtime):
    root = Root(runtime, Supervisor(runtime=runtime, children=[ChildSpec("a", lambda: 1 / 0)]))
    with pytest.raises(Exception, match="division by zero"):
        root.wait_ready(timeout=5)


def test_a_storm_of_crashes_is_survived(runtime: Runtime):
    template = ChildSpec("w", lambda name: Pooled(), backoff=BackoffPolicy(base=0.0))
    root = Root(runtime, DynamicSupervisor(runtime=runtime, name="top", template=template, per_child=True))
    root.wait_ready(timeout=5)
    refs = [start_child(root.ref, f"d{number}") for number in range(200)]
    for ref in refs:
        ref.tell("die")
    eventually(lambda: describe(root.ref)["dead_mail"] == 200, what="each message has ended")
    eventually(lambda: describe(root.ref)["counts"] == {"running": 200}, what="all are back")
    assert describe(root.ref)["breakers"][0]["type"] == "ValueError"
    root.stop(timeout=10)
