"""Which followers a server has: the audit trail, the analysed readings, and the plug-ins that are configured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from actors.followers.analysed import make_analysed
from actors.followers.audit import is_of_sensor, make_audit
from actors.followers.board import FollowerBoard, FollowerStatus
from actors.followers.follower import WAKE, Ask, FollowerActor, Predicate
from actors.followers.plugins import load_sinks
from actors.followers.progress import ProgressFile
from actors.followers.query import FindEnd
from actors.followers.settings import FROM_START, AuditSettings
from actors.followers.sink import Sink
from actors.runtime import Directory, Runtime


class Follower(NamedTuple):
    """One follower, to be put under a supervisor."""

    name: str
    """Its id in the tree and its name among the services: `audit`, `analysed`, `sink.NAME`."""
    start: Callable[[], FollowerActor]
    """Builds the actor and does not start it."""
    board: FollowerBoard


class Followers:
    """All of them; made once, it outlives the actors."""

    def __init__(
        self,
        audit: AuditSettings,
        sinks: Mapping[str, Mapping[str, Any]],
        *,
        data_dir: Path,
        ask: Ask,
        runtime: Runtime,
        services: Directory,
        is_ours: Predicate,
        find_end: Callable[[], int] | None = None,
    ) -> None:
        """Load the plug-ins.

        Args:
            audit: the section `[audit]`.
            sinks: the sections `[sinks.NAME]`.
            data_dir: where the files are written; the places are kept in `followers/` there.
            ask: `Readers.ask`.
            runtime: what the actors run on.
            services: where the actors are found by their names.
            is_ours: tells whether a row belongs to a device of this server.
            find_end: returns an id up to which every reading of this server is committed, as the writer knows it
                (`Execute(newest_reading_id)`); without it no other server may write to the database.

        """
        self._data_dir = data_dir
        self._ask = ask
        self._runtime = runtime
        self._services = services
        self._is_ours = is_ours
        self._find_end = find_end or (lambda: int(ask(FindEnd())))
        makers, self.broken = load_sinks(sinks)
        """Plug-ins that were left out, each with the reason."""
        clock = runtime.clock
        children = []
        if audit.enabled:
            children.append(self._csv("audit", partial(make_audit, data_dir, audit, clock)))
        if audit.analysed:
            children.append(self._csv("analysed", partial(make_analysed, data_dir, audit, clock)))
        for name, maker in makers.items():
            from_start = sinks[name].get(FROM_START) is True
            children.append(self._follower(f"sink.{name}", maker, is_ours, from_start=from_start))
        self.children = tuple(children)

    def wake(self) -> None:
        """Tell all of them that readings were committed; any thread may call this as often as it likes."""
        for child in self.children:
            ref = self._services.get(child.name)
            # One that is being started looks by itself, and one that has mail looks after it: so no mail piles up
            # before a sink that hangs.
            if ref is not None and ref.actor_inbox.empty():
                self._services.tell(child.name, WAKE)

    def statuses(self) -> list[FollowerStatus]:
        """Return how each of them is."""
        return [child.board.status for child in self.children]

    def _csv(self, name: str, make_sink: Callable[[], Sink]) -> Follower:
        return self._follower(name, make_sink, lambda row: is_of_sensor(row) and self._is_ours(row), from_start=True)

    def _follower(self, name: str, make_sink: Callable[[], Sink], is_ours: Predicate, *, from_start: bool) -> Follower:
        board = FollowerBoard(name)

        def start() -> FollowerActor:
            return FollowerActor(
                name,
                make_sink,
                ask=self._ask,
                find_end=self._find_end,
                runtime=self._runtime,
                progress=ProgressFile(self._data_dir / "followers" / f"{name}.json"),
                board=board,
                is_ours=is_ours,
                from_start=from_start,
            )

        return Follower(name, start, board)
