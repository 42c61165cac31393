"""`DynamicSupervisor`: any number of independent children, started on demand (OTP's `simple_one_for_one`)."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

from actors.runtime import Envelope, Exit
from supervisor.breaker import Breaker, Fault
from supervisor.child import Child, Origin, State
from supervisor.errors import InvalidSpecError, MaxChildrenError, RestartIntensityExceeded
from supervisor.keeper import Keeper
from supervisor.messages import StopAllExpired
from supervisor.spec import ChildSpec

logger = logging.getLogger("supervisor")


class DynamicSupervisor(Keeper):
    """Starts children on demand and restarts each by itself; stops them all at the same time.

    Args (keyword only, besides those of `Keeper`):
        template: how to build children that are started by id; its start function gets the id and the arguments.
        per_child: count restarts per child and never escalate. A child that keeps crashing is quarantined; a fault that
            hits many children is charged to the code path (see `Breaker`).
        max_children: one more is refused.
        breaker: its limits, for `per_child`.

    """

    def __init__(
        self,
        *,
        template: ChildSpec | None = None,
        per_child: bool = False,
        max_children: float = math.inf,
        breaker: Breaker | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        if template is not None and not isinstance(template, ChildSpec):
            raise InvalidSpecError(f"template: not a child spec: {template!r}")
        self.template = template
        self.per_child = per_child
        self.max_children = max_children
        self.table.dynamic = True
        self.table.breaker = self.breaker = breaker or Breaker()

    def on_start(self) -> None:
        """Be ready at once: there are no children yet. A subclass that adopts some calls `ready` when it has."""
        self.ready()

    def on_receive(self, message: Any) -> Any:
        """Handle what is particular to dynamic children, leave the rest to `Keeper`."""
        if isinstance(message, StopAllExpired):
            self._on_stop_all_expired(message)
            return None
        return super().on_receive(message)

    def adopt(self, child_id: str, *args: Any, messages: Sequence[Any] = (), parked: bool = False) -> None:
        """Start a child from the template, now and from within the supervisor's own turn.

        Unlike a child of `StartChild`, one that fails to start is kept and tried again under the restart policy.

        Args:
            child_id: its id.
            args: for the template's start function, after the id.
            messages: what it is to handle before anything else.
            parked: take it in as quarantined, as it was before a restart of the process; `on_quarantine` is not called.

        Raises:
            MaxChildrenError: if there is no room.
            InvalidSpecError: if there is no template, or a child of that id already.

        """
        self.check_room()
        if self.template is None or child_id in self.table.children:
            raise InvalidSpecError(f"{self.table.path} cannot adopt {child_id!r}")
        if messages:
            self._post.keep(child_id, [Envelope(message) for message in messages], None)
        child = Child(child_id, self.template, Origin.RESTARTED, args)
        if parked:
            child.state, child.wanted = State.QUARANTINED, False
            self.table.trouble(child).parked = True  # which also lists it
        self.admit(child)

    def drop(self, child_id: str) -> bool:
        """Kill a child and forget it with its mail, from within the supervisor's own turn; return whether it was there.

        Its late messages come to `on_unknown`.
        """
        child = self.table.children.get(child_id)
        if child is None:
            return False
        if child.ref is not None:
            if self.directory is not None:
                self.directory.withdraw(child_id, child.ref)
            self._kill(child)
        self._retire(child, State.STOPPED, "stopped", forget=True)
        self._desk.answer_down(child_id)
        return True

    def check_room(self) -> None:
        """Refuse one child too many.

        Raises:
            MaxChildrenError: if the supervisor is full.

        """
        if len(self.table.children) >= self.max_children:
            raise MaxChildrenError(f"{self.table.path} has {len(self.table.children)} children, as many as it may")

    def _may_have_mail(self, child: Child) -> bool:  # noqa: ARG002 - to look it up for each of thousands would be slow
        return not self.actor_inbox.empty()

    # Restarts

    def _is_charged_to_the_code(self, child: Child, message: Exit) -> bool:
        if not self.per_child or message.error is None or child.trouble is None or child.trouble.error is None:
            return False
        signature = child.trouble.error.signature
        was_open = self.breaker.is_open(signature)
        fault = self.breaker.record(signature, child.id, self._now())
        if fault.open and not was_open:
            self._trip(fault)
        return fault.open

    def _trip(self, fault: Fault) -> None:
        """Charge a fault to the code path, and let those out who were quarantined for it."""
        self._hook(self.on_breaker, fault)
        for child_id in tuple(fault.children):
            child = self.table.children.get(child_id)
            if child is None or child.state is not State.QUARANTINED or child.trouble is None:
                continue
            if child.trouble.error is not None and child.trouble.error.signature == fault.signature:
                self.bring_up(child, Origin.RESTARTED)
        fault.children.clear()

    def on_breaker(self, fault: Fault) -> None:
        """Take note that a breaker has tripped; by default it is logged."""
        name, where = fault.signature
        children = len(fault.children)
        logger.error("%s: %s at %s in %d children, charged to the code", self.table.path, name, where, children)

    def _restart(self, child: Child, *, charged: bool) -> None:
        if not charged:
            self._again(child, "restarting; the fault is charged to the code")
        elif not self.per_child:
            self._restart_or_give_up(child)
        else:
            trouble = self.table.trouble(child)
            trouble.stamps, exceeded = self.intensity.add(trouble.stamps, self._now())
            if exceeded:
                self._park(child, f"more than {self.intensity.restarts} restarts in {self.intensity.within} s")
            else:
                self._again(child, "restarting")

    def _restart_or_give_up(self, child: Child) -> None:
        if not self._count_restart():
            self._again(child, "restarting")
            return
        self._report(child, "restarted too often")
        self.table.move(child, State.STOPPED)
        limit = f"more than {self.intensity.restarts} restarts in {self.intensity.within} s"
        self._give_up(RestartIntensityExceeded(f"{self.table.path}: {limit}, the last of {child.id}"))

    def _again(self, child: Child, outcome: str) -> None:
        self._report(child, outcome)
        self._back_off(child)

    def _forgets(self, child: Child) -> bool:  # noqa: ARG002 - a dynamic child that is stopped for good is forgotten
        return True

    # Steps

    def _progress(self, child: Child | None) -> None:
        if child is not None and child.doomed and child.state in (State.STARTING, State.RUNNING):
            self._terminate(child)
        elif child is not None and child.state is State.WAITING and not self.stopping:
            self._launch(child)
        if self.stopping and not self.table.alive:
            self._finish()

    def _take_all_down(self) -> None:
        """Ask all children at the same time, with one timer per distinct time to stop."""
        times: set[float] = set()
        for child in tuple(self.table.children.values()):
            self._take_down(child)
            if child.doomed:
                how = self._time_to_stop(child)
                if not isinstance(how, str):
                    times.add(float(how))
                self._terminate(child, timer=False)
        for seconds in times:
            self.runtime.timers.after(seconds, self.actor_ref, StopAllExpired(seconds))

    def _on_stop_all_expired(self, message: StopAllExpired) -> None:
        for child in tuple(self.table.children.values()):
            if child.state is State.STOPPING and self._time_to_stop(child) == message.seconds:
                self._kill_late(child)
