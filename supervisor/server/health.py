"""The one answer that monitoring, load balancers and people ask for first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from actors.link.status import LinkBoard, LinkState, LinkStatus
from actors.version import __version__
from supervisor import Root, TreeView
from supervisor.process.redaction import redact
from supervisor.server.parts import Parts


def why_not(boards: Iterable[LinkBoard]) -> str:
    """Return in a sentence which links see nothing, and why."""
    return "; ".join(_why_blind(board.status) for board in boards if not board.status.connected)


def _why_blind(link: LinkStatus) -> str:
    if link.state is LinkState.PAUSED:
        return f"{link.name} is paused by an operator"
    reason = f" ({redact(link.last_error)})" if link.last_error else ""
    return f"{link.name} is {link.state.replace('_', ' ')}{reason}"


class Health:
    """Puts the server's state together from boards that are there to be read; asks no actor."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._started_at = parts.runtime.clock.monotonic()
        self.root: Root | None = None
        """The tree, once it has been launched."""
        self.broker_durable = True
        """False while the embedded broker is the fallback, which keeps nothing over its restart."""

    @property
    def ready(self) -> bool:
        """Whether the whole tree is up."""
        return self.root is not None and self.root.ready

    def __call__(self) -> dict[str, Any]:
        """Return the body of `/api/health`.

        `failing` means that the server cannot serve: the tree is not up. `degraded` means that it serves, and
        something it needs is away: a broker (nothing new is heard) or the database (nothing is acknowledged).
        """
        parts = self._parts
        connected = all(board.status.connected for board in parts.link_boards.values())
        database = parts.registry_board.status
        degraded = not connected or not database.ok
        body: dict[str, Any] = {
            "status": "failing" if not self.ready else "degraded" if degraded else "ok",
            "version": __version__,
            "uptime": round(parts.runtime.clock.monotonic() - self._started_at, 3),
            "broker": {
                "connected": connected,
                "durable": self.broker_durable,
                **({} if connected else {"detail": why_not(parts.link_boards.values())}),
                "links": {name: board.status.state.value for name, board in parts.link_boards.items()},
            },
            "database": {
                "ok": database.ok,
                "pending": database.pending,
                "oldest_age": round(database.oldest_age_s(parts.runtime.clock.monotonic()), 3),
            },
            "actors": self._actors(),
            "devices": parts.fleet.counts(),
        }
        if not database.ok:
            body["database"]["error"] = database.last_error
        return body

    def _actors(self) -> dict[str, int]:
        if self.root is None:
            return {"alive": 0, "restarts": 0, "quarantined": 0}
        totals = TreeView(self.root.ref).totals()
        return {name: totals[name] for name in ("alive", "restarts", "quarantined")}
