"""The seam between releases and rollouts: what a device asks and tells, and what is asked of the rollouts' actor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, Protocol

import msgspec

from actors.updates.plan import Plan, Share
from actors.updates.states import State
from actors.updates.windows import Window

UPDATES: Final = "updates"
"""The actor's name in the directory."""
MOST_TARGETS: Final = 100_000
"""Devices of one rollout."""
MOST_WINDOWS: Final = 20
"""Maintenance windows of one site."""

Code = Literal["not_found", "ended", "in_rollout", "revoked", "nobody", "too_many", "configured", "not_here", "busy"]
Order = Literal["pause", "resume", "cancel"]
Windows = Annotated[tuple[Window, ...], msgspec.Meta(max_length=MOST_WINDOWS)]


# Releases, as the rollouts see them; the store of releases answers.


class ReleaseFacts(msgspec.Struct, frozen=True):
    """What decides whether a device may have a release."""

    id: str
    version: str
    platforms: tuple[str, ...] = ()
    """Empty: any."""
    replaces_from: str = ""
    """The lowest version that it may replace; empty for any."""
    revoked: bool = False


class Releases(Protocol):
    """The store of releases; any thread may ask it, and it does not wait for anything."""

    def facts(self, release_id: str) -> ReleaseFacts | None:
        """Return what is known of a release by its id; None when there is none."""
        ...

    def find(self, version: str) -> ReleaseFacts | None:
        """Return what is known of a release by its version; None when there is none."""
        ...


class Revoked(msgspec.Struct, frozen=True):
    """Tells that a release was revoked, or deleted: its rollouts halt."""

    release_id: str


# Devices


class Offer(msgspec.Struct, frozen=True):
    """Asks what a device is to have now; the answer is an `Offered`."""

    serial: str
    version: str
    """What it runs; empty when it does not say."""
    platform: str = ""
    python: str = ""
    asks: bool = True
    """False when somebody else asks in its place: then nothing is noted of the device."""


class Offered(msgspec.Struct, frozen=True):
    """What a device is to have: nothing, or a release."""

    release_id: str | None
    rollout: str = ""
    force: bool = False
    """Also in place of a newer version, or of this one after it was rolled back."""
    deadline: float = 0.0
    """Seconds in which the new version has to confirm."""
    reason: str = ""
    """One word why there is nothing."""


class Report(msgspec.Struct, frozen=True):
    """Asks to note how far a device is; the answer is a `Reported`, after the commit."""

    serial: str
    state: State
    """One of `actors.updates.states.TOLD`."""
    version: str
    nonce: str = ""
    reason: str = ""
    detail: str = ""
    progress: float | None = None
    """0 to 1, of its state."""
    rollout: str = ""
    """The id that came with the offer; empty when the device does not say."""


class Reported(msgspec.Struct, frozen=True):
    """The report is on the disk."""

    commit: bool
    """True only for `confirming` of a version that this device is to have."""


# Operators


class Origin(msgspec.Struct, frozen=True):
    """Who asks, and from where."""

    by: str
    address: str


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for a new rollout; the answer is its `Header`. Whoever sends this has checked every field."""

    release: str
    """Version, or id."""
    serials: tuple[str, ...]
    target: str
    """The target in words, for people."""
    share: Share = 1.0
    """Of the serials; which ones is random."""
    plan: Plan
    windows: Windows = ()
    """Of this rollout; where there are none, those of the device's site."""
    origin: Origin


class Command(msgspec.Struct, frozen=True):
    """Asks to pause, resume or cancel a rollout; the answer is its `Header`."""

    id: str
    order: Order
    origin: Origin


class Retry(msgspec.Struct, frozen=True):
    """Asks to offer a rollout anew to devices on which it has not succeeded; the answer is its `Header`."""

    id: str
    serials: tuple[str, ...] | None
    """None: all on which it has not."""
    origin: Origin


class InUse(msgspec.Struct, frozen=True):
    """Asks which rollouts of a release are not over; the answer is a list of their ids."""

    release_id: str


class PutWindows(msgspec.Struct, frozen=True):
    """Asks to set the maintenance windows of a site; none deletes them. The answer is None."""

    site: str
    windows: Windows
    origin: Origin


class Forget(msgspec.Struct, frozen=True):
    """Tells that devices were deleted: they leave their rollouts."""

    serials: Sequence[str]


class RolloutError(Exception):
    """Why something cannot be done with a rollout; the message is one sentence."""

    def __init__(self, code: Code, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
