"""A rollout without its devices: the row that is stored, listed and shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from actors.updates.messages import Windows
from actors.updates.plan import Plan
from actors.updates.states import ENDED, Status


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a rollout; the fields are the columns of its row."""

    id: str
    release_id: str
    version: str
    target: str
    """In words."""
    status: Status = "running"
    reason: str = ""
    """Why it is halted."""
    wave: int = 0
    """The one that is under way, from 0."""
    reached_us: int | None = None
    """When that wave reached its threshold."""
    plan: str
    """JSON of a `Plan`."""
    windows: str = "[]"
    """JSON of its own maintenance windows."""
    counts: str = "[]"
    """JSON of a list: per wave how many devices are in each state."""
    created_us: int
    changed_us: int
    by: str = ""
    """Who has started it."""

    @property
    def is_active(self) -> bool:
        """Whether its devices belong to it alone."""
        return self.status not in ENDED

    def read_plan(self) -> Plan:
        """Return the plan."""
        return msgspec.json.decode(self.plan, type=Plan)

    def read_windows(self) -> Windows:
        """Return its own maintenance windows."""
        return msgspec.json.decode(self.windows, type=Windows)

    def read_counts(self) -> list[dict[str, int]]:
        """Return per wave how many devices are in each state."""
        return msgspec.json.decode(self.counts, type=list[dict[str, int]])


def encode(value: Any) -> str:
    """Return the JSON that a column holds."""
    return msgspec.json.encode(value).decode()


def shown(header: Header) -> dict[str, Any]:
    """Return a rollout as operators see it: waves are numbered from 1, and each says how its devices are."""
    plan, by_wave = header.read_plan(), header.read_counts()
    waves = [
        msgspec.to_builtins(wave) | {"devices": sum(counts.values()), "counts": counts}
        for wave, counts in zip(plan.waves, by_wave, strict=True)
    ]
    told = {name: getattr(header, name) for name in ("id", "version", "target", "status", "reason", "by")}
    times = {name: getattr(header, name) for name in ("created_us", "changed_us", "reached_us")}
    total = add_up(by_wave)
    rest = msgspec.to_builtins(plan)
    del rest["waves"]
    return (
        told
        | times
        | {"release": header.release_id, "wave": header.wave + 1, "waves": waves}
        | {"devices": sum(total.values()), "counts": total, "plan": rest}
        | {"windows": msgspec.to_builtins(header.read_windows())}
    )


def event(header: Header) -> dict[str, Any]:
    """Return what the live page is told: where the rollout stands."""
    total = add_up(header.read_counts())
    told = {name: getattr(header, name) for name in ("id", "version", "status", "reason")}
    return told | {"wave": header.wave + 1, "devices": sum(total.values()), "counts": total}


def add_up(by_wave: list[dict[str, int]]) -> Mapping[str, int]:
    """Return how many devices are in each state, of all waves."""
    total: dict[str, int] = {}
    for counts in by_wave:
        for state, count in counts.items():
            total[state] = total.get(state, 0) + count
    return total
