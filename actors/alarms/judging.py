"""When something is bad, for how long, and when it is over: pure, with the time as an argument."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from actors.alarms.rules import Rule

Act = Literal["raise", "clear"]


@dataclass(slots=True)
class Condition:
    """What one rule knows of one subject."""

    bad: bool
    since: float
    """When it became so, monotonic seconds."""
    value: float | None = None


def is_bad(rule: Rule, value: float, *, is_open: bool) -> bool:
    """Tell whether a number is beyond the limit of a rule; an alarm that is open ends only beyond the hysteresis."""
    over, under = rule.limit
    slack = rule.hysteresis if is_open else 0.0
    return (over is not None and value > over - slack) or (under is not None and value < under + slack)


def observe(condition: Condition | None, *, bad: bool, value: float | None, now: float) -> Condition:
    """Return what is known after one more look."""
    if condition is None or condition.bad != bad:
        return Condition(bad, now, value)
    condition.value = value
    return condition


def decide(rule: Rule, condition: Condition, *, is_open: bool, now: float) -> Act | None:
    """Return what is to be done about an alarm."""
    lasted = now - condition.since
    if condition.bad:
        return "raise" if not is_open and lasted >= rule.lasting else None
    return "clear" if is_open and lasted >= rule.clear_after else None


class Meter:
    """By how much a counter has grown within a window; one that begins anew has grown by what it shows."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._steps: deque[tuple[float, float]] = deque()
        self._last: float | None = None
        self._sum = 0.0

    def grow(self, total: float, now: float) -> float:
        """Take what the counter shows; return its growth within the window."""
        if self._last is not None and total != self._last:
            step = total - self._last if total > self._last else total
            self._steps.append((now, step))
            self._sum += step
        self._last = total
        while self._steps and now - self._steps[0][0] >= self._window:
            self._sum -= self._steps.popleft()[1]
        if not self._steps:
            self._sum = 0.0
        return self._sum
