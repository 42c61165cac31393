"""A laboratory for supervisors: virtual time, children that do as they are told, and a diary of what happened."""

from __future__ import annotations

from collections import deque
from typing import Any

from pykka import ActorRef

from actors.runtime import Exit, ExitReason, GuardedFuture, PooledActor, Runtime
from supervisor import (
    BackoffPolicy,
    ChildSpec,
    CountChildren,
    DynamicSupervisor,
    Intensity,
    Root,
    Supervisor,
    WhichChildren,
)

AT_ONCE = BackoffPolicy(base=0.0)
OTP = Intensity(restarts=2, within=3600.0)
"""What most of OTP's cases use."""


class BoomError(Exception):
    """What a child dies of when it is told to."""


class OtherBoomError(Exception):
    """Something else to die of."""


class Shot:
    """A message that kills whoever handles it first, and nobody after."""

    spent = False


class Worker(PooledActor):
    """Writes down what happens to it; dies, stops or hangs on as it is told."""

    def __init__(self, lab: Lab, name: str, *, stubborn: bool = False) -> None:
        super().__init__()
        self.lab = lab
        self.name = name
        self.stubborn = stubborn

    def on_start(self) -> None:
        self.lab.note("start", self.name)
        orders = self.lab.on_start.get(self.name)
        order = orders.popleft() if orders else None
        if isinstance(order, Exception):
            raise order

    def on_stop(self) -> None:
        self.lab.note("stop", self.name)
        if self.name in self.lab.fail_on_stop:
            raise BoomError("on_stop")

    def _stop(self) -> None:
        # One that does not stop when asked; only a kill ends it.
        if not self.stubborn:
            super()._stop()

    def on_receive(self, message: Any) -> Any:
        self.lab.note(message, self.name)
        if isinstance(message, Shot) and not message.spent:
            message.spent = True
            raise BoomError("shot")
        if message == "boom":
            raise BoomError("told to")
        if message == "other":
            raise OtherBoomError("told to")
        if message == "end":
            self.stop()
        return message


class Late(Worker):
    """Is ready only when it is told."""

    defer_ready = True

    def on_receive(self, message: Any) -> Any:
        if message == "ready":
            self.ready()
        return super().on_receive(message)


class Lab:
    """One manual runtime with one tree on it."""

    def __init__(self, *, seed: int | None = None) -> None:
        self.runtime = Runtime.manual(seed=seed)
        self.diary: list[tuple[Any, str]] = []
        self.on_start: dict[str, deque[Exception | None]] = {}
        self.fail_on_stop: set[str] = set()
        self.dead: list[Any] = []
        self.root: Root
        self.sup: Any = None

    def note(self, what: Any, who: str) -> None:
        self.diary.append((what, who))

    def forget(self) -> None:
        self.diary.clear()

    def who(self, what: Any) -> list[str]:
        """Return to whom `what` happened, in order."""
        return [name for thing, name in self.diary if thing == what]

    def refuse_start(self, name: str, *orders: Exception | None) -> None:
        """Make the next starts of a child fail (an exception) or work (None), in this order."""
        self.on_start[name] = deque(orders)

    def spec(self, name: str, *, late: bool = False, stubborn: bool = False, **settings: Any) -> ChildSpec:
        kind = Late if late else Worker
        return ChildSpec(name, lambda: kind(self, name, stubborn=stubborn), **settings)

    def supervise(self, *children: ChildSpec, **settings: Any) -> Any:
        """Start a `Supervisor` at the top and run until nothing moves."""
        return self.launch(Supervisor(children=children, **self.settings(settings)))

    def supervise_dynamic(self, **settings: Any) -> Any:
        """Start a `DynamicSupervisor` at the top and run until nothing moves."""
        return self.launch(self.dynamic(**settings))

    def dynamic(self, **settings: Any) -> DynamicSupervisor:
        template = settings.pop("template", ChildSpec("worker", lambda name: Worker(self, name)))
        return DynamicSupervisor(template=template, **self.settings(settings))

    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        defaults = {
            "runtime": self.runtime,
            "name": "top",
            "backoff": AT_ONCE,
            "intensity": OTP,
            "on_dead_letter": self.dead.append,
            "rng": lambda: 0.999,
        }
        return defaults | settings

    def launch(self, supervisor: Any) -> Any:
        self.sup = supervisor
        self.root = Root(self.runtime, supervisor)
        self.run()
        return supervisor

    def run(self) -> None:
        self.runtime.run()

    def advance(self, seconds: float) -> None:
        self.runtime.advance(seconds)

    # Asking

    def begin(self, kind: Any, *, of: Any = None, **fields: Any) -> GuardedFuture[Any]:
        """Send a request without letting anything run yet."""
        future: GuardedFuture[Any] = GuardedFuture()
        (of or self.sup).actor_ref.tell(kind(reply_to=future, **fields))
        return future

    def ask(self, kind: Any, *, of: Any = None, **fields: Any) -> Any:
        """Send a request, run until nothing moves, return the answer or raise the refusal."""
        future = self.begin(kind, of=of, **fields)
        self.run()
        return future.get(timeout=0)

    def child(self, name: str, of: Any = None) -> ActorRef[Any]:
        ref = (of or self.sup).table.children[name].ref
        assert ref is not None, f"{name} does not run"
        return ref

    def state(self, name: str, of: Any = None) -> str:
        return (of or self.sup).table.children[name].state.value

    def counts(self, of: Any = None) -> list[int]:
        """Return specs, active, supervisors, workers."""
        return list(self.ask(CountChildren, of=of))

    def names(self, of: Any = None) -> list[str]:
        return [child.id for child in self.ask(WhichChildren, of=of)]

    def running(self, of: Any = None) -> list[str]:
        return [child.id for child in self.ask(WhichChildren, of=of) if child.state == "running"]

    def end(self, name: str, how: str, of: Any = None) -> None:
        """End a child: `normal`, `shutdown`, `abnormal` (an exception) or `kill`; run until nothing moves."""
        ref = self.child(name, of)
        if how == "normal":
            ref.tell("end")
        elif how == "shutdown":
            self.runtime.shutdown(ref)
        elif how == "kill":
            self.runtime.kill(ref)
        else:
            ref.tell(Shot())
        self.run()

    def crash(self, name: str, of: Any = None) -> None:
        """End a child by an exception, once; run until nothing moves."""
        self.end(name, "abnormal", of)

    @property
    def exit(self) -> Exit | None:
        return self.root.exit

    def assert_escalated(self, error: type[BaseException]) -> None:
        assert self.exit is not None, "the supervisor lives"
        assert self.exit.reason is ExitReason.CRASHED
        assert isinstance(self.exit.error, error), self.exit.error
        assert all(child.ref is None for child in self.sup.table.children.values())

    def stop(self) -> Exit:
        """Stop the tree and run until it is down."""
        self.runtime.shutdown(self.root.ref)
        self.run()
        assert self.exit is not None, "the tree did not stop"
        return self.exit
