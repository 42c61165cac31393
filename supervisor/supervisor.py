"""`Supervisor`: a fixed row of children, started from left to right, stopped from right to left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from supervisor.child import Child, Origin, State
from supervisor.errors import InvalidSpecError, RestartIntensityExceeded
from supervisor.keeper import Keeper
from supervisor.spec import ChildSpec, Strategy, check_specs


class Supervisor(Keeper):
    """Starts its children in order, restarts them by its strategy, and stops them in the reverse order.

    Args (keyword only, besides those of `Keeper`):
        children: `ChildSpec`s in start order.
        strategy: which children are restarted when one dies.

    Raises:
        InvalidSpecError: if a spec or a setting makes no sense.

    """

    def __init__(
        self,
        *,
        children: Sequence[ChildSpec] = (),
        strategy: Strategy | str = Strategy.ONE_FOR_ONE,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        if strategy not in tuple(Strategy):
            raise InvalidSpecError(f"strategy must be one of {', '.join(Strategy)}, not {strategy!r}")
        self.strategy = Strategy(strategy)
        for spec in check_specs(children):
            self.table.add(Child(spec.id, spec, Origin.INITIAL))
        self._up = False

    def on_start(self) -> None:
        """Start the first child; `ready` is told when the last one is up."""
        self._progress(None)

    def _restart(self, child: Child, *, charged: bool) -> None:  # noqa: ARG002 - a fixed row charges every restart
        if self._count_restart():
            self._report(child, "restarted too often")
            self.table.move(child, State.STOPPED)
            limit = f"more than {self.intensity.restarts} restarts in {self.intensity.within} s"
            error = RestartIntensityExceeded(f"{self.table.path}: {limit}, the last of {child.id}")
            error.__cause__ = child.trouble.cause if child.trouble else None
            self._give_up(error)
            return
        self._back_off(child)
        self._report(child, "restarting")
        for peer in self._peers(child):
            self._restart_along(peer)

    def _peers(self, child: Child) -> tuple[Child, ...]:
        """Return the others that the strategy restarts with this child."""
        row = tuple(self.table.children.values())
        if self.strategy is Strategy.ONE_FOR_ALL:
            return tuple(peer for peer in row if peer is not child)
        if self.strategy is Strategy.REST_FOR_ONE:
            return row[row.index(child) + 1 :]
        return ()

    def _restart_along(self, peer: Child) -> None:
        """Take a peer down to be started again; what an operator stopped or parked stays down."""
        if peer.state in (State.STARTING, State.RUNNING):
            peer.doomed = True
        elif peer.state is State.BACKING_OFF:
            self.table.move(peer, State.WAITING)

    def _progress(self, child: Child | None) -> None:  # noqa: ARG002 - one step may make another child's possible
        if self._take_next_down():
            return
        if self.stopping:
            self._finish()
        elif self._start_next() and not self._up:
            self._up = True
            self.ready()

    def _take_next_down(self) -> bool:
        """Stop doomed children, the last one first and each before the next; return whether we wait for one.

        Where children are independent, all are asked at once and nobody waits for them.
        """
        for child in reversed(tuple(self.table.children.values())):
            if child.doomed and child.state is not State.STOPPING:
                self._terminate(child)
            if child.state is State.STOPPING and self._in_order:
                return True
        return False

    def _start_next(self) -> bool:
        """Start what waits, the first one first and each before the next; return whether all are up."""
        row = tuple(self.table.children.values())
        together = self.strategy is Strategy.ONE_FOR_ALL
        if together and any(child.state is State.BACKING_OFF for child in row):
            return False
        done = True
        for child in row:
            if child.state is State.WAITING:
                self._launch(child)
            if child.state in (State.RUNNING, State.STOPPED, State.QUARANTINED):
                continue
            done = False
            if self._in_order:
                break
        return done

    @property
    def _in_order(self) -> bool:
        """Whether each step waits for the one before: always, except between independent children that are up."""
        return self.stopping or not self._up or self.strategy is not Strategy.ONE_FOR_ONE
