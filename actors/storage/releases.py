"""Releases and uploads in the database; all that changes them runs in the writer."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.storage.models import Release, Upload


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a release's manifest."""

    name: str
    """The distribution that it installs."""
    created: str
    """RFC 3339, by the clock of whoever built it."""
    requires_python: str
    """PEP 440 specifiers; empty for any."""
    platforms: tuple[str, ...]
    replaces_from: str
    """The lowest version that it may replace; empty for any."""
    wheels: int


class StoredRelease(msgspec.Struct, frozen=True, kw_only=True):
    """One release; the fields are columns."""

    id: str
    """The beginning of the SHA-256 of its file."""
    version: str
    size: int
    """Bytes of the file."""
    sha256: str
    key_id: str
    """The trusted key that had signed it when it was uploaded."""
    facts: str
    """JSON of `Facts`."""
    uploaded_us: int
    uploaded_by: str
    revoked_us: int | None = None
    revoked_by: str = ""
    reason: str = ""
    """Why it was revoked."""

    def read_facts(self) -> Facts:
        """Return what its manifest says."""
        return _decode_facts(self.facts)


class StoredUpload(msgspec.Struct, frozen=True, kw_only=True):
    """One upload; the fields are columns."""

    id: str
    """That of the release that it becomes."""
    server: str
    """The public name of the server that has the file."""
    size: int
    sha256: str
    name: str
    """Of the file, for people."""
    begun_us: int
    begun_by: str


_decode_facts = msgspec.json.Decoder(Facts).decode
_RELEASE: Final = [getattr(Release, name) for name in StoredRelease.__struct_fields__]
_UPLOAD: Final = [getattr(Upload, name) for name in StoredUpload.__struct_fields__]


def load_releases(database: Any, server: str) -> tuple[list[StoredRelease], list[StoredUpload]]:
    """Return all releases, and the uploads to one server."""
    releases = [StoredRelease(**row) for row in Release.select(*_RELEASE).dicts().execute(database)]
    query = Upload.select(*_UPLOAD).where(Upload.server == server).dicts()
    return releases, [StoredUpload(**row) for row in query.execute(database)]


def add_release(database: Any, release: StoredRelease) -> StoredRelease:
    """Write a release, unless there is one of its version; return what stands there."""
    rows = Release.select(*_RELEASE).where(Release.version == release.version).dicts().execute(database)
    for row in rows:
        return StoredRelease(**row)
    Release.insert(**msgspec.structs.asdict(release)).execute(database)
    return release


def revoke_release(database: Any, release_id: str, now_us: int, by: str, reason: str) -> StoredRelease | None:
    """Note that a release must not be used any more, once; return what stands there, None for nothing."""
    fields = {"revoked_us": now_us, "revoked_by": by, "reason": reason}
    Release.update(**fields).where((Release.id == release_id) & Release.revoked_us.is_null()).execute(database)
    for row in Release.select(*_RELEASE).where(Release.id == release_id).dicts().execute(database):
        return StoredRelease(**row)
    return None


def drop_release(database: Any, release_id: str) -> None:
    """Forget a release."""
    Release.delete().where(Release.id == release_id).execute(database)


def add_upload(database: Any, upload: StoredUpload) -> None:
    """Write an upload in place of what an earlier one has left."""
    drop_upload(database, upload.id, upload.server)
    Upload.insert(**msgspec.structs.asdict(upload)).execute(database)


def drop_upload(database: Any, upload_id: str, server: str) -> None:
    """Forget an upload."""
    Upload.delete().where((Upload.id == upload_id) & (Upload.server == server)).execute(database)
