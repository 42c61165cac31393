"""The files of releases: whole ones, which were verified, and parts of those that are being uploaded.

A file is named by the beginning of its SHA-256. A part only ever grows at its end, and what was told to have arrived is
on the disk; it becomes a release by a rename.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path
from typing import Final

from supervisor.release.archive import SUFFIX

PART: Final = ".part"
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DiskFullError(Exception):
    """There is no room for what was to be written, and nothing of it was."""


class ReleaseFiles:
    """The directory; threads may share it, but not one part."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def prepare(self) -> None:
        """Make the directory, for our eyes only."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sync(self._directory.parent)

    def path(self, release_id: str) -> Path:
        """Return where a release lies."""
        return self._directory / f"{release_id}{SUFFIX}"

    def part(self, release_id: str) -> Path:
        """Return where what has arrived of one lies."""
        return self._directory / f"{release_id}{PART}"

    def releases(self) -> set[str]:
        """Return the ids of all whole files."""
        return {path.name.removesuffix(SUFFIX) for path in self._directory.glob(f"*{SUFFIX}")}

    def parts(self) -> dict[str, float]:
        """Return when each part has grown last, seconds since 1970, by id."""
        return {path.name.removesuffix(PART): path.stat().st_mtime for path in self._directory.glob(f"*{PART}")}

    def received(self, release_id: str) -> int:
        """Return how many bytes of a part are there."""
        try:
            return self.part(release_id).stat().st_size
        except FileNotFoundError:
            return 0

    def append(self, release_id: str, chunk: bytes) -> int:
        """Add to a part; return its length once it is on the disk.

        Raises:
            DiskFullError: the part is as it was.
            OSError: the directory cannot be written.

        """
        before = self.received(release_id)
        descriptor = os.open(self.part(release_id), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        try:
            try:
                _write_all(descriptor, chunk)
                os.fsync(descriptor)
            except OSError as error:
                os.ftruncate(descriptor, before)
                if error.errno in _FULL:
                    raise DiskFullError(str(error.strerror)) from None
                raise
        finally:
            os.close(descriptor)
        if not before:
            _sync(self._directory)
        return before + len(chunk)

    def digest(self, release_id: str) -> str:
        """Return the SHA-256 of a part."""
        with self.part(release_id).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def keep(self, release_id: str) -> None:
        """Make a release of a part; on the disk when this returns."""
        self.part(release_id).replace(self.path(release_id))
        _sync(self._directory)

    def drop(self, release_id: str) -> None:
        """Delete a release; whoever reads it may read on."""
        self.path(release_id).unlink(missing_ok=True)

    def drop_part(self, release_id: str) -> None:
        """Delete a part."""
        self.part(release_id).unlink(missing_ok=True)

    def free(self) -> int:
        """Return the bytes that we may still write."""
        return shutil.disk_usage(self._directory).free


def _write_all(descriptor: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync(directory: Path) -> None:
    """Have the names in a directory on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
