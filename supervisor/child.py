"""What a supervisor remembers of its children: little while all is well, more once something went wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import TYPE_CHECKING, Any

from pykka import ActorRef

from supervisor.messages import ChildCounts
from supervisor.spec import ChildSpec

if TYPE_CHECKING:
    from actors.runtime import Runtime
    from supervisor.breaker import Breaker
    from supervisor.post import Post

_incarnations = count(1)


def next_incarnation() -> int:
    """Return a number that no launch in this process has had; later launches have greater ones."""
    return next(_incarnations)


class State(StrEnum):
    """Where a child stands."""

    WAITING = "waiting"
    """To be started as soon as its turn comes."""
    STARTING = "starting"
    """Launched; its `on_start` has not returned yet."""
    RUNNING = "running"
    STOPPING = "stopping"
    """Asked to stop; not yet down."""
    BACKING_OFF = "backing_off"
    """Down; to be started again when its wait is over."""
    QUARANTINED = "quarantined"
    """Down, parked and visible until somebody resumes it."""
    STOPPED = "stopped"
    """Down; nobody wants it up."""


ALIVE = frozenset({State.STARTING, State.RUNNING, State.STOPPING})
DOWN = frozenset({State.STOPPED, State.QUARANTINED})


class Origin(StrEnum):
    """Why a child is being started, which decides what a failure to start means."""

    INITIAL = "initial"
    """With its supervisor, which cannot start without it."""
    REQUESTED = "requested"
    """By `StartChild`: the requester is told, the child forgotten."""
    REVIVED = "revived"
    """By `RestartChild`: the requester is told, the child stays stopped."""
    RESTARTED = "restarted"
    """By the supervisor or an operator's button: tried again."""


@dataclass(frozen=True, slots=True)
class LastError:
    """Why a child died the last time."""

    reason: str
    """The `ExitReason`."""
    type: str
    """Class of the exception; empty if there was none (killed, hung)."""
    message: str
    traceback: str
    when: float
    """Seconds since 1970 UTC."""
    where: str
    """Innermost code location, `file:line`; with the type it tells one fault from another."""

    @property
    def signature(self) -> tuple[str, str]:
        """What makes two crashes the same fault."""
        return (self.type, self.where)


@dataclass(slots=True)
class Trouble:
    """The record of a child to which something has happened."""

    restarts: int = 0
    attempt: int = 0
    """Restarts since it was last up for a quiet time; the exponent of its back-off."""
    stamps: list[float] = field(default_factory=list)
    """Restarts that count against its own intensity, monotonic seconds."""
    error: LastError | None = None
    cause: BaseException | None = None
    ready_at: float | None = None
    """When it last came up, monotonic seconds."""
    retry_at: float = 0.0
    token: int = 0
    """Raised with each wait, so that the end of an earlier one is told apart."""
    overdue: bool = False
    """Killed because it was not ready in time."""
    parked: bool = False
    """To be quarantined once it is down."""


class Child:
    """One child; 120 bytes at rest, because there may be a hundred thousand."""

    __slots__ = ("args", "doomed", "id", "incarnation", "origin", "ref", "spec", "state", "sub", "trouble", "wanted")

    def __init__(self, child_id: str, spec: ChildSpec, origin: Origin, args: tuple[Any, ...] | None = None) -> None:
        self.id = child_id
        self.spec = spec
        self.args = args
        """For the template's start function; None if the spec is the child's own."""
        self.origin = origin
        self.state = State.WAITING
        self.wanted = True
        """Whether it is to be up once it is down."""
        self.doomed = False
        """Whether it is to be taken down."""
        self.ref: ActorRef[Any] | None = None
        self.incarnation = 0
        self.sub: Table | None = None
        """Its own children, if it is a supervisor."""
        self.trouble: Trouble | None = None

    def forget_start(self) -> None:
        """Drop what would only serve to start a temporary child again: its arguments may be large."""
        if self.args is None:
            self.spec = self.spec.spent()
        else:
            self.args = ()

    @property
    def kind(self) -> str:
        """`worker` or `supervisor`."""
        return "worker" if self.sub is None else "supervisor"


class Table:
    """All children of one supervisor. Written by it alone; other threads read it without asking."""

    def __init__(self, name: str, runtime: Runtime) -> None:
        self.name = name
        self.path = name
        self.runtime = runtime
        self.ref: ActorRef[Any] | None = None
        self.children: dict[str, Child] = {}
        self.counts: dict[State, int] = dict.fromkeys(State, 0)
        self.troubled: dict[str, Child] = {}
        """Those with a `Trouble`, so that a status of a hundred thousand children need not look at each."""
        self.restarts = 0
        self.garbage = 0
        """Messages that meant nothing to the supervisor."""
        self.dead_mail = 0
        self.dynamic = False
        self.breaker: Breaker | None = None
        self.post: Post | None = None

    def add(self, child: Child) -> None:
        """Take a new child in."""
        self.children[child.id] = child
        self.counts[child.state] += 1

    def remove(self, child: Child) -> None:
        """Forget a child."""
        if self.children.pop(child.id, None) is not None:
            self.counts[child.state] -= 1
            self.troubled.pop(child.id, None)

    def move(self, child: Child, state: State) -> None:
        """Note that a child stands elsewhere now."""
        self.counts[child.state] -= 1
        self.counts[state] += 1
        child.state = state

    def trouble(self, child: Child) -> Trouble:
        """Return the child's record of trouble, opening one if there is none."""
        if child.trouble is None:
            child.trouble = Trouble()
            self.troubled[child.id] = child
        return child.trouble

    def absolve(self, child: Child) -> None:
        """Wipe a child's crashes from its record; the count of its restarts and its last error stay for the eye."""
        if child.trouble is not None:
            child.trouble.stamps.clear()
            child.trouble.attempt = 0
            child.trouble.parked = False

    @property
    def alive(self) -> int:
        """How many children are not down."""
        return sum(self.counts[state] for state in ALIVE)

    def count(self) -> ChildCounts:
        """Return how many children there are."""
        supervisors = 0 if self.dynamic else sum(child.sub is not None for child in self.children.values())
        specs = len(self.children)
        return ChildCounts(specs, self.alive, supervisors, specs - supervisors)


def reap(table: Table) -> int:
    """Kill what a supervisor left running when it was itself ended without notice; return how many.

    In OTP links do this. Deepest children first, so that nobody restarts anybody meanwhile.
    """
    reaped = 0
    for child in tuple(table.children.values()):
        if child.sub is not None:
            reaped += reap(child.sub)
        if child.ref is not None:
            table.runtime.kill(child.ref)
            child.ref = None
            table.move(child, State.STOPPED)
            reaped += 1
    return reaped
