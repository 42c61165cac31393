"""The store of releases: what was verified, what was revoked, and where the files are."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from peewee import Database
from pykka import ActorDeadError

from actors.registry import Execute
from actors.runtime import Clock
from actors.storage.releases import StoredRelease, StoredUpload, drop_release, load_releases, revoke_release
from actors.updates.messages import ReleaseFacts
from actors.updates.settings import UpdateSettings
from supervisor.release.errors import KeyFileError
from supervisor.release.keys import PublicKey, load_trusted
from supervisor.server.release_files import ReleaseFiles
from web.releases import OpenRelease, Outcome, ReleasesRefusedError

logger = logging.getLogger(__name__)

DIRECTORY: Final = "releases"
KEYS: Final = "release-keys"
"""Directories within the data directory."""
MOST_RELEASES: Final = 1_000

Ask = Callable[[Any], Any]
"""Asks the writer; raises what `Parts.ask_registry` does."""


class ReleaseStore:
    """What may be rolled out: rows from the database, kept in memory, and files; threads may share it."""

    def __init__(
        self,
        settings: UpdateSettings,
        data_path: Path,
        *,
        server: str,
        ask: Ask,
        clock: Clock,
        in_use: Callable[[str], Sequence[str]],
        on_gone: Callable[[str], None],
    ) -> None:
        """Assign; nothing is known before `load`.

        Args:
            settings: of the configuration.
            data_path: the data directory.
            server: the public name of this server: others may share the database.
            ask: asks the writer.
            clock: the time.
            in_use: returns the rollouts that need a release, by their ids.
            on_gone: told the id of a release that was revoked or deleted.

        """
        self.settings = settings
        self.files = ReleaseFiles(data_path / DIRECTORY)
        self.keys_path = data_path / KEYS
        self.server = server
        self.ask = ask
        self.clock = clock
        self.gate = threading.RLock()
        """Held by whoever changes rows and files together: a sweep must not see one without the other."""
        self.refused: Counter[str] = Counter()
        """Uploads and requests that were refused, by code."""
        self.counts: Counter[str] = Counter()
        """What was done, see `EVENTS`."""
        self.downloads: Counter[Outcome] = Counter()
        self.sent = 0
        """Bytes of all downloads."""
        self._in_use = in_use
        self._on_gone = on_gone
        self._lock = threading.Lock()
        self._rows: dict[str, StoredRelease] = {}
        self._here: frozenset[str] = frozenset()
        self._loaded = False

    # What is there

    def load(self) -> list[StoredUpload]:
        """Read what the database knows, and delete files that it does not; return the uploads to this server.

        A directory that cannot be used is logged, and has no files: the fleet is looked after all the same.
        Raises what `ask` raises.
        """
        with self.gate:
            found: tuple[list[StoredRelease], list[StoredUpload]] = self.ask(
                Execute(lambda database: load_releases(database, self.server))
            )
            rows, uploads = {row.id: row for row in found[0]}, found[1]
            try:
                here = self._look_at_files(rows, {upload.id for upload in uploads})
            except OSError as error:
                logger.warning("the releases of this server cannot be reached: %s", error)
                here = frozenset()
            with self._lock:
                self._rows, self._here, self._loaded = rows, here, True
            return uploads

    def _look_at_files(self, rows: dict[str, StoredRelease], uploads: set[str]) -> frozenset[str]:
        """Return whose files are here, after tidying up."""
        self.files.prepare()
        self.keys_path.mkdir(mode=0o700, exist_ok=True)
        self._finish_renames(rows, uploads)
        here = self.files.releases()
        for orphan in here - rows.keys():
            logger.warning("deleting %s: the database knows no release of it", self.files.path(orphan))
            self.files.drop(orphan)
            self.count("swept")
        return frozenset(here & rows.keys())

    def _finish_renames(self, rows: dict[str, StoredRelease], uploads: set[str]) -> None:
        """Rename files that were verified when the process was killed: their upload is over, by its row."""
        for release_id in self.files.parts().keys() - uploads:
            row = rows.get(release_id)
            if row is not None and self.files.received(release_id) == row.size:
                self.files.keep(release_id)

    def check_loaded(self) -> None:
        """Raise ActorDeadError while nothing is known yet."""
        if not self._loaded:
            raise ActorDeadError("the releases are not read yet")

    def facts(self, release_id: str) -> ReleaseFacts | None:
        """Return what decides whether a device may have a release; None when there is none of this id."""
        row = self._rows.get(release_id)
        return _facts(row) if row is not None else None

    def find(self, version: str) -> ReleaseFacts | None:
        """Return the same for a version whose file this server has."""
        row = self.of_version(version)
        return _facts(row) if row is not None and row.id in self._here else None

    def of_version(self, version: str) -> StoredRelease | None:
        """Return the release of a version, however it is spelled."""
        rows = list(self._rows.values())
        exact = next((row for row in rows if row.version == version), None)
        return exact or next((row for row in rows if _same(row.version, version)), None)

    def row(self, release_id: str) -> StoredRelease | None:
        """Return a release."""
        return self._rows.get(release_id)

    def rows(self) -> list[StoredRelease]:
        """Return all releases, the last uploaded first."""
        return sorted(self._rows.values(), key=lambda row: (row.uploaded_us, row.id), reverse=True)

    def is_here(self, release_id: str) -> bool:
        """Return whether this server has the file."""
        return release_id in self._here

    def may_go(self, release_id: str) -> bool:
        """Return whether a release may be given away."""
        row = self._rows.get(release_id)
        return row is not None and row.revoked_us is None and release_id in self._here

    @property
    def size(self) -> int:
        """Bytes of all files that this server has."""
        return sum(row.size for row in list(self._rows.values()) if row.id in self._here)

    def trusted_keys(self) -> dict[str, PublicKey]:
        """Return whose releases are taken.

        Raises:
            ReleasesRefusedError: nobody's, or a file of keys cannot be used.

        """
        try:
            keys = load_trusted([self.keys_path])
        except KeyFileError as error:
            self.refuse(409, "bad_keys", f"this server cannot read whom it trusts: {str(error).rstrip('.')}")
        keys |= {key.key_id: key for key in map(PublicKey.read, self.settings.keys)}
        if not keys:
            where = "put a public key into release-keys/ of its data directory, or into updates.keys of its file"
            self.refuse(409, "no_keys", f"this server trusts nobody's releases yet: {where}")
        return keys

    # What changes it

    def add(self, row: StoredRelease) -> None:
        """Take in a release whose file is here."""
        with self._lock:
            self._rows = self._rows | {row.id: row}
            self._here = self._here | {row.id}

    def revoke(self, version: str, reason: str, by: str) -> StoredRelease:
        """Let nobody have a release any more; a second time changes nothing."""
        row, now_us = self.known(version), self.now_us()
        with self.gate:
            stored: StoredRelease | None = self.ask(
                Execute(lambda database: revoke_release(database, row.id, now_us, by, reason))
            )
            if stored is None:
                self._unknown(version)
            with self._lock:
                self._rows = self._rows | {row.id: stored}
        self.count("revoked")
        self._on_gone(row.id)
        return stored

    def delete(self, version: str) -> None:
        """Forget a release that no rollout needs, with its file."""
        row = self.known(version)
        rollouts = list(self._in_use(row.id))
        if rollouts:
            message = f"{row.version} is being rolled out; cancel that first"
            self.refuse(409, "in_use", message, version=row.version, rollouts=rollouts)

        def work(database: Database) -> None:
            drop_release(database, row.id)

        with self.gate:
            self.ask(Execute(work))
            with self._lock:
                self._rows = {key: kept for key, kept in self._rows.items() if key != row.id}
                self._here = self._here - {row.id}
            self.files.drop(row.id)
        self.count("deleted")
        self._on_gone(row.id)

    def open(self, release_id: str) -> OpenRelease:
        """Open a release's file for a download."""
        self.check_loaded()
        row = self._rows.get(release_id)
        if row is None:
            self.refuse(404, "not_found", f"there is no release {release_id[:64]}")
        if row.revoked_us is not None:
            self.refuse(410, "revoked", f"{row.version} was revoked", version=row.version)
        try:
            return OpenRelease(self.files.path(row.id).open("rb"), row.size, row.sha256)
        except FileNotFoundError:
            self.refuse(404, "not_here", f"the file of {row.version} is not on this server", version=row.version)

    # Helpers of those who share it

    def known(self, version: str) -> StoredRelease:
        """Return the release of a version. Raises the 404."""
        self.check_loaded()
        row = self.of_version(version)
        if row is None:
            self._unknown(version)
        return row

    def refuse(self, status: int, code: str, message: str, **details: Any) -> NoReturn:
        """Count a refusal and raise it."""
        with self._lock:
            self.refused[code] += 1
        raise ReleasesRefusedError(status, code, message, details)

    def count(self, event: str) -> None:
        """Count what was done."""
        with self._lock:
            self.counts[event] += 1

    def count_download(self, outcome: Outcome, sent: int) -> None:
        """Count a download that has ended."""
        with self._lock:
            self.downloads[outcome] += 1
            self.sent += sent

    def now_us(self) -> int:
        """Return the time, microseconds since 1970."""
        return int(self.clock.time() * 1_000_000)

    def _unknown(self, version: str) -> NoReturn:
        self.refuse(404, "not_found", f"there is no release of version {version[:64]}", version=version[:64])


EVENTS: Final = ("begun", "resumed", "uploaded", "abandoned", "swept", "revoked", "deleted")
"""What is counted: `abandoned` are uploads that nobody has gone on with, `swept` files that belonged to nothing."""


def _facts(row: StoredRelease) -> ReleaseFacts:
    facts = row.read_facts()
    return ReleaseFacts(row.id, row.version, facts.platforms, facts.replaces_from, row.revoked_us is not None)


def _same(one: str, other: str) -> bool:
    """Return whether two spellings are one version: 1.0 is 1.0.0."""
    from supervisor.release.versions import compare, is_version

    return is_version(other) and compare(one, other) == 0
