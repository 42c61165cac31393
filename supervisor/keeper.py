"""What every supervisor does for a child, whatever its strategy: launch it, notice its end, keep its mail, stop it.

A `Keeper` is a state machine that is driven by messages and never waits. Each message changes where children stand or
are to go (`wanted`, `doomed`); then `_progress` takes whatever steps are possible now. So a shutdown, an operator or
the next crash may arrive at any moment, in the middle of a restart too.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pykka
from pykka import ActorRef

from actors.runtime import Exit, ExitReason, PooledActor, Ready, ThreadedActor, Undelivered
from supervisor.base import Base
from supervisor.child import ALIVE, Child, Origin, State, next_incarnation, reap
from supervisor.crashlog import describe_exit, format_failure
from supervisor.desk import Desk
from supervisor.errors import ChildStartError, StartTimeoutError, SupervisorStoppingError
from supervisor.messages import BackoffOver, MailDelivered, StartExpired, StopExpired
from supervisor.post import FATAL_ATTEMPTS
from supervisor.spec import ORDERLY, WORKER_SHUTDOWN, Shutdown, must_restart

if TYPE_CHECKING:
    from types import TracebackType

logger = logging.getLogger("supervisor")


class Keeper(Base):
    """The part that `Supervisor` and `DynamicSupervisor` share."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._desk = Desk(self)

    # Life of the supervisor itself

    def ready(self) -> None:
        """Say that the supervisor is up, and take what waited for the names of its children."""
        super().ready()
        if self._names is not None:
            self._names.flush()

    def on_receive(self, message: Any) -> Any:
        """Handle news of children and requests; whatever else comes is logged and counted."""
        match message:
            case Exit():
                self._on_exit(message)
            case Ready():
                self._on_ready(message)
            case Undelivered():
                self._on_undelivered(message)
            case BackoffOver():
                self._on_backoff_over(message)
            case MailDelivered():
                self._on_mail_delivered()
            case StopExpired():
                self._on_stop_expired(message)
            case StartExpired():
                self._on_start_expired(message)
            case _:
                if self._desk.understands(message):
                    return self._desk.serve(message)
                self.table.garbage += 1
                logger.warning("%s cannot make sense of %.200r", self.table.path, message)
        return None

    def _stop(self) -> None:
        """Begin to stop instead of stopping: children go first. Pykka's loop runs on until `_finish`."""
        self._begin_stop()

    def _give_up(self, error: BaseException) -> None:
        """Take everything down and end with `error`, so that the parent acts."""
        if not self.stopping:
            self._error = error
            logger.error("%s gives up: %s", self.table.path, error)
            self._begin_stop()

    def _begin_stop(self) -> None:
        if self.stopping:
            return
        self.stopping = True
        self._desk.refuse_all(SupervisorStoppingError(f"{self.table.path} is stopping"))
        self._take_all_down()
        self._progress(None)

    def _take_all_down(self) -> None:
        for child in tuple(self.table.children.values()):
            self._take_down(child)

    def _finish(self) -> None:
        """End, now that every child is down."""
        if self._finished:
            return
        self._finished = True
        for child in tuple(self.table.children.values()):
            self._post.discard(child.id, None, "supervisor_down")
        if self._error is None:
            super()._stop()
        else:
            self._handle_failure(type(self._error), self._error, None)

    def on_stop(self) -> None:
        """Say so if a child is left over; that is a bug of this package."""
        for child in self.table.children.values():
            if child.ref is not None:
                logger.error("BUG: %s left %s/%s running", self.table.path, self.table.path, child.id)

    def on_failure(
        self,
        exception_type: type[BaseException] | None,  # noqa: ARG002 - pykka's signature
        exception_value: BaseException | None,  # noqa: ARG002
        traceback: TracebackType | None,  # noqa: ARG002
    ) -> None:
        """Leave no orphans when the supervisor itself fails."""
        reap(self.table)

    # Life of a child

    def _launch(self, child: Child) -> None:
        """Build the actor and start it; a failure to do so becomes an `Exit` like any other."""
        child.incarnation = next_incarnation()
        self.table.move(child, State.STARTING)
        try:
            actor = child.spec.start() if child.args is None else child.spec.start(child.id, *child.args)
            if actor is not None:
                child.ref = self._launch_actor(child, actor)
        except BaseException as error:  # noqa: BLE001 - whatever a child's constructor throws is the child's failure
            text = format_failure(error)
            failed = Exit(child.id, child.incarnation, ExitReason.CRASHED, error.with_traceback(None), text, [])
            self.actor_ref.tell(failed)
            return
        if actor is None:
            self._desk.answer_up(child.id, None)
            self._retire(child, State.STOPPED, "stopped")
        elif child.spec.restart == "temporary":
            child.forget_start()

    def _launch_actor(self, child: Child, actor: pykka.Actor) -> ActorRef[Any]:
        if not isinstance(actor, pykka.Actor):
            raise TypeError(f"the start function of {child.id!r} returned {actor!r}, not an actor")
        if isinstance(actor, Keeper):
            actor.table.path = f"{self.table.path}/{child.id}"
            actor.on_crash = actor.on_crash or self.on_crash
            child.sub = actor.table
        ref = self.runtime.launch(
            actor,
            monitor=self.actor_ref,
            child_id=child.id,
            incarnation=child.incarnation,
            hang_after=child.spec.hang_after,
            preload=self._post.peek(child.id),
        )
        self._post.take(child.id)
        if child.spec.start_timeout is not None:
            expired = StartExpired(child.id, child.incarnation)
            self.runtime.timers.after(child.spec.start_timeout, self.actor_ref, expired)
        return ref

    def _on_ready(self, message: Ready) -> None:
        child = self._current(message.child_id, message.incarnation)
        if child is None or child.state is not State.STARTING or child.ref is None:
            return
        self.table.move(child, State.RUNNING)
        child.origin = Origin.RESTARTED
        if child.trouble is not None:
            child.trouble.ready_at = self._now()
        self._publish(child)
        self._desk.answer_up(child.id, child.ref)
        self._progress(child)

    def _on_exit(self, message: Exit) -> None:
        child = self._current(message.child_id, message.incarnation)
        if child is None or child.state not in ALIVE:
            return
        deliberate = child.state is State.STOPPING or child.doomed
        starting = child.state is State.STARTING
        ref, child.ref = child.ref, None
        if self.directory is not None and ref is not None:
            self.directory.withdraw(child.id, ref)
        if child.sub is not None:
            self._reap_orphans(child)
        if deliberate:
            self._on_stopped(child, message)
        else:
            self._on_died(child, message, ref, starting=starting)
        self._progress(child)

    def _reap_orphans(self, child: Child) -> None:
        assert child.sub is not None
        orphans = reap(child.sub)
        if orphans:
            logger.error("%s/%s ended and left %d children, which were killed", self.table.path, child.id, orphans)

    def _on_stopped(self, child: Child, message: Exit) -> None:
        """Go on with a child that is down because it was, or was to be, taken down."""
        if message.reason not in (*ORDERLY, ExitReason.KILLED):
            self._note_end(child, message)
            self._report(child, "it was being stopped")
        self._keep_mail(child, message)
        child.doomed = False
        self._settle_down(child)

    def _settle_down(self, child: Child) -> None:
        """Note where a child that is down belongs now."""
        if child.wanted and child.spec.restart != "temporary":
            self.table.move(child, State.WAITING)
        elif child.trouble is not None and child.trouble.parked:
            self._retire(child, State.QUARANTINED, "quarantined")
        else:
            self._retire(child, State.STOPPED, "supervisor_down" if self.stopping else "stopped")
        self._desk.answer_down(child.id)

    def _on_died(self, child: Child, message: Exit, ref: ActorRef[Any] | None, *, starting: bool) -> None:
        """Decide what becomes of a child that went down by itself."""
        self._note_end(child, message)
        tripped = self._is_charged_to_the_code(child, message)
        most, reason = (1, "breaker") if tripped else (FATAL_ATTEMPTS, "crashed_twice")
        self._keep_mail(child, message, most=most, reason=reason)
        if starting and child.origin is not Origin.RESTARTED:
            self._on_start_failed(child, message)
        elif not must_restart(child.spec.restart, ExitReason.CRASHED if starting else message.reason):
            self._retire(child, State.STOPPED, "stopped")
        elif message.reason is ExitReason.HUNG and child.sub is None and _is_pooled(ref):
            self._park(child, "its message never ended")
        else:
            self._restart(child, charged=not tripped)

    def _note_end(self, child: Child, message: Exit) -> None:
        """Keep what an operator will want to know of an end that was not wanted."""
        child.doomed = False
        if message.reason in ORDERLY and child.spec.restart != "permanent":
            return
        trouble = self.table.trouble(child)
        trouble.cause = message.error
        if trouble.overdue:
            trouble.overdue = False
            trouble.cause = StartTimeoutError(f"{child.id} was not ready within {child.spec.start_timeout} s")
        trouble.error = describe_exit(message, self.runtime.clock.time(), trouble.cause)
        if message.reason not in ORDERLY:
            self._tell_crash(child, trouble.error)

    def _on_start_failed(self, child: Child, message: Exit) -> None:
        cause = (child.trouble.cause if child.trouble else None) or message.error
        error = ChildStartError(f"{self.table.path}/{child.id} did not start: {message.reason.value} {cause!r}")
        error.__cause__ = cause
        if child.origin is Origin.INITIAL:
            self.table.move(child, State.STOPPED)
            self._give_up(error)
            return
        self._report(child, "not started")
        self._desk.refuse_up(child.id, error)
        self._retire(child, State.STOPPED, "start_failed", forget=child.origin is Origin.REQUESTED)

    def _restart(self, child: Child, *, charged: bool) -> None:
        raise NotImplementedError

    def _is_charged_to_the_code(self, child: Child, message: Exit) -> bool:  # noqa: ARG002 - for dynamic supervisors
        """Return whether a breaker is open on what the child died of."""
        return False

    def _back_off(self, child: Child) -> None:
        """Start the child again after its wait."""
        policy = child.spec.backoff or self.backoff
        now = self._now()
        trouble = self.table.trouble(child)
        if trouble.ready_at is not None and now - trouble.ready_at >= policy.reset_after:
            trouble.attempt = 0
        trouble.ready_at = None
        delay = policy.delay(trouble.attempt, self._rng)
        trouble.attempt += 1
        trouble.restarts += 1
        self.table.restarts += 1
        child.origin = Origin.RESTARTED
        child.wanted = True
        if delay <= 0:
            self.table.move(child, State.WAITING)
            return
        trouble.token += 1
        trouble.retry_at = now + delay
        self.table.move(child, State.BACKING_OFF)
        self.runtime.timers.after(delay, self.actor_ref, BackoffOver(child.id, trouble.token))

    def _on_backoff_over(self, message: BackoffOver) -> None:
        child = self.table.children.get(message.child_id)
        if child is None or child.state is not State.BACKING_OFF or child.trouble is None:
            return
        if child.trouble.token == message.token:
            self.table.move(child, State.WAITING)
            self._progress(child)

    def _on_start_expired(self, message: StartExpired) -> None:
        child = self._current(message.child_id, message.incarnation)
        if child is None or child.state is not State.STARTING or child.ref is None:
            return
        self.table.trouble(child).overdue = True
        self._kill(child)

    # Taking a child down

    def _take_down(self, child: Child, *, up_again: bool = False) -> None:
        """Want the child down; `_progress` does it in its turn."""
        child.wanted = up_again
        if child.state in (State.STARTING, State.RUNNING):
            child.doomed = True
        elif child.state is not State.STOPPING:
            self._settle_down(child)

    def take_down(self, child: Child, *, parked: bool) -> None:
        """Take a child down for good, by request; with `parked` into quarantine."""
        if parked or child.trouble is not None:
            self.table.trouble(child).parked = parked
        self._take_down(child)
        self._progress(child)

    def bring_up(self, child: Child, origin: Origin) -> None:
        """Start a child by request, with a clean record; one that runs is stopped first."""
        if child.state is State.QUARANTINED:
            self._hook(self.on_resume, child.id)
        self.table.absolve(child)
        child.origin = origin
        self._take_down(child, up_again=True)
        self._progress(child)

    def admit(self, child: Child) -> None:
        """Take a new child in and start it in its turn."""
        self.table.add(child)
        self._progress(child)

    def _terminate(self, child: Child, *, timer: bool = True) -> None:
        """Ask the child to stop; kill it when its time is over."""
        self.table.move(child, State.STOPPING)
        if child.ref is None:  # its start failed a moment ago; the `Exit` that says so is on its way
            return
        how = self._time_to_stop(child)
        if how == "brutal":
            self._kill(child)
            return
        self.runtime.shutdown(child.ref)
        if timer and how != "infinity":
            self.runtime.timers.after(float(how), self.actor_ref, StopExpired(child.id, child.incarnation))

    def _time_to_stop(self, child: Child) -> Shutdown:
        if child.spec.shutdown is not None:
            return child.spec.shutdown
        return WORKER_SHUTDOWN if child.sub is None else "infinity"

    def _on_stop_expired(self, message: StopExpired) -> None:
        child = self._current(message.child_id, message.incarnation)
        if child is not None and child.state is State.STOPPING:
            self._kill_late(child)

    def _kill_late(self, child: Child) -> None:
        logger.warning("%s/%s did not stop in its time and is killed", self.table.path, child.id)
        self._kill(child)

    def _kill(self, child: Child) -> None:
        """Kill the child; where the runtime cannot (a stock `ThreadingActor`), abandon it."""
        if child.ref is None:
            return
        self.runtime.kill(child.ref)
        if not issubclass(child.ref.actor_class, PooledActor | ThreadedActor):
            self.actor_ref.tell(Exit(child.id, child.incarnation, ExitReason.KILLED, None, "", []))

    def _retire(self, child: Child, state: State, reason: str, *, forget: bool = False) -> None:
        """Leave a child down; a temporary one is forgotten, and so is its mail, with a reason."""
        newly = child.state is not state
        child.wanted = False
        child.doomed = False
        self.table.move(child, state)
        self._desk.refuse_up(child.id, ChildStartError(f"{self.table.path}/{child.id} is {state.value}"))
        self._post.discard(child.id, child.trouble.cause if child.trouble else None, reason)
        if forget or (state is State.STOPPED and self._forgets(child)):
            self.table.remove(child)
        elif newly and state is State.QUARANTINED:
            self._hook(self.on_quarantine, child.id, child.trouble.error if child.trouble else None)

    def _forgets(self, child: Child) -> bool:
        """Return whether a child that is stopped for good is not worth remembering."""
        return child.spec.restart == "temporary"

    def _park(self, child: Child, why: str) -> None:
        """Quarantine a child that is down."""
        self.table.trouble(child).parked = True
        self._report(child, f"quarantined: {why}")
        self._retire(child, State.QUARANTINED, "quarantined")

    # Small things

    def _progress(self, child: Child | None) -> None:
        """Take the steps that are possible now that this child (or, with None, anything) has changed."""
        raise NotImplementedError


def _is_pooled(ref: ActorRef[Any] | None) -> bool:
    return ref is not None and issubclass(ref.actor_class, PooledActor)
