"""What a supervisor consists of, and the hooks that a subclass may override."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pykka import ActorDeadError, ActorRef

from actors.runtime import Directory, Envelope, Exit, PooledActor, Runtime, Undelivered
from supervisor.child import Child, State, Table
from supervisor.crashlog import Crash, CrashLog
from supervisor.errors import InvalidSpecError, SupervisorStoppingError
from supervisor.intensity import Intensity
from supervisor.messages import PRIVATE, DeadMail, MailDelivered, Request, refuse_request
from supervisor.names import names_of
from supervisor.post import FATAL_ATTEMPTS, Post
from supervisor.spec import BackoffPolicy, ChildSpec
from supervisor.status import register

if TYPE_CHECKING:
    from supervisor.child import LastError

logger = logging.getLogger("supervisor")

STASH_LIMIT = 1_000
"""Messages kept for one child that is down."""


class Base(PooledActor):
    """State, settings and hooks of every supervisor.

    Args (keyword only):
        runtime: what the children run on.
        name: the first part of the paths of everything below, if this is the top of a tree.
        intensity: how many restarts are still healing; 5 within a minute by default.
        backoff: how long to wait before a restart.
        directory: where children are published under their ids while they are ready. Unless it has a fallback already,
            messages for a child that is down come to its supervisor (see `supervisor.names`).
        on_dead_letter: takes messages that no incarnation of their child will handle; must not block.
        on_crash: takes note of each crash of a child; must not block. Supervisors below inherit it.
        stash_limit: messages kept for one child that is down.
        rng: uniform in [0, 1); the jitter.

    """

    defer_ready: ClassVar[bool] = True

    def __init__(
        self,
        *,
        runtime: Runtime,
        name: str = "supervisor",
        intensity: Intensity | None = None,
        backoff: BackoffPolicy | None = None,
        directory: Directory | None = None,
        on_dead_letter: Callable[[DeadMail], None] | None = None,
        on_crash: Callable[[Crash], None] | None = None,
        stash_limit: int = STASH_LIMIT,
        rng: Callable[[], float] = random.random,
    ) -> None:
        super().__init__()
        if not isinstance(name, str) or not name or "/" in name:
            raise InvalidSpecError(f"supervisor: name must be a text without '/', not {name!r}")
        self.runtime = runtime
        self.table = Table(name, runtime)
        register(self.table, self.actor_ref)
        self.table.post = self._post = Post(stash_limit, self._undeliverable)
        self.intensity = intensity or Intensity()
        self.backoff = backoff or BackoffPolicy()
        self.directory = directory
        self._names = names_of(directory) if directory is not None else None
        if self._names is not None:
            self._names.add(self.table)
        self.on_dead_letter = on_dead_letter
        self.on_crash = on_crash
        self._rng = rng
        self._stamps: list[float] = []
        self.stopping = False
        self.template: ChildSpec | None = None
        self._finished = False
        self._error: BaseException | None = None
        self._crashes = CrashLog()
        self._unpublished: list[tuple[Child, ActorRef[Any]]] = []
        """Those that are ready and have mail in our own mailbox."""

    # Mail

    def _keep_mail(
        self, child: Child, message: Exit, *, most: int = FATAL_ATTEMPTS, reason: str = "crashed_twice"
    ) -> None:
        pending: Sequence[Envelope] = message.pending
        if child.sub is not None:
            pending = [envelope for envelope in pending if not isinstance(envelope.message, PRIVATE)]
        self._post.keep(child.id, pending, message.error, most=most, reason=reason)

    def _on_undelivered(self, message: Undelivered) -> None:
        child = self.table.children.get(message.name) if isinstance(message.name, str) else None
        if child is None:
            self._hook(self.on_unknown, message.name, message.message)
        elif child.state in (State.STARTING, State.RUNNING) and child.ref is not None:
            self._deliver(child, message.message)
        elif child.state is State.QUARANTINED:
            self._undeliverable(child.id, Envelope(message.message), None, "quarantined")
        elif child.state is State.STOPPED:
            self._undeliverable(child.id, Envelope(message.message), None, "stopped")
        else:
            self._post.stash(child.id, message.message)

    def _deliver(self, child: Child, message: Any) -> None:
        assert child.ref is not None
        try:
            child.ref.tell(message)
        except ActorDeadError:  # its `Exit` is on its way; what it left goes in front of this
            self._post.stash(child.id, message)

    def _publish(self, child: Child) -> None:
        """Make a child that is ready reachable by its name; what is told directly must not overtake its mail."""
        if self.directory is None or child.ref is None:
            return
        if self._may_have_mail(child):
            self._unpublished.append((child, child.ref))
            if len(self._unpublished) == 1:
                self.actor_ref.tell(MailDelivered())
        else:
            self.directory.publish(child.id, child.ref)

    def _may_have_mail(self, child: Child) -> bool:
        """Return whether something in our own mailbox may be for the child."""
        return child.id in self._addressees()

    def _addressees(self) -> set[Any]:
        """Return for whom there is mail in our own mailbox."""
        waiting = self.actor_inbox.waiting()
        return {each.name for each in waiting if isinstance(each, Undelivered) and isinstance(each.name, str)}

    def _on_mail_delivered(self) -> None:
        """Publish those for whom nothing has come meanwhile; ask again for the others, once that is handed on."""
        addressees = self._addressees()
        unpublished, self._unpublished = self._unpublished, []
        for child, ref in unpublished:
            if child.ref is not ref or child.state is not State.RUNNING or self.directory is None:
                continue  # it has ended, or is about to
            if child.id in addressees:
                self._unpublished.append((child, ref))
            else:
                self.directory.publish(child.id, ref)
        if self._unpublished:
            self.actor_ref.tell(MailDelivered())

    def _undeliverable(self, child_id: str, envelope: Envelope, error: BaseException | None, reason: str) -> None:
        if isinstance(envelope.message, Request):
            refuse_request(envelope.message, SupervisorStoppingError(f"{self.table.path}/{child_id} has ended"))
            return
        self.table.dead_mail += 1
        self._hook(self.on_undeliverable, child_id, envelope.message, reason, envelope.attempts, error)

    # Hooks: override them in a subclass; they run in the supervisor's turn and must not block

    def on_undeliverable(
        self, child_id: str, message: Any, reason: str, attempts: int, error: BaseException | None
    ) -> None:
        """Take a message that its child will not handle; by default it goes to `on_dead_letter`.

        Args:
            child_id: the child it was meant for.
            message: the message itself.
            reason: one of those of `DeadMail.reason`.
            attempts: how many incarnations it has crashed or hung.
            error: what the child died of, if that is why.

        """
        path = f"{self.table.path}/{child_id}"
        if self.on_dead_letter is not None:
            self.on_dead_letter(DeadMail(path, message, attempts, error, reason))
        else:
            logger.warning("%s: message dropped (%s): %.200r", path, reason, message)

    def on_unknown(self, name: str, message: Any) -> None:
        """Take a message for a name that is no child; by default it is undeliverable."""
        self._undeliverable(name, Envelope(message), None, "unknown")

    def on_quarantine(self, child_id: str, error: LastError | None) -> None:
        """Take note that a child was quarantined for `error` (a `LastError`)."""

    def on_resume(self, child_id: str) -> None:
        """Take note that a quarantined child is being started again."""

    def _hook(self, hook: Callable[..., None], *args: Any) -> None:
        """Call a hook; its failure is logged and stays its own."""
        try:
            hook(*args)
        except Exception:
            logger.exception("%s: %s failed", self.table.path, getattr(hook, "__name__", hook))

    # Small things

    def check_room(self) -> None:
        """Refuse one child too many.

        Raises:
            MaxChildrenError: by a dynamic supervisor that is full.

        """

    def _count_restart(self) -> bool:
        """Count a restart against the supervisor's own intensity; return whether it is exceeded."""
        self._stamps, exceeded = self.intensity.add(self._stamps, self._now())
        return exceeded

    def _report(self, child: Child, outcome: str) -> None:
        if child.trouble is not None and child.trouble.error is not None:
            self._crashes.report(f"{self.table.path}/{child.id}", child.trouble.error, outcome, self._now())

    def _tell_crash(self, child: Child, error: LastError) -> None:
        if self.on_crash is not None:
            path = f"{self.table.path}/{child.id}"
            self._hook(self.on_crash, Crash(path, f"{self.table.path}/*" if self.table.dynamic else path, error))

    def _current(self, child_id: str, incarnation: int) -> Child | None:
        """Return the child if the news is of its present incarnation."""
        child = self.table.children.get(child_id)
        return child if child is not None and child.incarnation == incarnation else None

    def _now(self) -> float:
        return self.runtime.clock.monotonic()
