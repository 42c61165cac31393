"""What may follow what: a command's row, a change, and the row after it. Pure, so that it can be read as a table."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import msgspec

from actors.commands.messages import OPEN, State
from actors.commands.payloads import Response

Verdict = Literal["done", "unchanged", "late", "duplicate"]
"""`late`: the answer to a command that was over already is noted; `duplicate`: it says nothing new."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `command`; `actors.storage.models` tells what its columns mean."""

    id: str
    batch: str = ""
    serial: str
    name: str
    args: str = "{}"
    state: State = "queued"
    result: str = ""
    reason: str = ""
    created_us: int
    deadline_us: int
    sent_us: int | None = None
    accepted_us: int | None = None
    changed_us: int
    by: str = ""

    @property
    def is_open(self) -> bool:
        """Return whether it is not over."""
        return self.state in OPEN

    @property
    def is_due(self) -> bool:
        """Return whether it has to be sent: it was not, or nobody knows whether the broker has it."""
        return self.state == "queued" or (self.state == "sent" and self.accepted_us is None)


class Sent(msgspec.Struct, frozen=True, gc=False):
    """It is handed to the link next."""

    id: str


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The broker has taken it, for somebody who has subscribed as far as it tells."""

    id: str


class Waits(msgspec.Struct, frozen=True, gc=False):
    """It did not reach anybody and will be sent again."""

    id: str
    reason: str


class Refused(msgspec.Struct, frozen=True, gc=False):
    """The broker will never take it."""

    id: str
    reason: str


class Answered(msgspec.Struct, frozen=True, gc=False):
    """The device has said how it goes."""

    id: str
    serial: str
    response: Response


class TimedOut(msgspec.Struct, frozen=True, gc=False):
    """Its deadline has passed."""

    id: str


class Cancelled(msgspec.Struct, frozen=True, gc=False):
    """An operator does not want it any more."""

    id: str
    by: str


Change = Sent | Accepted | Waits | Refused | Answered | TimedOut | Cancelled

OVERDUE: Final = {
    "queued": "the device did not come in time",
    "sent": "the device did not answer in time",
    "running": "the device did not finish in time",
}
"""Why a command has timed out, by the state in which its deadline found it."""


class Judged(NamedTuple):
    """What a change has made of a row."""

    row: Command
    verdict: Verdict


def judge(row: Command, change: Change, now_us: int) -> Judged:
    """Return the row after a change. What is over stays over, whatever a device says of it afterwards."""
    match change:
        case Answered():
            return _answered(row, change.response, now_us)
        case Accepted() if row.is_open and row.accepted_us is None:
            return Judged(msgspec.structs.replace(row, accepted_us=now_us), "done")
        case Sent() if row.is_due:
            return _moved(row, "sent", "", now_us, sent_us=now_us)
        case Waits() if row.state == "sent":
            return _moved(row, "queued", change.reason, now_us)
        case Refused() if row.state == "sent":
            return _moved(row, "failed", change.reason, now_us)
        case TimedOut() if row.is_open:
            why = OVERDUE[row.state]
            return _moved(row, "timed_out", f"{why}: {row.reason}" if row.reason else why, now_us)
        case Cancelled() if row.is_open:
            had = "" if row.state == "queued" else ", the device may have begun"
            return _moved(row, "cancelled", f"cancelled by {change.by}{had}", now_us)
    return Judged(row, "unchanged")


def _answered(row: Command, told: Response, now_us: int) -> Judged:
    if row.is_open:
        if told.state == "running" and row.state == "running":
            return Judged(row, "duplicate")
        return _moved(row, told.state, told.reason, now_us, result=told.result)
    note = f"the device answered `{told.state}` afterwards"
    if row.state in ("timed_out", "cancelled") and told.state != "running" and note not in row.reason:
        reason = f"{row.reason}; {note}" + (f": {told.reason}" if told.reason else "")
        return Judged(msgspec.structs.replace(row, reason=reason, result=told.result, changed_us=now_us), "late")
    return Judged(row, "duplicate")


def _moved(row: Command, state: State, reason: str, now_us: int, **fields: int | str) -> Judged:
    return Judged(msgspec.structs.replace(row, state=state, reason=reason, changed_us=now_us, **fields), "done")
