"""The desk takes requests to a supervisor and answers them when they are done."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pykka import ActorRef, Future

from supervisor.child import DOWN, Child, Origin, State
from supervisor.errors import (
    AlreadyPresentError,
    AlreadyStartedError,
    ChildNotFoundError,
    ChildRestartingError,
    ChildRunningError,
    ChildStartError,
    InvalidSpecError,
    SupervisionError,
    SupervisorStoppingError,
)
from supervisor.messages import (
    BounceChild,
    ChildCounts,
    ChildInfo,
    CountChildren,
    DeleteChild,
    GetSpec,
    QuarantineChild,
    Request,
    RestartChild,
    ResumeChild,
    StartChild,
    StartTemplated,
    TerminateChild,
    WhichChildren,
    refuse_request,
)
from supervisor.spec import ChildSpec

if TYPE_CHECKING:
    from supervisor.keeper import Keeper

logger = logging.getLogger("supervisor")

LATER: Final = object()
"""What a handler returns when the answer comes later."""

Waiting = dict[str, list[Future[Any]]]


class Desk:
    """Serves one supervisor, inside its turns."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._table = keeper.table
        self._up: Waiting = {}
        """Who waits for a child to be ready."""
        self._down: Waiting = {}
        """Who waits for a child to be down."""

    def understands(self, message: Any) -> bool:
        """Return whether this is a request."""
        return type(message) in _HANDLERS

    def serve(self, request: Request) -> Any:
        """Serve a request; an answer that is there at once is returned too, for `ref.ask`."""
        future = request.reply_to
        try:
            answer = _HANDLERS[type(request)](self, request)
        except SupervisionError as error:
            refuse_request(request, error)
            if future is None:
                logger.warning("%s refused %r: %s", self._table.path, type(request).__name__, error)
            return None
        if answer is LATER:
            return None
        if future is not None:
            _answer([future], answer)
        return answer

    # Answers that come later

    def answer_up(self, child_id: str, ref: ActorRef[Any] | None) -> None:
        """Tell those who wait that the child is ready."""
        _answer(self._up.pop(child_id, ()), ref)

    def refuse_up(self, child_id: str, error: SupervisionError) -> None:
        """Tell those who wait that the child will not be ready."""
        _refuse(self._up.pop(child_id, ()), error)

    def answer_down(self, child_id: str) -> None:
        """Tell those who wait that the child is down."""
        _answer(self._down.pop(child_id, ()), None)

    def refuse_all(self, error: SupervisionError) -> None:
        """Tell everybody who waits for a child to come up that the supervisor goes down."""
        for child_id in tuple(self._up):
            self.refuse_up(child_id, error)

    def _wait(self, waiting: Waiting, child: Child, request: Request) -> object:
        if request.reply_to is not None:
            waiting.setdefault(child.id, []).append(request.reply_to)
        return LATER

    # Requests

    def _start(self, request: StartChild) -> object:
        spec = request.spec
        if not isinstance(spec, ChildSpec):
            raise InvalidSpecError(f"not a child spec: {spec!r}")
        return self._admit(Child(spec.id, spec, Origin.REQUESTED), request)

    def _start_templated(self, request: StartTemplated) -> object:
        template = self._keeper.template
        if template is None:
            raise InvalidSpecError(f"{self._table.path} has no template")
        child_id = request.child_id
        if not isinstance(child_id, str) or not child_id or "/" in child_id:
            raise InvalidSpecError(f"a child's id must be a text without '/', not {child_id!r}")
        return self._admit(Child(child_id, template, Origin.REQUESTED, request.args), request)

    def _admit(self, child: Child, request: Request) -> object:
        self._refuse_while_stopping()
        self._keeper.check_room()
        present = self._table.children.get(child.id)
        path = f"{self._table.path}/{child.id}"
        if present is not None and present.state in DOWN:
            raise AlreadyPresentError(f"{path} is known and {present.state.value}; restart or delete it")
        if present is not None:
            raise AlreadyStartedError(f"{path} is {present.state.value}", present.ref)
        self._wait(self._up, child, request)
        self._keeper.admit(child)
        return LATER

    def _terminate(self, request: TerminateChild) -> object:
        child = self._find(request.child_id)
        path = f"{self._table.path}/{child.id}"
        self.refuse_up(child.id, ChildStartError(f"{path} was terminated by request"))
        self._wait(self._down, child, request)
        self._keeper.take_down(child, parked=False)
        return LATER

    def _restart(self, request: RestartChild) -> object:
        self._refuse_while_stopping()
        child = self._find_down(request.child_id)
        return self._bring_up(child, request, Origin.REVIVED)

    def _bounce(self, request: BounceChild) -> object:
        self._refuse_while_stopping()
        child = self._find(request.child_id)
        answer = self._bring_up(child, request, Origin.RESTARTED)
        self._table.trouble(child).restarts += 1  # visible, and not charged to its intensity
        self._table.restarts += 1
        return answer

    def _resume(self, request: ResumeChild) -> object:
        self._refuse_while_stopping()
        child = self._find(request.child_id)
        if child.state in (State.STARTING, State.RUNNING):
            raise ChildRunningError(f"{self._table.path}/{child.id} is {child.state.value}")
        return self._bring_up(child, request, Origin.RESTARTED)

    def _bring_up(self, child: Child, request: Request, origin: Origin) -> object:
        if child.spec.restart == "temporary":
            raise SupervisionError(f"{self._table.path}/{child.id} is temporary and cannot be started again")
        self._wait(self._up, child, request)
        self._keeper.bring_up(child, origin)
        return LATER

    def _quarantine(self, request: QuarantineChild) -> object:
        child = self._find(request.child_id)
        self.refuse_up(child.id, ChildStartError(f"{self._table.path}/{child.id} was quarantined by request"))
        self._wait(self._down, child, request)
        self._keeper.take_down(child, parked=True)
        return LATER

    def _delete(self, request: DeleteChild) -> None:
        self._table.remove(self._find_down(request.child_id))

    def _get_spec(self, request: GetSpec) -> ChildSpec:
        return self._find(request.child_id).spec

    def _which(self, request: WhichChildren) -> list[ChildInfo]:  # noqa: ARG002 - one signature for all handlers
        children = self._table.children.values()
        return [ChildInfo(c.id, c.ref, c.kind, c.state.value, c.spec.restart) for c in children]

    def _count(self, request: CountChildren) -> ChildCounts:  # noqa: ARG002
        return self._table.count()

    # Small things

    def _refuse_while_stopping(self) -> None:
        if self._keeper.stopping:
            raise SupervisorStoppingError(f"{self._table.path} is stopping")

    def _find(self, child_id: Any) -> Child:
        child = self._table.children.get(child_id) if isinstance(child_id, str) else None
        if child is None:
            raise ChildNotFoundError(f"{self._table.path} has no child {child_id!r}")
        return child

    def _find_down(self, child_id: Any) -> Child:
        child = self._find(child_id)
        path = f"{self._table.path}/{child.id}"
        if child.state in (State.WAITING, State.BACKING_OFF):
            raise ChildRestartingError(f"{path} is {child.state.value}")
        if child.state not in DOWN:
            raise ChildRunningError(f"{path} is {child.state.value}")
        return child


_HANDLERS: dict[type, Callable[[Desk, Any], Any]] = {
    StartChild: Desk._start,  # noqa: SLF001 - the class's own table
    StartTemplated: Desk._start_templated,  # noqa: SLF001
    TerminateChild: Desk._terminate,  # noqa: SLF001
    RestartChild: Desk._restart,  # noqa: SLF001
    BounceChild: Desk._bounce,  # noqa: SLF001
    ResumeChild: Desk._resume,  # noqa: SLF001
    QuarantineChild: Desk._quarantine,  # noqa: SLF001
    DeleteChild: Desk._delete,  # noqa: SLF001
    GetSpec: Desk._get_spec,  # noqa: SLF001
    WhichChildren: Desk._which,  # noqa: SLF001
    CountChildren: Desk._count,  # noqa: SLF001
}


def _answer(futures: Any, value: Any) -> None:
    for future in futures:
        try:
            future.set(value)
        except Exception:
            logger.exception("An answer could not be given")


def _refuse(futures: Any, error: SupervisionError) -> None:
    for future in futures:
        try:
            future.set_exception((type(error), error, None))
        except Exception:
            logger.exception("A refusal could not be given")
