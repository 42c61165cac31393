"""What the routes of releases and updates answer with, as types; see `web.answers`."""

from __future__ import annotations

import msgspec

from web.answers import Page, Time


class Release(msgspec.Struct):
    """A release that was verified."""

    id: str
    """The beginning of the SHA-256 of its file."""
    version: str
    name: str
    size: int
    sha256: str
    key_id: str
    """The trusted key that had signed it when it was uploaded."""
    created: str
    """By the clock of whoever built it."""
    requires_python: str | None
    platforms: list[str]
    replaces_from: str | None
    """The lowest version that it may replace."""
    wheels: int
    uploaded: Time | None
    uploaded_by: str | None
    revoked: Time | None
    revoked_by: str | None
    reason: str | None
    """Why it was revoked."""
    here: bool
    """Whether this server has its file; another one on the same database may."""


class Upload(msgspec.Struct):
    """How far an upload is."""

    id: str
    offset: int
    """The next byte that is wanted."""
    release: str | None
    """The version, once it is complete and verified."""


class UploadProgress(msgspec.Struct):
    """How far an upload is."""

    offset: int
    release: str | None


class NoUpdate(msgspec.Struct):
    """A device is to have nothing now."""

    update: bool
    reason: str
    """One word."""


class Update(msgspec.Struct):
    """What a device is to have."""

    update: bool
    version: str
    release: str
    size: int
    sha256: str
    url: str
    """A path on this server."""
    rollout: str
    force: bool
    """Also in place of a newer version, or of this one after it was rolled back."""
    deadline: float
    """Seconds in which the new version has to confirm."""


class Told(msgspec.Struct):
    """What a device reported is noted."""

    commit: bool
    """Whether it may keep the version that it has tried."""


Releases = Page[Release]
