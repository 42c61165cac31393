"""Uploads of releases: a file comes in pieces, over broken connections and restarts, and is verified at its end.

An upload is named by the SHA-256 that was announced, so that whoever begins it anew goes on where it was.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from peewee import Database

from actors.registry import Execute
from actors.storage.releases import (
    Facts,
    StoredRelease,
    StoredUpload,
    add_release,
    add_upload,
    drop_upload,
)
from supervisor.release.archive import LARGEST_ARCHIVE, Release
from supervisor.release.errors import BadReleaseError
from supervisor.release.manifest import Manifest
from supervisor.server.release_files import DiskFullError
from supervisor.server.releases import MOST_RELEASES, ReleaseStore

logger = logging.getLogger(__name__)

MOST_UPLOADS: Final = 4
"""Uploads at a time."""
ABANDONED_AFTER: Final = 24 * 3_600.0
"""Seconds after which an upload that nobody has gone on with is deleted."""
YIELDS_AFTER: Final = 3_600.0
"""Seconds after which such a one makes room for a new one, where all places are taken."""
RESERVE: Final = 64 * 2**20
"""Bytes of the disk that uploads leave to the database."""
PATIENCE: Final = 5.0
"""Seconds that a request waits for another one of the same upload."""
ID_LENGTH: Final = 32
"""Hexadecimal digits of the SHA-256 that name a release and its upload."""


class _Upload:
    """One upload; its part is touched only by who holds its lock."""

    def __init__(self, row: StoredUpload, touched: float) -> None:
        self.row = row
        self.lock = threading.Lock()
        self.touched = touched
        """When something has arrived last, monotonic seconds."""


class Uploads:
    """The uploads to this server; threads may share it."""

    def __init__(self, store: ReleaseStore) -> None:
        self._store = store
        self._files = store.files
        self._uploads: dict[str, _Upload] = {}
        """Changed only by who holds the store's gate."""

    def load(self) -> None:
        """Load the store and the uploads that are open, and delete what nobody has gone on with.

        Raises what `ReleaseStore.load` raises.
        """
        with self._store.gate:
            rows, clock = {row.id: row for row in self._store.load()}, self._store.clock
            grown = self._files.parts()
            for orphan in grown.keys() - rows.keys():
                self._files.drop_part(orphan)
                self._store.count("swept")
            for upload_id, row in rows.items():
                if upload_id not in self._uploads:
                    idle = max(0.0, clock.time() - grown.get(upload_id, row.begun_us / 1_000_000))
                    self._uploads[upload_id] = _Upload(row, clock.monotonic() - idle)
            self._expire(ABANDONED_AFTER)

    def tidy(self) -> None:
        """Delete what nobody has gone on with.

        Raises what the writer raises.
        """
        with self._store.gate:
            self._expire(ABANDONED_AFTER)

    @property
    def open(self) -> int:
        """How many uploads are under way."""
        return len(self._uploads)

    def begin(self, *, size: int, sha256: str, name: str, by: str) -> dict[str, Any]:
        """Begin an upload, or tell how far it is."""
        store, upload_id = self._store, sha256[:ID_LENGTH]
        store.check_loaded()
        with store.gate:
            found = self._release(upload_id)
            if found is not None:
                return {"id": upload_id, "offset": found.size, "release": found.version}
            upload = self._uploads.get(upload_id)
            if upload is not None:
                if (upload.row.size, upload.row.sha256) != (size, sha256):
                    store.refuse(409, "other_size", "there is an upload of this SHA-256 and another size")
                store.count("resumed")
                return self._how_far(upload_id)
            store.trusted_keys()
            self._check_room(size)
            row = StoredUpload(
                id=upload_id,
                server=store.server,
                size=size,
                sha256=sha256,
                name=name,
                begun_us=store.now_us(),
                begun_by=by,
            )
            store.ask(Execute(lambda database: add_upload(database, row)))
            self._uploads[upload_id] = _Upload(row, store.clock.monotonic())
            store.count("begun")
            return self._how_far(upload_id)

    def _how_far(self, upload_id: str) -> dict[str, Any]:
        return {"id": upload_id, "offset": self._files.received(upload_id), "release": None}

    def append(self, upload_id: str, offset: int, chunk: bytes, by: str) -> dict[str, Any]:
        """Take a piece; what has arrived before is passed over, and the last byte makes it a release."""
        self._store.check_loaded()
        upload = self._uploads.get(upload_id)
        if upload is not None:
            with self._held(upload):
                if self._uploads.get(upload_id) is upload:
                    return self._append(upload, offset, chunk, by)
        found = self._release(upload_id)
        if found is None:
            self._store.refuse(404, "not_found", "there is no such upload; begin it anew")
        return {"offset": found.size, "release": found.version}

    def _append(self, upload: _Upload, offset: int, chunk: bytes, by: str) -> dict[str, Any]:
        row, have = upload.row, self._files.received(upload.row.id)
        if offset > have:
            self._store.refuse(409, "wrong_offset", f"the next byte is {have}, not {offset}", offset=have)
        if offset + len(chunk) > row.size:
            self._store.refuse(400, "too_long", f"these are more than the {row.size} bytes that were announced")
        rest = chunk[have - offset :]
        upload.touched = self._store.clock.monotonic()
        if rest:
            try:
                have = self._files.append(row.id, rest)
            except DiskFullError:
                self._store.refuse(507, "no_space", "the disk of the server is full", offset=have)
        if have < row.size:
            return {"offset": have, "release": None}
        return {"offset": have, "release": self._finish(upload, by).version}

    # The end

    def _finish(self, upload: _Upload, by: str) -> StoredRelease:
        """Verify a file that is complete, and make it a release."""
        row = upload.row
        keys = self._store.trusted_keys()
        if self._files.digest(row.id) != row.sha256:
            self._discard(upload)
            self._store.refuse(422, "wrong_hash", "what has arrived has another SHA-256 than was announced")
        try:
            with Release(self._files.part(row.id)) as opened:
                made = self._describe(upload, opened.manifest, opened.verify(keys), by)
        except BadReleaseError as error:
            self._discard(upload)
            self._store.refuse(422, error.code, f"this release is not taken: {error}")
        return self._keep(upload, made)

    def _describe(self, upload: _Upload, manifest: Manifest, key_id: str, by: str) -> StoredRelease:
        facts = Facts(
            name=manifest.name,
            created=manifest.created,
            requires_python=manifest.requires_python,
            platforms=manifest.platforms,
            replaces_from=manifest.replaces_from or "",
            wheels=len(manifest.files),
        )
        return StoredRelease(
            id=upload.row.id,
            version=manifest.version,
            size=upload.row.size,
            sha256=upload.row.sha256,
            key_id=key_id,
            facts=msgspec.json.encode(facts).decode(),
            uploaded_us=self._store.now_us(),
            uploaded_by=by,
        )

    def _keep(self, upload: _Upload, made: StoredRelease) -> StoredRelease:
        """Write the row, then rename the file: a kill in between is mended at the next start."""

        def work(database: Database) -> StoredRelease:
            stored = add_release(database, made)
            drop_upload(database, upload.row.id, upload.row.server)
            return stored

        store = self._store
        with store.gate:
            twin = store.of_version(made.version)
            if twin is not None and twin.id != made.id:
                self._lose(upload, twin)
            stored: StoredRelease = store.ask(Execute(work))
            if stored.id != made.id:
                self._lose(upload, stored)
            self._uploads.pop(made.id, None)
            self._files.keep(made.id)
            store.add(stored)
        store.count("uploaded")
        logger.info("release %s is here, signed by %s", stored.version, stored.key_id)
        return stored

    def _lose(self, upload: _Upload, winner: StoredRelease) -> None:
        """Refuse a version that there is already."""
        self._discard(upload)
        message = f"there is a release {winner.version} already, of other content; a version is given once"
        self._store.refuse(409, "exists", message, version=winner.version)

    def _discard(self, upload: _Upload) -> None:
        row = upload.row
        with self._store.gate:
            self._store.ask(Execute(lambda database: drop_upload(database, row.id, row.server)))
            self._uploads.pop(row.id, None)
            self._files.drop_part(row.id)

    # Bounds

    def _check_room(self, size: int) -> None:
        """Refuse what there is no room for. Called with the gate held."""
        store = self._store
        if size > LARGEST_ARCHIVE:
            store.refuse(413, "too_large", f"a release has at most {LARGEST_ARCHIVE} bytes", limit=LARGEST_ARCHIVE)
        if len(store.rows()) >= MOST_RELEASES:
            store.refuse(507, "full", f"there are {MOST_RELEASES} releases; delete some")
        if len(self._uploads) >= MOST_UPLOADS:
            self._expire(YIELDS_AFTER)
        if len(self._uploads) >= MOST_UPLOADS:
            names = ", ".join(sorted(upload.row.name for upload in self._uploads.values()))
            store.refuse(503, "busy", f"{MOST_UPLOADS} uploads are under way: {names}")
        rows = [upload.row for upload in self._uploads.values()]
        total = store.settings.total_bytes
        if store.size + sum(row.size for row in rows) + size > total:
            store.refuse(507, "full", f"all releases may have {total} bytes together; delete some", limit=total)
        coming = sum(row.size - self._files.received(row.id) for row in rows)
        if self._files.free() - RESERVE < coming + size:
            store.refuse(507, "no_space", "the disk of the server has no room for it")

    def _expire(self, after: float) -> None:
        """Delete uploads that nobody has gone on with for so long. Called with the gate held."""
        now = self._store.clock.monotonic()
        for upload in list(self._uploads.values()):
            if now - upload.touched > after and upload.lock.acquire(blocking=False):
                try:
                    self._discard(upload)
                finally:
                    upload.lock.release()
                self._store.count("abandoned")
                logger.info("the upload of %s was abandoned", upload.row.name)

    def _release(self, release_id: str) -> StoredRelease | None:
        """Return the release that an upload has become."""
        row = self._store.row(release_id)
        if row is None or not self._store.is_here(release_id):
            return None
        if row.revoked_us is not None:
            self._store.refuse(409, "revoked", f"{row.version} was revoked; delete it first", version=row.version)
        return row

    @contextmanager
    def _held(self, upload: _Upload) -> Iterator[None]:
        """Have an upload for this thread alone; 503 where another request is at it for long."""
        if not upload.lock.acquire(timeout=PATIENCE):
            self._store.refuse(503, "busy", "another request of this upload is being handled")
        try:
            yield
        finally:
            upload.lock.release()
