"""Drawn histories: whatever happens in whatever order, a supervisor ends where it should."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

from actors.runtime import ExitReason
from supervisor import (
    BackoffPolicy,
    BounceChild,
    ChildSpec,
    DeleteChild,
    Intensity,
    QuarantineChild,
    RestartChild,
    ResumeChild,
    StartChild,
    SupervisionError,
    Supervisor,
    TerminateChild,
)
from supervisor.child import State
from tests.supervision.support import BoomError, Lab, Shot

REQUESTS = [TerminateChild, RestartChild, BounceChild, QuarantineChild, ResumeChild, DeleteChild]
NAMES = ["a", "b", "c", "d"]


class Story:
    """One drawn history of one supervisor."""

    def __init__(self, seed: int, strategy: str) -> None:
        self.rng = random.Random(seed)
        self.lab = Lab(seed=seed)
        self.futures = []
        nested = self.lab.settings({"children": [self.lab.spec("x"), self.lab.spec("y", stubborn=True, shutdown=1.0)]})
        children = [
            self.lab.spec("a", restart=self.rng.choice(["permanent", "transient", "temporary"])),
            self.lab.spec("b", late=True, start_timeout=3.0),
            self.lab.spec("c", stubborn=True, shutdown=self.rng.choice([0.5, "brutal"])),
            ChildSpec("d", lambda: Supervisor(**nested)),
        ]
        self.rng.shuffle(children)
        self.lab.supervise(
            *children,
            strategy=strategy,
            intensity=Intensity(self.rng.choice([3, 1000]), 60.0),
            backoff=BackoffPolicy(self.rng.choice([0.0, 1.0])),
            rng=self.rng.random,
        )

    def step(self) -> None:
        """Do one thing and let a drawn number of turns pass."""
        if self.lab.exit is not None:
            return
        name = self.rng.choice(NAMES)
        child = self.lab.sup.table.children.get(name)
        ref = child.ref if child is not None else None
        match self.rng.randrange(8):
            case 0 | 1 if ref is not None and ref.is_alive():
                ref.tell(self.rng.choice([Shot(), "boom", "end", "ready", "hello"]))
            case 2 if ref is not None:
                self.lab.runtime.kill(ref)
            case 3 if ref is not None:
                self.lab.runtime.shutdown(ref)
            case 4:
                self.lab.refuse_start(name, *(BoomError("drawn") for _ in range(self.rng.randrange(3))))
            case 5:
                self.futures.append(self.lab.begin(self.rng.choice(REQUESTS), child_id=name))
            case 6:
                spec = self.lab.spec(name, late=self.rng.random() < 0.3)
                self.futures.append(self.lab.begin(StartChild, spec=spec))
            case _:
                self.lab.runtime.clock.advance(self.rng.random() * 2)
                self.lab.runtime.timers.fire_due()
        for _ in range(self.rng.randrange(6)):
            self.lab.runtime.dispatcher.step()

    def check(self) -> None:
        """What must hold at every moment."""
        table = self.lab.sup.table
        for state in State:
            assert table.counts[state] == sum(child.state is state for child in table.children.values())
        for child in table.children.values():
            assert (child.ref is None) or child.state in (State.STARTING, State.RUNNING, State.STOPPING)

    def settle(self) -> None:
        """Let everything come to rest."""
        for _ in range(60):
            for child in tuple(self.lab.sup.table.children.values()):
                if child.id == "b" and child.ref is not None and child.ref.is_alive():
                    child.ref.tell("ready")
            self.lab.advance(5.0)


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
@pytest.mark.parametrize("seed", range(60))
def test_after_any_history_everything_comes_to_rest_and_stops(seed: int, strategy: str):
    story = Story(seed, strategy)
    for _ in range(80):
        story.step()
        story.check()
    story.settle()
    story.check()
    lab = story.lab
    if lab.exit is None:
        resting = {child.id: child.state for child in lab.sup.table.children.values()}
        late = {name for name in resting if resting[name] is State.STARTING}
        assert set(resting.values()) <= {State.RUNNING, State.STOPPED, State.QUARANTINED, State.STARTING}, resting
        assert len(late) <= 1, resting
        lab.runtime.shutdown(lab.root.ref)
        lab.advance(60.0)
    assert lab.exit is not None
    assert lab.exit.reason in (ExitReason.SHUTDOWN, ExitReason.CRASHED)
    assert lab.sup.table.alive == 0
    for future in story.futures:
        with suppress(SupervisionError):
            future.get(timeout=0)  # a request that was never answered raises `pykka.Timeout`


@pytest.mark.parametrize("seed", range(20))
def test_no_message_is_lost_whatever_the_child_dies_of(seed: int):
    rng = random.Random(seed)
    lab = Lab(seed=seed)
    lab.supervise(lab.spec("a"), intensity=Intensity(10_000, 60.0), backoff=BackoffPolicy(rng.choice([0.0, 0.1])))
    sent = 0
    for number in range(300):
        child = lab.sup.table.children["a"]
        if child.ref is not None and child.ref.is_alive():
            child.ref.tell(number)
            sent += 1
            if rng.random() < 0.1:
                child.ref.tell(rng.choice([Shot(), "boom"]))
            if rng.random() < 0.1:
                lab.runtime.kill(child.ref)
        for _ in range(rng.randrange(3)):
            lab.runtime.dispatcher.step()
        if rng.random() < 0.2:
            lab.advance(rng.random())
    lab.advance(60)
    numbers = [what for what, _ in lab.diary if isinstance(what, int)]
    assert len(numbers) == sent
    assert numbers == sorted(numbers)
    assert {mail.message for mail in lab.dead} <= {"boom"}
