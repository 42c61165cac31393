"""Releases and updates as the HTTP face sees them: part of `web.face`, in a module of its own for its length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from actors.updates.messages import Report
    from web.face import Item

CHUNK: Final = 900_000
"""Bytes of an upload that one request may bring."""

Outcome = Literal["whole", "part", "broken", "revoked", "replaced", "slow", "stopped", "busy"]
"""How a download has ended: all of the file was sent, or the range that was asked for; the client went; the release was
revoked; the same device has begun another one; it was too slow; the server stops; there was no place for it."""


class ReleasesRefusedError(Exception):
    """What was asked of a release or an upload was refused; whoever asked is told why."""

    def __init__(self, status: int, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        """Assign.

        Args:
            status: the HTTP status: 400, 404, 409, 410, 413, 422, 503 or 507.
            code: one word for programs; docs/releases.md lists them.
            message: one sentence for people.
            details: what it is about: `version`, `offset`, `rollouts`.

        """
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})


class OpenRelease(NamedTuple):
    """A release's file, open for reading; whoever gets it closes it."""

    file: IO[bytes]
    size: int
    sha256: str


class Releases(Protocol):
    """What may be rolled out.

    A release has `id`, `version`, `name`, `size`, `sha256`, `key_id`, `created`, `requires_python`, `platforms`,
    `replaces_from`, `wheels`, `uploaded_us`, `uploaded_by`, `revoked_us`, `revoked_by`, `reason` and `here` (whether
    this server has its file). Every method but the last two may raise `ReleasesRefusedError`.
    """

    def items(self, limit: int, cursor: str) -> tuple[list[Item], str | None]:
        """Return releases, the last uploaded first. Raises ValueError for a cursor that is not ours."""
        ...

    def get(self, version: str) -> Item:
        """Return one release."""
        ...

    def begin(self, *, size: int, sha256: str, name: str, by: str) -> Item:
        """Begin an upload, or go on with it: `id`, `offset` and `release` (its version once it is complete)."""
        ...

    def append(self, upload: str, offset: int, chunk: bytes, by: str) -> Item:
        """Take what follows at `offset`; `offset` and `release` as of `begin`. The last byte makes it a release."""
        ...

    def revoke(self, version: str, reason: str, by: str) -> Item:
        """Let nobody have a release any more, and return it."""
        ...

    def delete(self, version: str, by: str) -> None:
        """Forget a release that no rollout needs."""
        ...

    def open(self, release_id: str) -> OpenRelease:
        """Open a release for a download."""
        ...

    def may_go(self, release_id: str) -> bool:
        """Tell whether a release may still be given away; at once."""
        ...

    def count_download(self, outcome: Outcome, sent: int) -> None:
        """Count a download that has ended, and the bytes that were sent."""
        ...


class Ota(Protocol):
    """What devices ask and tell."""

    def check(self, serial: str, version: str, platform: str, python: str, *, asks: bool) -> Item:
        """Return what a device is to have now: `update`, with `reason` where it is False.

        Where it is True: `version`, `release`, `size`, `sha256`, `rollout`, `force` and `deadline` (seconds).
        """
        ...

    def report(self, report: Report) -> bool:
        """Note how far a device is; True where it may keep the version that it has tried."""
        ...
