"""`Reporter`: writes the state of the process into the file that `muster sensor-publisher status` reads."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any, cast

import msgspec
import pykka

from actors.link.status import LinkBoard
from actors.outbox import GetStats, ListRefused, OutboxStats, OutboxUnavailableError, RefusedItem
from actors.publisher import StationBoard
from actors.runtime import Directory, Runtime, ThreadedActor, ToSelf
from actors.timestamps import rfc3339
from actors.uplink.board import UplinkBoard
from supervisor.process.state_file import StateFile
from supervisor.publisher.home import Home
from supervisor.publisher.places import Places

logger = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two looks."""
AT_LEAST_EVERY = 10.0
"""Seconds after which a state that has not changed is written all the same."""
NO_NEWS = ("updated", "oldest_age")
"""What changes by itself."""
ASK_TIMEOUT = 2.0
SHOWN_REFUSALS = 5


class Tick(ToSelf, msgspec.Struct, frozen=True):
    """To itself: write."""


class Reporter(ThreadedActor):
    """Reads boards that others write, asks the outbox for its figures, writes one file."""

    def __init__(
        self,
        home: Home,
        *,
        publisher_id: str,
        places: Places,
        directory: Directory,
        runtime: Runtime,
        link: LinkBoard,
        uplink: UplinkBoard,
        stations: Mapping[str, StationBoard],
    ) -> None:
        super().__init__()
        self._file = StateFile(home.state, runtime.clock, at_least_every=AT_LEAST_EVERY)
        self._id, self._places = publisher_id, places
        self._directory, self._runtime = directory, runtime
        self._link, self._uplink, self._stations = link, uplink, stations
        self._stats = OutboxStats()
        self._refused: list[RefusedItem] = []
        self._started_us = 0

    def on_start(self) -> None:
        """Write the first state at once."""
        self._started_us = self._now_us()
        self.actor_ref.tell(Tick())

    def on_receive(self, message: Any) -> None:
        """Look and write, and again in a second."""
        if isinstance(message, Tick):
            self._look()
            self._write("running")
            self._runtime.timers.after(EVERY, self.actor_ref, Tick())

    def on_stop(self) -> None:
        """Leave a last state; the outbox stops after us."""
        self._look()
        self._write("stopped")

    def _look(self) -> None:
        """Ask the outbox; while it does not answer the figures stay as they are."""
        ref = self._directory.get("outbox")
        if ref is None:
            return
        try:
            self._stats = cast("OutboxStats", ref.ask(GetStats(), timeout=ASK_TIMEOUT))
            self._refused = cast("list[RefusedItem]", ref.ask(ListRefused(SHOWN_REFUSALS), timeout=ASK_TIMEOUT))
        except (pykka.ActorDeadError, pykka.Timeout, OutboxUnavailableError) as error:
            logger.debug("the outbox does not answer: %r", error)

    def _write(self, phase: str) -> None:
        state = self._state(phase)
        self._file.write(state, {key: value for key, value in state.items() if key not in NO_NEWS})

    def _state(self, phase: str) -> dict[str, Any]:
        status, stats = self._uplink.status, self._stats
        return {
            "id": self._id,
            "phase": phase,
            "pid": os.getpid(),
            "started": rfc3339(self._started_us),
            "updated": rfc3339(self._now_us()),
            "configured": status.configured,
            "mode": status.mode,
            "reason": status.reason,
            "since": _time(status.since_us),
            "broker": {"address": self._places.broker_name(), "state": self._link.status.state.value},
            "server": {"url": getattr(self._places.server(), "url", "")},
            "backlog": stats.items,
            "backlog_bytes": stats.bytes,
            "oldest_age": stats.oldest_age,
            "in_flight": status.in_flight,
            "last_success": _time(status.last_success_us),
            "last_error": next(iter(self._errors()), ""),
            "counters": self._uplink.counters.as_dict(),
            "dropped": stats.dropped,
            "corrupt_files": stats.corrupt_files,
            "undelivered": self._directory.undelivered,
            "refused": [{"id": item.id, "reason": item.reason} for item in self._refused],
            "stations": [_station(name, board) for name, board in self._stations.items()],
        }

    def _errors(self) -> list[str]:
        """Return what is wrong now, what weighs most first."""
        status, link = self._uplink.status, self._link.status
        found = [
            self._stats.last_error,
            status.http_error if status.mode == "api" else "",
            "" if link.connected else link.last_error,
            *(f"{name}: {board.last_error}" if board.last_error else "" for name, board in self._stations.items()),
        ]
        return [error for error in found if error]

    def _now_us(self) -> int:
        return int(self._runtime.clock.time() * 1e6)


def _station(name: str, board: StationBoard) -> dict[str, Any]:
    return board.describe(name) | {"last_error": board.last_error, "finished": board.finished}


def _time(us: int) -> str | None:
    return rfc3339(us) if us else None
