"""The states of a device in a rollout, as a table."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

State = Literal[
    "pending",
    "offered",
    "checking",
    "downloading",
    "verifying",
    "installing",
    "restarting",
    "confirming",
    "postponed",
    "retrying",
    "succeeded",
    "failed",
    "refused",
    "rolled_back",
    "silent",
    "cancelled",
    "skipped",
]


class Rule(NamedTuple):
    """What a state means for the rollout."""

    kind: Literal["waiting", "active", "good", "bad", "out"]
    """`bad` counts towards a halt; `out` counts for nothing."""
    within: float = 0.0
    """Seconds after which a device that has said nothing more is `silent`; 0 is for ever."""
    told: bool = True
    """Whether a device may say it of itself."""


_HOUR: Final = 3600.0
STATES: Final[dict[State, Rule]] = {
    "pending": Rule("waiting", told=False),
    "offered": Rule("waiting", within=24 * _HOUR, told=False),
    "checking": Rule("active", within=_HOUR),
    "downloading": Rule("active", within=6 * _HOUR),
    "verifying": Rule("active", within=_HOUR),
    "installing": Rule("active", within=_HOUR),
    "restarting": Rule("active", within=_HOUR),
    "confirming": Rule("active", within=_HOUR),
    "postponed": Rule("active", within=24 * _HOUR),
    "retrying": Rule("waiting", told=False),
    "succeeded": Rule("good"),
    "failed": Rule("bad"),
    "refused": Rule("bad"),
    "rolled_back": Rule("bad"),
    "silent": Rule("bad", told=False),
    "cancelled": Rule("out", told=False),
    "skipped": Rule("out", told=False),
}
"""State to what it means. The deadlines are the usual ones; a rollout may have its own."""
TOLD: Final = frozenset(state for state, rule in STATES.items() if rule.told)
"""What a device may report."""
FINAL: Final = frozenset(state for state, rule in STATES.items() if rule.kind in ("good", "bad", "out"))
ENDED: Final = frozenset({"completed", "cancelled"})
"""Of a rollout, for good."""

Status = Literal["running", "paused", "halted", "completed", "cancelled"]
