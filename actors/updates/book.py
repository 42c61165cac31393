"""What the rollouts' actor knows: the rollouts that are not over, whose devices they are, and what is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from actors.updates.header import Header, encode
from actors.updates.messages import Windows
from actors.updates.rollout import Rollout
from actors.updates.states import STATES
from actors.updates.windows import is_open

ACTIONS: Final = ("started", "paused", "resumed", "cancelled", "retried", "windows", "refused", "halted", "completed")
"""What is counted of rollouts; `refused` are requests of operators."""
CALLS: Final = ("called", "missed", "refused")
"""What becomes of a call: `missed` was not there for ten minutes; `refused` has too many commands."""
_NO_WINDOWS: Final[Mapping[str, Windows]] = MappingProxyType({})
_UNDER_WAY: Final = tuple(state for state, rule in STATES.items() if rule.kind == "active")


class UpdatesBoard:
    """What others may know of the rollouts; it outlives the actor's incarnations, and any thread may read it."""

    def __init__(self, configured: Mapping[str, Windows]) -> None:
        self.configured_windows = configured
        """By site; nobody can change these while the server runs."""
        self.stored_windows = _NO_WINDOWS
        """Those that somebody has set, by site."""
        self.actions: Counter[str] = Counter()
        """See `ACTIONS`."""
        self.offers: Counter[str] = Counter()
        """Answers to devices that asked: `given`, or why not."""
        self.reports: Counter[str] = Counter()
        """Reports of devices by state, or why they were not taken."""
        self.calls: Counter[str] = Counter()
        """Devices that were to be told to ask at once: see `CALLS`."""
        self.devices: Mapping[str, int] = MappingProxyType({})
        """How many devices of the rollouts that are not over are in each state."""
        self.rollouts = 0
        """Rollouts that are not over."""

    def windows_of(self, site: str) -> Windows:
        """Return the maintenance windows of a site; empty: it may be updated at any time."""
        return self.configured_windows.get(site) or self.stored_windows.get(site, ())


class Live:
    """A rollout that may still change."""

    __slots__ = ("header", "rollout", "saved_at", "windows")

    def __init__(self, header: Header, rollout: Rollout) -> None:
        self.header = header
        self.rollout = rollout
        self.windows = header.read_windows()
        self.saved_at: dict[str, float] = {}
        """When a device on its way was last written, by serial."""

    def is_open(self, windows: Windows, now: float) -> bool:
        """Return whether its devices of a site may begin; its own windows come before the site's."""
        return is_open(self.windows or windows, now)

    @property
    def is_over(self) -> bool:
        """Whether nothing happens to it any more but that somebody reports late."""
        if self.header.is_active:
            return False
        counts = self.rollout.counts()
        return not any(counts.get(state) for state in _UNDER_WAY)

    def renew(self, now_us: int) -> Header:
        """Return its header as it is now."""
        rollout = self.rollout
        return msgspec.structs.replace(
            self.header,
            status=rollout.status,
            reason=rollout.reason,
            wave=rollout.wave,
            reached_us=None if rollout.reached_at is None else round(rollout.reached_at * 1_000_000),
            counts=encode(rollout.wave_counts()),
            changed_us=now_us,
        )


class Book:
    """The rollouts that are not over, and a few that were looked up for a late report."""

    MOST_VISITED: Final = 4

    def __init__(self, board: UpdatesBoard) -> None:
        self._board = board
        self._live: dict[str, Live] = {}
        self._visited: dict[str, Live] = {}
        self._of: dict[str, str] = {}
        """Serial to the one active rollout of the device."""
        self._active: set[str] = set()
        """Ids of the rollouts in `_of`."""

    def __iter__(self) -> Iterator[Live]:
        return iter(list(self._live.values()))

    def clear(self) -> None:
        """Forget everything: it is read anew."""
        self._live.clear()
        self._visited.clear()
        self._of.clear()
        self._active.clear()

    def get(self, rollout_id: str) -> Live | None:
        """Return a rollout that is known here."""
        return self._live.get(rollout_id) or self._visited.get(rollout_id)

    def of(self, serial: str) -> Live | None:
        """Return the active rollout of a device."""
        rollout_id = self._of.get(serial)
        return self._live[rollout_id] if rollout_id is not None else None

    def put(self, live: Live) -> None:
        """Learn of a rollout, or that it has changed."""
        rollout_id = live.header.id
        self._visited.pop(rollout_id, None)
        if live.is_over:
            self._live.pop(rollout_id, None)
            self._visit(live)
        else:
            self._live[rollout_id] = live
        if live.header.is_active and rollout_id not in self._active:
            self._active.add(rollout_id)
            self._of |= dict.fromkeys(live.rollout.entries, rollout_id)
        elif not live.header.is_active and rollout_id in self._active:
            self._active.discard(rollout_id)
            self._of = {serial: other for serial, other in self._of.items() if other != rollout_id}
        self._tell()

    def forget(self, serial: str) -> None:
        """Forget a device."""
        self._of.pop(serial, None)

    def _visit(self, live: Live) -> None:
        while len(self._visited) >= self.MOST_VISITED:
            del self._visited[next(iter(self._visited))]
        self._visited[live.header.id] = live

    def _tell(self) -> None:
        total: Counter[str] = Counter()
        for rollout_id in self._active:
            total.update(self._live[rollout_id].rollout.counts())
        self._board.devices = MappingProxyType(dict(total))
        self._board.rollouts = len(self._active)
