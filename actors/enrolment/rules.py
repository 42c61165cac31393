"""Who is given credentials: pure decisions on what is known of a serial.

| what is known | who asks | ruling |
|---|---|---|
| denied | anybody | refused |
| anything else | shows a valid token of the device | granted |
| nothing | anybody | granted; waits where an operator has to approve everybody |
| approved, not longer ago than a day | whoever the approval was for | granted, and the approval is used up |
| enrolled | repeats the claim of the request that was granted | granted: the answer has been lost |
| all else | anybody | waits for an operator |
"""

from __future__ import annotations

import hashlib
from typing import Final, Literal, NamedTuple

import msgspec

APPROVED_FOR_US: Final = 24 * 3600 * 1_000_000
"""How long an approval is valid."""

State = Literal["pending", "approved", "enrolled", "denied"]


class Ruling(NamedTuple):
    """What becomes of a request."""

    outcome: Literal["granted", "waits", "refused", "full"]
    why: str
    """For the record."""


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `enrolment`."""

    serial: str
    state: State
    token_id: int | None = None
    """The token it was given last; None when it was revoked, or none was given yet."""
    hostname: str = ""
    mac_address: str = ""
    device_type: str = ""
    address: str = ""
    requested_us: int = 0
    enrolled_us: int | None = None
    approved_until_us: int | None = None
    changed_by: str = ""
    """The operator behind the last decision, or `device`."""
    claim: str = ""
    """Digest of the claim of the last request that was noted."""

    def state_at(self, now_us: int) -> State:
        """Return the state: an approval that nobody has used ends by itself."""
        if self.state == "approved" and (self.approved_until_us or 0) <= now_us:
            return "pending" if self.token_id is None else "enrolled"
        return self.state


def fingerprint(row: Enrolment, now_us: int) -> str:
    """Return a short name of the request that waits, or was approved, so that a decision is on the one that was seen.

    It holds what tells askers apart, and not the time: one that waits may ask again and again. Empty where none waits.
    """
    if row.state_at(now_us) not in ("pending", "approved"):
        return ""
    return hashlib.sha256(msgspec.json.encode(asker(row))).hexdigest()[:16]


def asker(row: Enrolment) -> tuple[str, ...]:
    """Return what tells who has asked from others that ask for the same serial."""
    return row.hostname, row.mac_address, row.device_type, row.address, row.claim


def rule(known: Enrolment | None, claim: str, *, is_proven: bool, all_wait: bool, now_us: int) -> Ruling:
    """Return what becomes of a request that bears the fleet's key.

    Args:
        known: what there is of this serial.
        claim: digest of the request's claim, empty without one.
        is_proven: whether a valid token of this very device was shown.
        all_wait: whether a first enrolment waits for an operator, too.
        now_us: the time.

    """
    if known is not None and known.state == "denied":
        return Ruling("refused", f"denied by {known.changed_by}")
    if is_proven:
        return Ruling("granted", "it showed a valid token of its own")
    if known is None:
        first = "the first enrolment of this serial"
        return Ruling("waits", f"{first}, which an operator has to approve") if all_wait else Ruling("granted", first)
    state = known.state_at(now_us)
    # An approval is meant for the one who was seen to wait: another one may know the fleet's key as well.
    is_same = known.claim == claim
    if state == "approved" and (is_same or not known.claim):
        return Ruling("granted", f"approved by {known.changed_by}")
    if state == "enrolled" and is_same and claim:
        return Ruling("granted", "it repeated a request whose answer was lost")
    return Ruling("waits", "it has not proved to be the device that this serial belongs to")
