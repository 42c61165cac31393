"""What an operator asks of a rollout: waves, thresholds, deadlines; and who is in which wave."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from actors.updates.states import STATES, State

MOST_WAVES: Final = 20
_TRIAL: Final = ("restarting", "confirming")
"""States of a device that tries a version out, for which it has the time of the trial."""
LONGEST: Final = 90 * 86_400.0
"""Seconds of any waiting time."""

Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=LONGEST)]


class Wave(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the devices that are updated together."""

    share: Share
    """Of all devices of the rollout; the last wave takes whoever is left."""
    success: Share = 0.95
    """Of the wave: so many must have succeeded before the next one begins."""
    wait: Seconds = 3600.0
    """Seconds from then to the next wave, in which a failure still halts."""


USUAL_WAVES: Final = (
    Wave(share=0.05, success=1.0, wait=3600.0),
    Wave(share=0.25, success=0.95, wait=3600.0),
    Wave(share=1.0, success=0.95, wait=0.0),
)
"""A canary, a quarter, the rest."""
Waves = Annotated[tuple[Wave, ...], msgspec.Meta(min_length=1, max_length=MOST_WAVES)]


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a rollout goes."""

    waves: Waves = USUAL_WAVES
    failures: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.1
    """Of the devices that were offered the release: more that failed, rolled back or fell silent halt the rollout."""
    deadlines: dict[str, Annotated[float, msgspec.Meta(gt=0, le=LONGEST)]] = {}
    """State to the seconds that a device may be in it, whatever it says; else the usual ones."""
    silent_after: Annotated[float, msgspec.Meta(gt=0, le=LONGEST)] | None = None
    """Seconds without a word after which a device that has begun is silent, within the deadline of its state.

    One on hold is not meant: it has said when to expect nothing.
    """
    retries: Annotated[int, msgspec.Meta(ge=0, le=10)] = 1
    """How often a device that has failed gets it again; one that has refused it or rolled back does not."""
    retry_after: Annotated[float, msgspec.Meta(gt=0, le=LONGEST)] = 600.0
    force: bool = False
    """Also for devices on which this version has been rolled back before, and in place of a newer one."""
    trial: Annotated[float, msgspec.Meta(ge=60, le=86_400)] = 900.0
    """Seconds that a new version has on a device, from its start, to reach this server; else the device goes back."""
    call: bool = True
    """Whether devices that are there are told to ask at once; else each asks within the hour."""
    most_active: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1_000
    """Devices that may be downloading and installing at a time."""

    def __post_init__(self) -> None:
        """Refuse deadlines of states that have none."""
        for state in self.deadlines:
            if state not in STATES or not STATES[state].within:
                raise ValueError(f"`deadlines` has no state {state!r}")

    def within(self, state: State) -> float:
        """Return the seconds that a device may be in a state, 0 for ever."""
        if state == "retrying":
            return self.retry_after
        usual = STATES[state].within
        if state in _TRIAL:
            usual += self.trial
        return self.deadlines.get(state, usual)


def assign_waves(serials: Sequence[str], waves: Sequence[Wave], seed: str) -> dict[str, int]:
    """Return the number of its wave for each device.

    Which devices are the canaries is random, and the same whenever it is asked for one rollout; every wave has at
    least one device, as long as there are any.

    Args:
        serials: of all devices of the rollout.
        waves: their shares; the last takes the rest.
        seed: the rollout's id.

    """
    order = shuffle(serials, seed)
    assigned: dict[str, int] = {}
    at = 0
    for number, wave in enumerate(waves):
        is_last = number == len(waves) - 1
        end = len(order) if is_last else min(len(order), at + _part(len(order), wave.share))
        assigned |= dict.fromkeys(order[at:end], number)
        at = end
    return assigned


def choose(serials: Sequence[str], share: float, seed: str) -> list[str]:
    """Return a share of the devices, at least one; which ones is random, and the same for one seed."""
    order = shuffle(serials, f"share {seed}")
    return order[: _part(len(order), share)]


def _part(count: int, share: float) -> int:
    """Return no more than a share of so many devices, but one at least."""
    return max(1, math.floor(count * share + 1e-9))  # shares are no exact fractions


def shuffle(serials: Sequence[str], seed: str) -> list[str]:
    """Return the devices, each once, in an order that is random and the same for one seed."""
    return sorted(set(serials), key=lambda serial: hashlib.sha256(f"{seed}\0{serial}".encode()).digest())
