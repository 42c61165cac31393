"""Children are data: what to start, when to start it again, how to stop it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal, get_args

import pykka

from actors.runtime import ExitReason, compute_backoff
from supervisor.errors import InvalidSpecError
from supervisor.intensity import is_seconds

Restart = Literal["permanent", "transient", "temporary"]
Shutdown = float | Literal["infinity", "brutal"]
Start = Callable[..., pykka.Actor | None]

WORKER_SHUTDOWN = 5.0
"""Seconds a worker has to stop when its spec says nothing; a supervisor has as long as its children need."""


class Strategy(StrEnum):
    """Which children are restarted when one dies."""

    ONE_FOR_ONE = "one_for_one"
    """The one that died."""
    ONE_FOR_ALL = "one_for_all"
    """All of them."""
    REST_FOR_ONE = "rest_for_one"
    """The one that died and those started after it."""


_RESTARTS: dict[tuple[str, bool], bool] = {
    # (restart type, whether the end was abnormal): restart?
    ("permanent", False): True,
    ("permanent", True): True,
    ("transient", False): False,
    ("transient", True): True,
    ("temporary", False): False,
    ("temporary", True): False,
}
ORDERLY = (ExitReason.NORMAL, ExitReason.SHUTDOWN)
"""Ends that are no failure."""


def must_restart(restart: Restart, reason: ExitReason) -> bool:
    """Return whether a child of this restart type that ended for this reason is started again."""
    return _RESTARTS[restart, reason not in ORDERLY]


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """How long to wait before a restart: full jitter, doubling up to a cap, from the start again after a quiet time."""

    base: float = 0.1
    """Upper bound of the first wait, seconds; 0 restarts at once, as OTP does."""
    cap: float = 10.0
    """Upper bound of every wait, seconds."""
    reset_after: float = 60.0
    """A child that was up for this many seconds before it died begins at `base` again."""

    def __post_init__(self) -> None:
        for field in ("base", "cap", "reset_after"):
            if not is_seconds(getattr(self, field)):
                raise InvalidSpecError(f"backoff: {field} must be seconds from 0, not {getattr(self, field)!r}")

    def delay(self, attempt: int, rng: Callable[[], float] = random.random) -> float:
        """Return the wait before restart number `attempt` (from 0), seconds."""
        return compute_backoff(attempt, base=self.base, cap=self.cap, rng=rng)


def _forgotten(*_args: object) -> None:
    """Stand where the start function of a temporary child was: it is never started again, so it is not kept."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child of a supervisor, or the template of all children of a dynamic one."""

    id: str
    """Unique among its siblings; the last part of its path and its name in the supervisor's directory."""
    start: Start
    """Builds the actor and does not start it; its constructor only assigns. None means: nothing to run here now."""
    restart: Restart = "permanent"
    shutdown: Shutdown | None = None
    """Seconds it has to stop before it is killed; None is 5 seconds for a worker, `infinity` for a supervisor."""
    hang_after: float | None = None
    """Seconds that one message may take before the actor counts as hung; None: the watchdog's default for a pooled
    actor, for ever for one with a thread of its own."""
    start_timeout: float | None = None
    """Seconds until it must be ready; None waits for ever (a hang in `on_start` is still the watchdog's business)."""
    backoff: BackoffPolicy | None = None
    """Overrides the supervisor's policy."""

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id or "/" in self.id:
            raise InvalidSpecError(f"child spec: id must be a text without '/', not {self.id!r}")
        if not callable(self.start):
            raise self._invalid("start must be callable", self.start)
        if self.restart not in get_args(Restart):
            raise self._invalid("restart must be permanent, transient or temporary", self.restart)
        if self.shutdown not in (None, "infinity", "brutal") and not is_seconds(self.shutdown):
            raise self._invalid("shutdown must be seconds from 0, 'infinity' or 'brutal'", self.shutdown)
        for field in ("hang_after", "start_timeout"):
            value = getattr(self, field)
            if value is not None and (not is_seconds(value) or value == 0):
                raise self._invalid(f"{field} must be seconds above 0 or None", value)
        if self.backoff is not None and not isinstance(self.backoff, BackoffPolicy):
            raise self._invalid("backoff must be a BackoffPolicy or None", self.backoff)

    def _invalid(self, rule: str, value: Any) -> InvalidSpecError:
        return InvalidSpecError(f"child spec {self.id!r}: {rule}, not {value!r}")

    def spent(self) -> ChildSpec:
        """Return the spec without its start function and all that it holds on to."""
        return replace(self, start=_forgotten)


def check_specs(specs: Iterable[Any]) -> tuple[ChildSpec, ...]:
    """Return the specs if each is one and no id appears twice.

    Raises:
        InvalidSpecError: naming the first that is wrong.

    """
    seen: dict[str, ChildSpec] = {}
    for spec in specs:
        if not isinstance(spec, ChildSpec):
            raise InvalidSpecError(f"not a child spec: {spec!r}")
        if spec.id in seen:
            raise InvalidSpecError(f"child spec {spec.id!r}: the id appears twice")
        seen[spec.id] = spec
    return tuple(seen.values())
